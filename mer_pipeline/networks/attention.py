"""Attention along one orientation of the face: SOA (learned angle), CVA (90 degrees) and horizontal (0 degrees).

All of them are one operator (see `orientation`) with another angle, so a table that compares them compares angles.
Source: FaceSleuth (Continuously Vertical Attention, CVA) and FaceSleuth-R (SOA).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_pipeline.networks.explain import LineMap, Map, MapSource, to_array
from mer_pipeline.networks.orientation import (
    LineGrid,
    bin_count,
    centre_position,
    hat,
    line_grid,
    line_means,
    reweight,
    widened,
)


class Orientation(nn.Module):
    """One angle, in radians; several attentions may refer to it.

    Args:
        theta_deg: the angle of the pooling axis: 0 points right, 90 down.
        learnable: a parameter (its own learning rate and no weight decay: see `angle_parameters`), else a buffer.

    The loss has a second, weak optimum where the axis lies along the other diagonal of a square map: the lines in its
    corners are so short that they act as attention per pixel. Adam at 0.1 rad a step, decayed to zero, leaves it from
    every start tried (see the tests of planted orientations); at 0.05 some starts stay.
    """

    def __init__(self, theta_deg: float = 45.0, learnable: bool = True) -> None:
        super().__init__()
        if not math.isfinite(theta_deg):
            raise ValueError(f"theta_deg is {theta_deg}: give a finite angle in degrees")
        self.learnable = learnable
        value = torch.tensor(math.radians(theta_deg))
        self.theta_rad: Tensor
        if learnable:
            self.theta_rad = nn.Parameter(value)
        else:
            self.register_buffer("theta_rad", value)

    @property
    def parameter(self) -> Tensor:
        """What is learned."""
        return self.theta_rad

    @property
    def theta_deg(self) -> float:
        """The angle in degrees, in [0, 180)."""
        # Rounded far below what float32 radians resolve, so that 90 degrees reads as 90.
        return round(math.degrees(self.theta_rad.item()), 5) % 180.0


class AttentionProfile(NamedTuple):
    """The attention of one layer over its lines, which the next layer continues."""

    values: Tensor  # (B, bins, C)
    presence: Tensor  # (1, bins, 1): share of a pixel, at most 1, that each bin holds
    theta: Tensor  # () radians
    height_px: int
    width_px: int


class OrientationAttention(MapSource):
    """Re-weight a map by attention over the lines orthogonal to an axis.

    Per layer i, with f1 and f2 1x1 (linear over channels) and p_i the mean of every line of the axis:
    a_i = sigmoid(f2(relu(f1(p_i)))) * continued(a_(i-1)), output = map * a_i read back at every pixel.
    With theta_deg = 90 lines are rows, which is CVA exactly; with 0 they are columns.

    Args:
        channels: C of the map.
        theta_deg: start of the angle: 0 pools columns, 90 pools rows.
        learnable: whether the angle is a parameter.
        reduction: f1 leaves max(8, C / reduction) channels.
        previous_channels: channels of the attention to continue; None for a first layer.
        orientation: an angle shared with other layers; then `theta_deg` and `learnable` are not used, and the owner
            of the angle registers it (so that it appears once among parameters and in saved weights).

    Example:
        >>> attention = OrientationAttention(16, theta_deg=90.0)
        >>> attention(torch.rand(2, 16, 8, 8)).shape, attention.theta_deg
        (torch.Size([2, 16, 8, 8]), 90.0)
    """

    def __init__(
        self,
        channels: int,
        theta_deg: float = 45.0,
        learnable: bool = True,
        reduction: int = 32,
        previous_channels: int | None = None,
        orientation: Orientation | None = None,
    ) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.channels = channels
        self.previous_channels = previous_channels
        self.squeeze = nn.Linear(channels, hidden)
        self.restore = nn.Linear(hidden, channels)
        changed = previous_channels is not None and previous_channels != channels
        self.continuity = nn.Linear(previous_channels or channels, channels) if changed else nn.Identity()
        self._shared = None if orientation is None else (orientation,)  # a tuple is not registered as a child
        self.own = Orientation(theta_deg, learnable) if orientation is None else None

    @property
    def orientation(self) -> Orientation:
        """The angle, own or shared."""
        if self.own is not None:
            return self.own
        assert self._shared is not None
        return self._shared[0]

    @property
    def theta_deg(self) -> float:
        """The angle in degrees, in [0, 180)."""
        return self.orientation.theta_deg

    def forward(self, x: Tensor, previous: AttentionProfile | None = None) -> Tensor:
        """Re-weight x (B, C, H, W); see `attend`."""
        return self.attend(x, previous)[0]

    def attend(self, x: Tensor, previous: AttentionProfile | None = None) -> tuple[Tensor, AttentionProfile]:
        """Re-weight x (B, C, H, W) and also return the attention for the next layer.

        `previous` comes from a map of the same size or twice the size. The result has x's dtype and lies in memory
        channels last. Raises ValueError for a wrong number of channels or a `previous` that does not fit.
        """
        self._check(x, previous)
        batch, channels, height_px, width_px = x.shape
        with _full_precision(x.device.type):
            rows = x.permute(0, 2, 3, 1).reshape(batch, height_px * width_px, channels)
            rows = rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
            grid = line_grid(self.orientation.theta_rad, height_px, width_px, rows.dtype)
            means, presence = line_means(rows, grid)
            values = self.restore(self.squeeze(means).relu()).sigmoid()
            if previous is not None:
                values = values * self.continuity(continued(previous, grid))
            weighted = reweight(rows, values, grid).to(x.dtype)
        result = weighted.view(batch, height_px, width_px, channels).permute(0, 3, 1, 2)
        return result, AttentionProfile(values, presence, grid.theta, height_px, width_px)

    def map_of(self, output: AttentionProfile) -> LineMap:
        """The lines that cross the map, beyond whose corners there are spare ones."""
        height, width, theta = output.height_px, output.width_px, float(output.theta.detach())
        centre = float(centre_position(widened(output.theta), height, width))
        reach = (height - 1) / 2 * (abs(math.cos(theta)) + abs(math.sin(theta)))
        first, last = math.floor(centre - reach + 1e-3), math.ceil(centre + reach - 1e-3)
        values = output.values[:1].detach().abs().mean(2, keepdim=True)
        start, end = ((edge - centre) / height for edge in (first, last))
        grid = line_grid(output.theta, height, width, values.dtype)
        weights = reweight(values.new_ones(1, height * width, 1), values, grid).reshape(height, width)
        crossing = tuple(values[0, first : last + 1, 0].tolist())
        return LineMap(self.map_title, math.degrees(theta), crossing, start, end, to_array(weights))

    @contextmanager
    def recorded(self, keep: Callable[[Map], None]) -> Iterator[None]:
        """See `MapSource`; no hook sees the profile, because networks call `attend` by name."""
        original = self.attend

        def attend(x: Tensor, previous: AttentionProfile | None = None) -> tuple[Tensor, AttentionProfile]:
            result = original(x, previous)
            keep(self.map_of(result[1]))
            return result

        self.attend = attend  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self.attend

    def _check(self, x: Tensor, previous: AttentionProfile | None) -> None:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"the map has shape {tuple(x.shape)}, expected (B, {self.channels}, H, W)")
        if previous is None:
            return
        expected = self.previous_channels or self.channels
        if previous.values.shape[-1] != expected:
            raise ValueError(
                f"the previous attention has {previous.values.shape[-1]} channels, expected {expected}: "
                "set previous_channels"
            )


def _full_precision(device_type: str) -> AbstractContextManager[object]:
    """No autocast: means of thousands of pixels need more than bfloat16; on `meta` torch has none to switch off."""
    return nullcontext() if device_type == "meta" else torch.autocast(device_type, enabled=False)


def continued(previous: AttentionProfile, grid: LineGrid) -> Tensor:
    """Bring the previous layer's attention (B, bins, C) to the lines of `grid`.

    Equal sizes: the line at the same place. Half the size: the maximum of the three lines around that place (max-pool
    3, stride 2, as the convolution moves its centres). Places between two bins are interpolated, so the result has no
    jump when an angle moves; at 0 and 90 degrees all places are bins. Bins without pixels take the smallest value
    of the profile and so never win. An axis has two ends: the profile is turned round where the two layers' angles
    point away from each other, so that every angle counts modulo 180; the one jump is where two layers' axes are
    orthogonal.
    """
    sizes = (previous.height_px, previous.width_px), (grid.height_px, grid.width_px)
    stride = _stride(*sizes)
    dtype = previous.values.dtype
    theta, new_theta = widened(previous.theta), widened(grid.theta)
    turned = torch.where((new_theta - theta).cos().detach() < 0, -1.0, 1.0)
    lines = torch.arange(grid.bins, device=theta.device, dtype=theta.dtype)
    centre = centre_position(theta, previous.height_px, previous.width_px)
    along_new = lines - centre_position(new_theta, grid.height_px, grid.width_px)
    # The new map's centre, seen from the old map's centre, lies half a pixel up or left where a side was even.
    shift_x = (stride * (grid.width_px - 1) - (previous.width_px - 1)) / 2
    shift_y = (stride * (grid.height_px - 1) - (previous.height_px - 1)) / 2
    place = turned * stride * along_new + shift_x * theta.cos() + shift_y * theta.sin() + centre
    place = _snapped(place, 4 * torch.finfo(grid.theta.dtype).eps * 2 * grid.bins)

    held, absent = previous.values * previous.presence, 1 - previous.presence
    typical = held.sum(dim=1, keepdim=True) / previous.presence.sum()
    lowest = (held + typical * absent).amin(dim=1, keepdim=True)  # of the bins that hold pixels
    values = held + lowest * absent
    last = bin_count(previous.height_px, previous.width_px) - 1
    bins = torch.arange(last + 1, device=theta.device, dtype=theta.dtype)
    taps = (-1, 0, 1) if stride == 2 else (0,)
    read = [hat(_within(place + tap, last)[:, None] - bins).to(dtype) @ values for tap in taps]
    return torch.stack(read).amax(dim=0)


def _within(place: Tensor, last: int) -> Tensor:
    """Clamp to [0, last]; on a limit the gradient is the mean of its two sides, as everywhere in this operator."""
    return (place.abs() - (place - last).abs() + last) / 2


def _snapped(place: Tensor, rounding: float) -> Tensor:
    """Put a place on the bin it misses by the rounding of an angle alone; its gradient stays."""
    miss = (place.round() - place).detach()
    return place + miss * (miss.abs() <= rounding)


def _stride(old_hw: tuple[int, int], new_hw: tuple[int, int]) -> int:
    if old_hw == new_hw:
        return 1
    if ((old_hw[0] + 1) // 2, (old_hw[1] + 1) // 2) == new_hw:
        return 2
    raise ValueError(f"the previous map was {old_hw}, this one is {new_hw}: expected the same size or half of it")


def angle_parameters(net: nn.Module) -> list[nn.Parameter]:
    """What the learned angles are made of, in the order of the layers; each once."""
    found = [part.parameter for part in net.modules() if isinstance(part, Orientation) and part.learnable]
    return [theta for theta in found if isinstance(theta, nn.Parameter)]


def learned_angles_deg(net: nn.Module) -> list[float]:
    """The learned angles in degrees, modulo 180, in the order of the layers; empty where none is learned."""
    return [part.theta_deg for part in net.modules() if isinstance(part, Orientation) and part.learnable]
