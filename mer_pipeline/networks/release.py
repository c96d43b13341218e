"""The attention of FaceSleuth's public release, to compare with: conventions and reductions other than its papers'.

Both multiply rows of the map by a profile, and continue the profile of the layer before: max-pooled 3, stride 2, and
brought to other channels by a 1x1 convolution without bias.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline.networks.attention import Orientation
from mer_pipeline.networks.blocks import initialise
from mer_pipeline.networks.explain import LineMap, MapSource, to_array


class TurnedOrientation(Orientation):
    """The angle of the release: a vector whose direction t turns the map clockwise before its rows are averaged.

    A row of the turned map is a line along (cos t, -sin t), so its axis lies at 90 - t degrees as angles are counted
    here: the release's 72 is 18, its 90 is 0 (columns), and its 0 is 90 (rows).

    Args:
        theta_deg: where the axis starts, as angles are counted here.
    """

    def __init__(self, theta_deg: float) -> None:
        super().__init__(theta_deg)
        turn = math.radians(90 - theta_deg)
        del self.theta_rad
        self.vector = nn.Parameter(torch.tensor([math.cos(turn), math.sin(turn)]))

    @property
    def parameter(self) -> Tensor:
        """The vector."""
        return self.vector

    @property
    def theta_deg(self) -> float:
        """The axis, as angles are counted here."""
        return (90 - self.release_deg) % 180.0

    @property
    def release_deg(self) -> float:
        """The angle as the release prints it, in [0, 180)."""
        return round(math.degrees(self.turn_rad.item()), 5) % 180.0

    @property
    def turn_rad(self) -> Tensor:
        """The angle by which the map is turned, in [0, pi)."""
        direction = F.normalize(self.vector, dim=0)
        angle = torch.atan2(direction[1], direction[0])
        return angle + (angle < 0) * math.pi


class ReleaseAttention(MapSource):
    """What both have in common: rows of the map times sigmoid of a profile, continued from layer to layer.

    Args:
        channels: C of the map.
        previous_channels: channels of the profile to continue; None for a first layer.
    """

    def __init__(self, channels: int, previous_channels: int | None) -> None:
        super().__init__()
        changed = previous_channels is not None and previous_channels != channels
        self.continuity = (
            nn.Conv2d(previous_channels or channels, channels, 1, bias=False) if changed else nn.Identity()
        )

    def profile(self, x: Tensor) -> Tensor:
        """Attention of every row, (B, C, H, 1), from a map (B, C, H, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) and the profile of a layer of twice the height -> the map, and its profile (B, C, H, 1)."""
        rows = self.profile(x)
        if previous is not None:
            rows = rows * self.continuity(F.max_pool2d(previous, 3, stride=2, padding=1))
        return x * rows, rows

    def attend(self, x: Tensor, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `OrientationAttention.attend`; a call of the module, so that hooks see it."""
        attended: tuple[Tensor, Tensor] = self(x, previous)
        return attended

    def map_of(self, output: tuple[Tensor, Tensor]) -> LineMap:
        """The rows, which is what the map was multiplied by, wherever the profile came from."""
        values, (height, width) = output[1][0, :, :, 0].detach().float().abs().mean(0), output[0].shape[2:]
        reach = (height - 1) / 2 / height
        weights = to_array(values[:, None].expand(height, width))
        return LineMap(self.map_title, 90.0, tuple(values.tolist()), -reach, reach, weights)


class ReleaseSOA(ReleaseAttention):
    """sigmoid(f2(relu(f1(p)))), p the row means of the map turned about its centre, zeros beyond its edges.

    f1 leaves max(8, C / 16) channels; neither has a bias. The profile of the turned map weighs rows of the map as it
    is: it is not folded back.

    Args:
        channels, previous_channels: see `ReleaseAttention`.
        theta_deg: see `TurnedOrientation`.
    """

    def __init__(self, channels: int, previous_channels: int | None, theta_deg: float) -> None:
        super().__init__(channels, previous_channels)
        hidden = max(8, channels // 16)
        self.orientation = TurnedOrientation(theta_deg)
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.restore = nn.Conv2d(hidden, channels, 1, bias=False)
        self.apply(initialise)

    def profile(self, x: Tensor) -> Tensor:
        """See `ReleaseAttention`."""
        turn = self.orientation.turn_rad
        zero = torch.zeros_like(turn)
        rotation = torch.stack([turn.cos(), turn.sin(), zero, -turn.sin(), turn.cos(), zero]).view(1, 2, 3)
        grid = F.affine_grid(rotation.expand(len(x), 2, 3), list(x.shape), align_corners=False).to(x.dtype)
        means = F.grid_sample(x, grid, padding_mode="zeros", align_corners=False).mean(3, keepdim=True)
        result: Tensor = self.restore(self.squeeze(means).relu()).sigmoid()
        return result


class ReleaseCVA(ReleaseAttention):
    """sigmoid(f2(hswish(BN(f1(rows and columns))))) of the rows.

    Row means and column means go through f1 and batch norm as one sequence, so that columns move the statistics; f1
    leaves max(8, K / 32) channels, K those of the stage's input. The release also computes a profile of the columns,
    which reaches no output, and is left out here.

    Args:
        channels, previous_channels: see `ReleaseAttention`.
        stage_channels: of the input of the stage before this attention.
    """

    def __init__(self, channels: int, previous_channels: int | None, stage_channels: int) -> None:
        super().__init__(channels, previous_channels)
        hidden = max(8, stage_channels // 32)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden), nn.Hardswish())
        self.restore = nn.Conv2d(hidden, channels, 1)
        self.apply(initialise)

    def profile(self, x: Tensor) -> Tensor:
        """See `ReleaseAttention`."""
        both = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], dim=2)
        result: Tensor = self.restore(self.squeeze(both)[:, :, : x.shape[2]]).sigmoid()
        return result
