"""What one pass through a network costs."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mer_pipeline.networks.base import Network
from mer_pipeline.networks.blocks import AU_COUNT


def example_batch(network: Network, batch: int = 1, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """Zeros of the shapes that a network takes, all Action Units known."""
    size, frames = network.size, network.frames
    shapes: dict[str, tuple[int, ...]] = {
        "onset": (batch, 3, size, size),
        "apex": (batch, 3, size, size),
        "flow": (batch, 3, size, size),
        "sequence": (batch, frames, 1, size, size),
        "flow_sequence": (batch, frames, 3, size, size),
        "aus": (batch, AU_COUNT),
    }
    tensors = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}
    tensors["aus_known"] = torch.ones(batch, dtype=torch.bool, device=device)
    return {name: tensors[name] for name in network.inputs}


def multiply_accumulates(network: Network) -> int:
    """Multiply-accumulates of one clip's forward pass in eval mode: convolutions, matrix products, line sums.

    Sums, normalisations and activations are not counted, as usual. Nothing is computed, and the network is left as it
    is; one on torch's device `meta` will do.
    """
    outline = copy.deepcopy(network).to("meta").eval()
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten._embedding_bag_forward_only: _line_sums})
    with torch.no_grad(), counter:
        outline.run(example_batch(outline, device="meta"))
    return counter.get_total_flops() // 2


def _line_sums(weight: torch.Size, indices: torch.Size, *_: Any, **__: Any) -> int:
    """Of the orientation operator: every (pixel, line) pair adds a row of channels, two operations for each."""
    return 2 * indices[0] * weight[1]
