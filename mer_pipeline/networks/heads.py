"""Heads: motion features and Action Units to logits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor, cat, nn

from mer_pipeline.networks.blocks import AU_COUNT

HEADS = ("branch", "mean", "literal", "release")
_EARLIER = {"paper": "literal"}  # its name in cards and recipes of older versions
# Norm of a clip's standardised features. With 3 small networks learned slowly.
_FEATURE_NORM = 24.0
# What an Action Unit counts, times sqrt(F): as much as all features do.
_AU_VOICE = 24.0
# An estimate that weighs as an annotation does makes the answer hang on it.
_TRUST = 0.02


class HeadOutput(NamedTuple):
    """What a head gives."""

    logits: Tensor  # (B, classes)
    branches: tuple[Tensor, Tensor] | None = None  # of features and of AUs, while training; each learns by itself


class BranchHead(nn.Module):
    """Two branches of their own scale that are added: standardised features, and Action Units.

    Adam moves a logit by the learning rate times the sum of its inputs' sizes. 21 numbers of 0 or 1 beside thousands of
    unscaled features are then never learned. Here a clip's F features are standardised and brought to a norm of 24, so
    that their sizes sum to about 19 sqrt(F), and an annotated Action Unit that is present counts 24 sqrt(F). The
    network's own estimate counts a fiftieth of that (see `trust`).

    Each branch is taught to answer alone. Taught by their sum, the one that learns first leaves the other nothing to
    learn: with annotated Action Units in half of the clips the picture's answers became worse, and without, the Action
    Units were not heard.
    """

    def __init__(self, features: int, aus: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, elementwise_affine=False)
        self.feature_scale = _FEATURE_NORM / math.sqrt(features)
        self.face = nn.Linear(features, classes)
        self.au_scale = _AU_VOICE * math.sqrt(features)
        self.units = nn.Linear(aus, classes, bias=False) if aus else None
        if self.units is not None:  # a scaled random start would take hundreds of steps to unlearn
            self.units.weight.data /= self.au_scale

    def forward(self, features: Tensor, aus: Tensor | None) -> HeadOutput:
        """(B, ...) features and (B, aus) or None -> logits (B, classes), and while training those of the branches."""
        seen: Tensor = self.face(self.norm(features.flatten(1)) * self.feature_scale)
        if self.units is None or aus is None:
            return HeadOutput(seen)
        heard: Tensor = self.units(aus.to(seen.dtype) * self.au_scale)
        return HeadOutput(seen + heard, (seen, heard) if self.training else None)


class MeanHead(BranchHead):
    """`BranchHead` on the mean over the map: what it is given has no place, so that attention alone relates places."""

    def forward(self, features: Tensor, aus: Tensor | None) -> HeadOutput:
        """(B, C, h, w) features, or (B, C), and (B, aus) or None -> see `BranchHead`."""
        return super().forward(features.flatten(2).mean(dim=2) if features.ndim == 4 else features, aus)


class LiteralHead(nn.Module):
    """Flatten, concatenate the AUs, one linear layer (FaceSleuth's paper to the letter; it does not hear them)."""

    def __init__(self, features: int, aus: int, classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(features + aus, classes)

    def forward(self, features: Tensor, aus: Tensor | None) -> HeadOutput:
        """(B, ...) features and (B, aus) or None -> logits (B, classes)."""
        return HeadOutput(self.classify(_joined(features.flatten(1), aus)))


class ReleaseHead(nn.Module):
    """Flatten, linear to 512, concatenate the AUs, BN, ReLU, linear 128, BN, linear (FaceSleuth's release)."""

    def __init__(self, features: int, aus: int, classes: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(features, 512)
        self.classify = nn.Sequential(
            nn.BatchNorm1d(512 + aus),
            nn.ReLU(inplace=True),
            nn.Linear(512 + aus, 128),
            nn.BatchNorm1d(128),
            nn.Linear(128, classes),
        )

    def forward(self, features: Tensor, aus: Tensor | None) -> HeadOutput:
        """(B, ...) features and (B, aus) or None -> logits (B, classes)."""
        return HeadOutput(self.classify(_joined(self.reduce(features.flatten(1)), aus)))


Head = BranchHead | LiteralHead | ReleaseHead


def present_head(head: str) -> str:
    """The name of a head that may be called by an earlier one."""
    return _EARLIER.get(head, head)


def trust(head: str) -> float:
    """What an estimated Action Unit counts in a head, where an annotated one counts 1."""
    return _TRUST if present_head(head) in ("branch", "mean") else 1.0


def classifier(head: str, channels: int, cells: int, au_input: bool, classes: int) -> Head:
    """The head of a name, one of `HEADS`, for a map of so many channels and cells and, with `au_input`, the AUs."""
    head = present_head(head)
    if head not in HEADS:
        raise ValueError(f"head is {head!r}: choose one of {', '.join(HEADS)}")
    aus = AU_COUNT if au_input else 0
    if head == "mean":
        return MeanHead(channels, aus, classes)
    kinds: dict[str, type[Head]] = {"branch": BranchHead, "literal": LiteralHead, "release": ReleaseHead}
    return kinds[head](channels * cells, aus, classes)


def adopt_single_layer(network: nn.Module, name: str) -> None:
    """Let weights in which the head `name` was a single layer be loaded into its literal head."""

    def rename(_: nn.Module, state: dict[str, Any], prefix: str, *__: object) -> None:
        for part in ("weight", "bias"):
            if f"{prefix}{name}.{part}" in state:
                state[f"{prefix}{name}.classify.{part}"] = state.pop(f"{prefix}{name}.{part}")

    network.register_load_state_dict_pre_hook(rename)


def _joined(flat: Tensor, aus: Tensor | None) -> Tensor:
    return flat if aus is None else cat([flat, aus.to(flat.dtype)], dim=1)
