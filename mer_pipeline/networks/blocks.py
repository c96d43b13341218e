"""Parts that several networks share: the motion stream's stem and stages, and the Action Unit input."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

AU_COUNT = 21  # length of the Action Unit vector: 1,2,4,5,6,7,9,10,12,14,15,16,17,18,20,23,24,25,26,28,45
STRIDES = (1, 2, 2, 2)  # of the four stages; with the stem's 2 the motion map has stride 16


class Stem(nn.Sequential):
    """conv3x3 with the stride, BN, ReLU, conv3x3, BN, ReLU: (B, 3, S, S) -> (B, widths[1], S / stride, S / stride).

    Source: the release of MMNet, kept by FaceSleuth (widths 180 and 128).
    """

    def __init__(self, widths: Sequence[int], stride: int = 2) -> None:
        first, second = widths
        super().__init__(
            nn.Conv2d(3, first, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, 3, padding=1, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(inplace=True),
        )


class Stage(nn.Module):
    """conv3x3-BN-ReLU-conv1x1-BN, a residual (1x1 and BN where shapes differ), ReLU.

    Source: the CA block of MMNet before its attention.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        same = stride == 1 and in_channels == channels
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, channels, ceil(H / stride), ceil(W / stride))."""
        result: Tensor = (self.body(x) + self.shortcut(x)).relu()
        return result


def stages(stem_channels: int, channels: Sequence[int]) -> nn.ModuleList:
    """The four stages of a motion stream."""
    before = (stem_channels, *channels[:-1])
    return nn.ModuleList(Stage(b, c, s) for b, c, s in zip(before, channels, STRIDES, strict=True))


def initialise(module: nn.Module) -> None:
    """Kaiming-normal convolutions (fan out), as in the release; use with `Module.apply`."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class ActionUnitHead(nn.Sequential):
    """Estimate of the Action Units from a motion map: (B, channels, h, w) -> logits (B, 21).

    Args:
        channels: of the map.
        cells: the map is averaged to cells x cells before the linear layer.
    """

    def __init__(self, channels: int, cells: int = 7) -> None:
        hidden = 8
        super().__init__(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(cells),
            nn.Flatten(),
            nn.Linear(hidden * cells * cells, AU_COUNT),
        )

    def start_at(self, log_odds: Tensor) -> None:
        """Start from estimates that need no picture: log_odds (21,)."""
        last = self[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias.copy_(log_odds)


class ActionUnitInput(nn.Module):
    """Estimates the Action Units from motion features and decides which AUs the classifier sees.

    The classifier sees `aus` where `aus_known`, else the estimate. That one rule gives all cases: annotated AUs (all
    known), predicted (none known, or `aus` not given), none (zeros, known), and the random replacement in training
    (the training loop draws `aus_known`). The estimate reaches the classifier without its gradient, so only the AU
    loss teaches the estimate.

    Args:
        channels, cells: see `ActionUnitHead`.
        trust: what the estimate is multiplied by for the classifier; annotated Action Units count 1.
    """

    def __init__(self, channels: int, cells: int = 7, trust: float = 1.0) -> None:
        super().__init__()
        self.head, self.trust = ActionUnitHead(channels, cells), trust

    def forward(self, motion: Tensor, aus: Tensor | None, aus_known: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the AUs for the classifier (B, 21) and the logits of the estimate (B, 21).

        `aus` without `aus_known` counts as known. Raises ValueError for a wrong shape.
        """
        logits: Tensor = self.head(motion)
        estimate = logits.detach().sigmoid() * self.trust
        if aus is None:
            return estimate, logits
        if aus.shape != logits.shape:
            raise ValueError(f"aus has shape {tuple(aus.shape)}, expected {tuple(logits.shape)}")
        if aus_known is None:
            return aus.to(estimate.dtype), logits
        if aus_known.shape != logits.shape[:1]:
            raise ValueError(f"aus_known has shape {tuple(aus_known.shape)}, expected {tuple(logits.shape[:1])}")
        return torch.where(aus_known.bool()[:, None], aus.to(estimate.dtype), estimate), logits
