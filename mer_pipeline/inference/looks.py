"""What a trained network says of where and when it looked: attention of both streams, rank scores, dynamic images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mer_pipeline import networks
from mer_pipeline.errors import MerError
from mer_pipeline.networks import feed
from mer_pipeline.networks.attention import AttentionProfile, OrientationAttention, recorded
from mer_pipeline.networks.fdp import FDP
from mer_pipeline.networks.focalizer import PositionFocalizer
from mer_pipeline.networks.mmnet import PositionCalibration, SpatialAttention
from mer_pipeline.networks.orientation import centre_position
from mer_pipeline.runs.card import Card, load_network

_EXPLAINED = (OrientationAttention, PositionFocalizer, PositionCalibration, SpatialAttention, FDP)


@dataclass(frozen=True)
class LineMap:
    """Attention over the lines of one axis, the mean over channels.

    Attributes:
        title: Of the layer.
        theta_deg: The axis; 0 points right, 90 down.
        values: One a line, in the direction of the axis; between two lines what a pixel reads is linear.
        start, end: Where the first and the last line lie on the axis, from the centre, in sides of the map.
    """

    title: str
    theta_deg: float
    values: tuple[float, ...]
    start: float
    end: float


@dataclass(frozen=True)
class CellMap:
    """A value a cell, (rows, columns) float32."""

    title: str
    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Ranks:
    """What FDP sees in a clip: a score a frame, and the dynamic image it builds beside its target, (S, S) 0 to 1."""

    scores: tuple[float, ...]
    built: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """What there is to show of one clip; parts that a network does not have are empty."""

    maps: tuple[LineMap | CellMap, ...] = ()
    ranks: Ranks | None = None


@dataclass(frozen=True)
class Loaded:
    """A trained network in evaluation mode, and its card."""

    network: nn.Module
    card: Card


def load(folder: Path) -> Loaded:
    """Read the network of a fold.

    Raises:
        MerError: There is none, or it is damaged.
    """
    state, card = load_network(folder)
    try:
        network = networks.build(card.network, classes=len(card.classes), size=card.size, **card.options)
        network.load_state_dict(state)
    except (ValueError, TypeError, RuntimeError):
        raise MerError("its weights do not fit its card", where=folder, fix="train again") from None
    return Loaded(network.eval(), card)


def explains(network: nn.Module) -> bool:
    """Whether `look` finds anything in a network."""
    return any(isinstance(part, _EXPLAINED) for part in network.modules())


@torch.no_grad()
def look(network: nn.Module, batch: Mapping[str, torch.Tensor]) -> Look:
    """Run a network on one clip and keep what it says of itself.

    Args:
        network: In evaluation mode.
        batch: What it takes, with one clip.
    """
    if isinstance(network, FDP):
        told = network.explain(batch["sequence"])
        built, target = (image[0, 0].numpy().astype(np.float32) for image in (told.built, told.target))
        return Look(ranks=Ranks(tuple(told.scores[0].tolist()), built, target))
    lines: list[LineMap] = []
    cells: list[CellMap] = []
    positions: list[CellMap] = []

    def on_profile(profile: AttentionProfile) -> None:
        lines.append(_line_map(profile, f"layer {len(lines) + 1}"))

    def on_spatial(_module: nn.Module, _inputs: object, output: tuple[torch.Tensor, torch.Tensor]) -> None:
        cells.append(CellMap(f"layer {len(cells) + 1}", output[1][0, 0].float().numpy()))

    def on_position(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        positions.append(CellMap("position", output[0].float().norm(dim=0).numpy()))

    with ExitStack() as stack:
        for part in network.modules():
            if isinstance(part, OrientationAttention):
                stack.enter_context(recorded(part, on_profile))
            elif isinstance(part, SpatialAttention):
                stack.callback(part.register_forward_hook(on_spatial).remove)
            elif isinstance(part, PositionFocalizer | PositionCalibration):
                stack.callback(part.register_forward_hook(on_position).remove)
        feed.run(network, batch)
    return Look(maps=(*lines, *cells, *positions))


def _line_map(profile: AttentionProfile, title: str) -> LineMap:
    """The lines that cross the map, beyond whose corners there are spare ones."""
    side, theta = profile.height_px, float(profile.theta)
    centre = float(centre_position(profile.theta.double(), profile.height_px, profile.width_px))
    reach = (side - 1) / 2 * (abs(math.cos(theta)) + abs(math.sin(theta)))
    first, last = math.floor(centre - reach + 1e-3), math.ceil(centre + reach - 1e-3)
    values = profile.values[0].mean(-1)[first : last + 1].tolist()
    start, end = ((edge - centre) / side for edge in (first, last))
    return LineMap(title, math.degrees(theta), tuple(values), start, end)
