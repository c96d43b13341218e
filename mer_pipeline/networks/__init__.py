"""Networks: torch modules only.

>>> net = build("facesleuth", classes=3, size=64, channels=[8, 8, 16, 16], stem=[8, 8], embed_dim=8)
>>> net.inputs
('onset', 'apex', 'aus', 'aus_known')
>>> len(angle_parameters(net)), learned_angles_deg(net)
(4, [45.0, 45.0, 45.0, 45.0])
"""

from mer_pipeline.networks.attention import (
    AttentionProfile,
    OrientationAttention,
    angle_parameters,
    learned_angles_deg,
)
from mer_pipeline.networks.base import VIEW_NAMES, Network, Output, ViewName, named_tensors
from mer_pipeline.networks.blocks import AU_COUNT, ActionUnitHead
from mer_pipeline.networks.cost import example_batch, multiply_accumulates
from mer_pipeline.networks.explain import LEAST_MOVES, CellMap, Explanation, LineMap, Ranks, holds
from mer_pipeline.networks.modes import MODES
from mer_pipeline.networks.prior import Prior
from mer_pipeline.networks.registry import build, names, option_defaults

__all__ = [
    "AU_COUNT",
    "LEAST_MOVES",
    "MODES",
    "VIEW_NAMES",
    "ActionUnitHead",
    "AttentionProfile",
    "CellMap",
    "Explanation",
    "LineMap",
    "Network",
    "OrientationAttention",
    "Output",
    "Prior",
    "Ranks",
    "ViewName",
    "angle_parameters",
    "build",
    "example_batch",
    "holds",
    "learned_angles_deg",
    "multiply_accumulates",
    "named_tensors",
    "names",
    "option_defaults",
]
