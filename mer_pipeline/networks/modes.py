"""The attention of a motion stream, by the name of its mode."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mer_pipeline.networks.attention import Orientation, OrientationAttention
from mer_pipeline.networks.release import ReleaseAttention, ReleaseCVA, ReleaseSOA

MODES = ("soa", "soa-shared", "horizontal", "cva", "frozen", "none", "release-soa", "release-cva")
_FROZEN_DEG = {"horizontal": 0.0, "cva": 90.0}


def attend(layer: nn.Module, x: Tensor, previous: Any) -> tuple[Tensor, Any]:
    """A map under the attention of one of `attention_layers`, and what the next of them continues."""
    assert isinstance(layer, OrientationAttention | ReleaseAttention)
    return layer.attend(x, previous)


def attention_layers(
    mode: str, channels: tuple[int, ...], theta_deg: float, stem_channels: int = 0, reduction: int = 32
) -> tuple[nn.ModuleList, Orientation | None]:
    """One attention a stage, and the angle they share (mode `soa-shared`; register it beside them).

    Args:
        mode: `soa` (one learned angle a layer), `soa-shared`, `horizontal` (0), `cva` (90), `frozen` (theta_deg),
            `none` (empty list), or the authors' own: `release-soa` and `release-cva`.
        channels: of every stage.
        theta_deg: where learned angles start, and where `frozen` ones stay.
        stem_channels: of what enters the first stage.
        reduction: see `OrientationAttention`.
    """
    if mode not in MODES:
        raise ValueError(f"attention is {mode!r}: choose one of {', '.join(MODES)}")
    if mode == "none":
        return nn.ModuleList(), None
    pairs = list(zip((None, *channels[:-1]), channels, strict=True))
    if mode == "release-soa":
        return nn.ModuleList(ReleaseSOA(width, before, theta_deg) for before, width in pairs), None
    if mode == "release-cva":
        return nn.ModuleList(ReleaseCVA(width, before, before or stem_channels) for before, width in pairs), None
    shared = Orientation(theta_deg) if mode == "soa-shared" else None
    layers = nn.ModuleList(
        OrientationAttention(
            width,
            _FROZEN_DEG.get(mode, theta_deg),
            learnable=mode == "soa",
            reduction=reduction,
            previous_channels=before,
            orientation=shared,
        )
        for before, width in pairs
    )
    return layers, shared
