"""The orientation operator: pool a map along parallel lines of any angle, and read line values back at every pixel.

A pixel (x, y), measured from the centre of the map, x to the right and y down, lies at s = x cos t + y sin t on the
axis of angle t. All pixels with one s form a line orthogonal to the axis. Lines are kept in bins one pixel apart, and
a pixel is shared between bins floor(s) and floor(s) + 1 with linear weights (a "hat" of half-width 1 around each bin).
Reading back uses the same two weights. At t = 90 degrees the bins are exactly the rows, at t = 0 exactly the columns.

**Bin grid.** Rows of an even map have half-integer coordinates, so the grid is shifted by an offset of t that puts
bins on rows at 90 degrees and on columns at 0 (see `_grid_offset`). Half a turn of the axis, a transposition and a
flip turn the bins round and change nothing else (where one side is even and the other odd, no offset does that for
both flips; the flip along the odd side is exact). The number of bins depends on the shape alone.

**Gradient of the angle.** The weights are piecewise linear in t, so their derivative is exact. A pixel that lies on
a bin is at a kink; at 0 and 90 degrees all pixels do, at once. There the derivative is the mean of the one from the
left and the one from the right, which is the limit of the central difference: bins k - 1, k, k + 1 of a pixel on bin
k change by -1/2, 0, +1/2 per unit of s.

**Cost.** O(C H W) time, and no stored copy of the map: both directions are sums over (pixel, bin) pairs, run as
`embedding_bag` over channels-last rows, which is deterministic on CPU and CUDA. Where that kernel is missing (other
devices, ONNX export) the same weights are applied as a (bins x pixels) matrix.

Source: the sub-orientation attention of FaceSleuth-R, which generalises the paper's contour-vertical attention; the
linear sharing replaces its straight-through estimate of the angle.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class LineGrid(NamedTuple):
    """How the P = height * width pixels of a map are shared among the lines of one axis.

    The pooling pairs (entry e: pixel -> bin) are sorted by bin; every pixel has three of them, bins k - 1, k and k + 1
    for k = floor(s), because the derivative on a bin reaches both neighbours.
    """

    theta: Tensor  # () angle of the axis in radians; gradients reach the angle through it
    height_px: int
    width_px: int
    bins: int
    position: Tensor  # (P,) float: bin coordinate of every pixel
    speed: Tensor  # (P,) float: derivative of `position` by theta, bins per radian
    entry_pixel: Tensor  # (3P,) int64
    entry_weight: Tensor  # (3P,) float
    entry_slope: Tensor  # (3P,) float: derivative of `entry_weight` by theta
    bin_start: Tensor  # (bins,) int64: first entry of every bin
    read_bin: Tensor  # (P, 2) int64: the two bins a pixel reads
    read_weight: Tensor  # (P, 2) float


def bin_count(height_px: int, width_px: int) -> int:
    """Bins that hold the diagonal at any angle, with one spare bin at each end."""
    return 2 * _middle_bin(height_px, width_px) + 1


def centre_position(theta: Tensor, height_px: int, width_px: int) -> Tensor:
    """Bin coordinate of the centre of the map; differentiable in theta (radians)."""
    return _middle_bin(height_px, width_px) + _grid_offset(theta, height_px, width_px)


def hat(distance: Tensor) -> Tensor:
    """Linear weight max(0, 1 - |distance|), whose gradient at a kink is the mean of its two sides."""
    with torch.no_grad():
        reach = distance.abs()
        inside = (reach < 1).to(distance.dtype) + 0.5 * (reach == 1).to(distance.dtype)
        weight, slope = (1 - reach).clamp(min=0), -distance.sign() * inside
    return weight + slope * (distance - distance.detach())


def line_grid(theta: Tensor, height_px: int, width_px: int, dtype: torch.dtype) -> LineGrid:
    """Place the pixels of a (height_px, width_px) map on the lines of angle `theta` (a () tensor, radians)."""
    with torch.no_grad():
        position, speed = _project(theta.detach(), height_px, width_px)
        lower = position.floor()
        fraction = position - lower
        bins = bin_count(height_px, width_px)
        low = lower.long()
        on_bin = fraction == 0
        half = torch.full_like(speed, 0.5)
        zero, one = torch.zeros_like(speed), torch.ones_like(speed)
        slope = torch.stack(
            [torch.where(on_bin, -half, zero), torch.where(on_bin, zero, -one), torch.where(on_bin, half, one)]
        )
        weight = torch.stack([zero, 1 - fraction, fraction])
        entry_bin, order = torch.stack([low - 1, low, low + 1]).flatten().sort(stable=True)
        start = torch.searchsorted(entry_bin, torch.arange(bins, device=theta.device))
    return LineGrid(
        theta=theta,
        height_px=height_px,
        width_px=width_px,
        bins=bins,
        position=position.to(dtype),
        speed=speed.to(dtype),
        entry_pixel=order % (height_px * width_px),
        entry_weight=weight.flatten()[order].to(dtype),
        entry_slope=(slope * speed).flatten()[order].to(dtype),
        bin_start=start,
        read_bin=torch.stack([low, low + 1], dim=1),
        read_weight=torch.stack([1 - fraction, fraction], dim=1).to(dtype),
    )


def line_means(rows: Tensor, grid: LineGrid) -> tuple[Tensor, Tensor]:
    """Weighted mean of every line.

    A bin that holds less than one pixel (only beyond the corners) is completed to one with the mean of the map, so
    that its value has no jump where it falls empty.

    Args:
        rows: (B, H * W, C), float32 or float64.
        grid: the lines.

    Returns:
        means (B, bins, C) and the share of a pixel, at most 1, that each bin holds (1, bins, 1).
    """
    ones = torch.ones_like(rows[:1, :, :1])
    sums, weight = pool_lines(rows, grid), pool_lines(ones, grid)
    map_mean = sums.sum(dim=1, keepdim=True) / rows.shape[1]
    means = (sums + (1 - weight).clamp(min=0) * map_mean) / weight.clamp(min=1)
    return means, weight.clamp(max=1)


def pool_lines(rows: Tensor, grid: LineGrid) -> Tensor:
    """Sum pixels (B, H * W, C) into bins (B, bins, C) with the grid's weights."""
    if _needs_matrix(rows):
        return torch.einsum("np,bpc->bnc", _matrix(grid), rows)
    result: Tensor = _PoolLines.apply(rows, grid.theta, grid)
    return result


def reweight(rows: Tensor, profile: Tensor, grid: LineGrid) -> Tensor:
    """Multiply pixels (B, H * W, C) by the line values (B, bins, C) read back at each of them."""
    if _needs_matrix(rows):
        return rows * torch.einsum("np,bnc->bpc", _matrix(grid), profile)
    result: Tensor = _Reweight.apply(rows, profile, grid.theta, grid)
    return result


def _middle_bin(height_px: int, width_px: int) -> int:
    # Half the diagonal, half a bin of offset, one spare bin for the derivative of a pixel on the first bin.
    return math.ceil(math.hypot(height_px - 1, width_px - 1) / 2 + 0.5) + 1


def widened(theta: Tensor) -> Tensor:
    """An angle in the widest float that has a sine there."""
    # Neither Apple's GPUs nor the onnxruntime of Python 3.10 have one of doubles.
    narrow = theta.device.type == "mps" or _is_exporting()
    return theta.to(torch.float32 if narrow else torch.float64)


def _grid_offset(theta: Tensor, height_px: int, width_px: int) -> Tensor:
    """Offset of the bins from the centre of the map: 1/2 at 90 degrees for even heights, at 0 for even widths.

    o(t + 180) = -o(t) modulo 1, so half a turn only numbers the bins backwards.
    """
    even_height, even_width = height_px % 2 == 0, width_px % 2 == 0
    if even_height and even_width:
        return torch.full_like(theta, 0.5)
    if even_height:
        return 0.5 * theta.sin()
    if even_width:
        return 0.5 * theta.cos()
    return torch.zeros_like(theta)


def _project(theta: Tensor, height_px: int, width_px: int) -> tuple[Tensor, Tensor]:
    """Bin coordinate of every pixel (P,) and its derivative by theta, as wide as `widened` makes it."""
    angle = widened(theta)
    wide = angle.dtype
    y = torch.arange(height_px, device=theta.device, dtype=wide) - (height_px - 1) / 2
    x = torch.arange(width_px, device=theta.device, dtype=wide) - (width_px - 1) / 2
    y, x = (part.flatten() for part in torch.meshgrid(y, x, indexing="ij"))
    position = x * angle.cos() + y * angle.sin() + centre_position(angle, height_px, width_px)
    offset_speed = _grid_offset(angle + math.pi / 2, height_px, width_px)  # d sin(t) = sin(t + 90), d cos likewise
    if height_px % 2 == width_px % 2:
        offset_speed = torch.zeros_like(offset_speed)
    speed = y * angle.cos() - x * angle.sin() + offset_speed
    # 90 degrees has no exact radian: what is off a bin by rounding of theta alone is on it.
    rounding = 4 * torch.finfo(theta.dtype).eps * math.hypot(height_px, width_px)
    nearest = position.round()
    return torch.where((position - nearest).abs() <= rounding, nearest, position), speed


def _needs_matrix(rows: Tensor) -> bool:
    return _is_exporting() or rows.device.type not in ("cpu", "cuda", "meta")


def _is_exporting() -> bool:
    return bool(torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting())


def _matrix(grid: LineGrid) -> Tensor:
    """The weights as a (bins, P) matrix, differentiable in theta."""
    moved = grid.position + grid.speed * (grid.theta - grid.theta.detach()).to(grid.speed.dtype)
    return hat(moved - torch.arange(grid.bins, device=moved.device, dtype=moved.dtype)[:, None])


def _sum_entries(rows: Tensor, grid: LineGrid, entry_weight: Tensor) -> Tensor:
    """Pixels (B, P, C) -> bins (B, bins, C)."""
    batch, pixels, channels = rows.shape
    image = torch.arange(batch, device=rows.device)[:, None]
    bags = F.embedding_bag(
        (grid.entry_pixel + image * pixels).flatten(),
        rows.reshape(batch * pixels, channels),
        (grid.bin_start + image * grid.entry_pixel.numel()).flatten(),
        mode="sum",
        per_sample_weights=entry_weight.expand(batch, -1).flatten(),
    )
    return bags.view(batch, grid.bins, channels)


def _read_pixels(profile: Tensor, grid: LineGrid) -> Tensor:
    """Bins (B, bins, C) -> pixels (B, P, C)."""
    batch, bins, channels = profile.shape
    image = torch.arange(batch, device=profile.device)[:, None, None]
    pixels = F.embedding_bag(
        (grid.read_bin + image * bins).flatten(0, 1),
        profile.reshape(batch * bins, channels),
        mode="sum",
        per_sample_weights=grid.read_weight.expand(batch, -1, -1).flatten(0, 1),
    )
    return pixels.view(batch, -1, channels)


class _PoolLines(torch.autograd.Function):
    """Pooling; its backward reads back, so nothing of the size of the map is kept."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, theta: Tensor, grid: LineGrid) -> Tensor:
        ctx.grid = grid._replace(theta=theta.detach())
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(_sum_entries(rows, grid, grid.entry_slope))
        return _sum_entries(rows, grid, grid.entry_weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        grad_rows = _read_pixels(gradient, ctx.grid) if ctx.needs_input_grad[0] else None
        grad_theta = None
        if ctx.needs_input_grad[1]:
            (sums_slope,) = ctx.saved_tensors
            grad_theta = (gradient * sums_slope).sum().to(ctx.grid.theta.dtype)
        return grad_rows, grad_theta, None


class _Reweight(torch.autograd.Function):
    """Reading back and multiplying in one step; keeps its inputs only, and reads the attention again in backward."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, profile: Tensor, theta: Tensor, grid: LineGrid) -> Tensor:
        ctx.grid = grid._replace(theta=theta.detach())
        ctx.save_for_backward(rows, profile)
        return _read_pixels(profile, grid).mul_(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        rows, profile = ctx.saved_tensors
        grid: LineGrid = ctx.grid
        grad_rows = _read_pixels(profile, grid).mul_(gradient) if ctx.needs_input_grad[0] else None
        grad_profile = grad_theta = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            product = gradient * rows
            grad_profile = _sum_entries(product, grid, grid.entry_weight)
            if ctx.needs_input_grad[2]:
                change = _sum_entries(product, grid, grid.entry_slope)
                grad_theta = (profile * change).sum().to(grid.theta.dtype)
        return grad_rows, grad_profile, grad_theta, None
