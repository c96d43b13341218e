"""What the stages and the networks made of a clip, as pictures: each made here once, and placed by sheets and reports.

A panel is plain RGB and a caption, so that a page, a PNG and a video can place the same one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Image, Mask
from mer_pipeline.figures.style import ARROW
from mer_pipeline.networks import CellMap, LineMap

_REACH = 110  # grey levels from the middle that the amplified difference may take
_SMOOTHED_PX = 448  # side of a crop whose difference is smoothed by one pixel; small crops are not smoothed
_ARROWS = 20  # along a side
_ARROW_SHARE = 0.11  # of the side, for motion as long as the scale says
_STILL = 0.06  # of the scale: arrows shorter than this would be dots
_WHEEL_SHARE = 0.2


@dataclass(frozen=True)
class Panel:
    """A picture and the words for it.

    Attributes:
        caption: What it shows, with its scale.
        image: (side, side, 3) uint8 RGB.
    """

    caption: str
    image: Image

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"expected (side, side, 3) uint8, got {self.image.shape} {self.image.dtype}")


def picture(crop: Image, caption: str, side: int | None = None) -> Panel:
    """A crop as it is, (size, size, 3) uint8 RGB; `side` None leaves its size, here and below."""
    return Panel(caption, _scaled(crop, side))


def difference(onset: Image, apex: Image, side: int | None = None) -> Panel:
    """Apex less onset in grey around 128, amplified as far as most of it fits."""
    change = _grey(apex) - _grey(onset)
    # The noise of single pixels, of which a large crop has many, would decide on the factor.
    if (sigma := len(change) / _SMOOTHED_PX) >= 0.5:
        change = np.asarray(cv2.GaussianBlur(change, (0, 0), sigma), np.float32)
    factor = max(1, int(_REACH / max(float(np.percentile(np.abs(change), 99.5)), 1.0)))
    return Panel(f"apex − onset, × {factor}", _scaled(_in_three(128 + factor * change), side))


def full_scale(flow: FloatImage) -> float:
    """The length in pixels that has full colour: a round number that 99 % of a flow field stay below."""
    return round_up(float(np.percentile(np.hypot(*flow[:2]), 99)))


def flow_colours(flow: FloatImage, full_px: float, side: int | None = None, by: str = "") -> Panel:
    """Flow as colour, with its wheel in the lower left corner.

    Args:
        flow: (2 or more, size, size), u and v in pixels.
        full_px: See `full_scale`.
        side: Of the panel.
        by: The method, for the caption.
    """
    shown = _scaled(colour_flow(flow, full_px), side)
    size = round(_WHEEL_SHARE * len(shown))
    edge = max(1, size // 10)
    corner = shown[-size - edge : -edge, edge : edge + size]
    corner[_disc(size)] = colour_wheel(size)[_disc(size)]
    return Panel(f"flow{by and f' by {by}'}; wheel's rim: {full_px:g} px", shown)


def flow_arrows(flow: FloatImage, onset: Image, full_px: float, side: int) -> Panel:
    """Flow as arrows on the onset in pale grey; the arrow in the lower left corner is the scale."""
    shown = _scaled(_in_three(128 + 0.5 * (_grey(onset) - 128)), side)
    size, scale = len(onset), side / len(onset)
    longer = _ARROW_SHARE * size / full_px
    at = ((np.arange(_ARROWS) + 0.5) * size / _ARROWS).astype(int)
    x, y = (each.ravel() for each in np.meshgrid(at, at))
    u, v = flow[:2, y, x]
    moves = np.hypot(u, v) > _STILL * full_px
    starts = [*scale * (x + 0.5 + 1j * (y + 0.5))[moves], side * (0.05 + 0.95j)]
    arrows = [*scale * longer * (u + 1j * v)[moves], side * _ARROW_SHARE + 0j]
    for start, arrow in zip(starts, arrows, strict=True):
        corners = start + _arrow(abs(arrow), 0.0055 * side) * arrow / abs(arrow)
        corners_xy = np.rint(16 * np.stack([corners.real, corners.imag], -1)).astype(np.int32)  # sixteenths of a pixel
        cv2.fillPoly(shown, [corners_xy], ARROW, cv2.LINE_AA, 4)
    return Panel(f"flow × {longer:.0f}, arrow below left {full_px:g} px", shown)


def _arrow(length: float, width: float) -> npt.NDArray[np.complex128]:
    """The outline of an arrow to the right as complex numbers; a short one is a head that is smaller."""
    head = min(4 * width, length)
    along = np.array([0, length - head, length - head, length, length - head, length - head, 0])
    aside = np.array([0.5 * width, 0.5 * width, 0.45 * head, 0, -0.45 * head, -0.5 * width, -0.5 * width])
    return np.asarray(along + 1j * aside, np.complex128)


def flow_on_face(flow: FloatImage, onset: Image, full_px: float, side: int | None = None) -> Panel:
    """Where on the face it moved: colour of the flow, mixed in by its length."""
    share = 0.75 * np.minimum(np.hypot(*flow[:2]) / full_px, 1)[..., None]
    mixed = _grey(onset)[..., None] * (1 - share) + colour_flow(flow, full_px) * share
    return Panel("flow on the onset", _scaled(mixed.astype(np.uint8), side))


def strain(values: FloatImage, side: int) -> Panel:
    """Optical strain, (size, size) per pixel, with its scale as a bar in the lower left corner."""
    most = round_up(float(np.percentile(values, 99.5)))
    shown = _scaled(_coloured(values / most, cv2.COLORMAP_MAGMA), side)
    left, width, top, height = (round(share * side) for share in (0.05, 0.4, 0.92, 0.03))
    cv2.rectangle(shown, (left - 1, top - 1), (left + width, top + height), (255, 255, 255), 1)
    shown[top : top + height, left : left + width] = _coloured(
        np.linspace(0, 1, width, dtype=np.float32)[None], cv2.COLORMAP_MAGMA
    )
    return Panel(f"strain, 0 to {most:g} px per px", shown)


def weights(seen: LineMap | CellMap, side: int) -> FloatImage:
    """A map of attention at every pixel of a square, (side, side): linear between lines, constant in a cell."""
    if isinstance(seen, CellMap):
        return np.asarray(cv2.resize(seen.values, (side, side), interpolation=cv2.INTER_NEAREST), np.float32)
    theta = math.radians(seen.theta_deg)
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    lines = np.linspace(seen.start, seen.end, len(seen.values))
    return np.asarray(np.interp(x * math.cos(theta) + y * math.sin(theta), lines, seen.values), np.float32)


def attention(values: FloatImage, caption: str, face: Image | None = None, side: int | None = None) -> Panel:
    """Attention from its smallest value (dark) to its largest (yellow), half transparent where a face is given.

    Viridis reads alike by all kinds of colour vision, and in print. The face is grey: skin would tint the map.

    Args:
        values: (size, size).
        caption: What it is of.
        face: (side, side, 3) uint8 RGB, shown below the map.
        side: Of the panel.
    """
    side = side or (len(values) if face is None else len(face))
    large = np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    low, high = float(values.min()), float(values.max())
    share = (large - low) / (high - low) if high > low else np.full_like(large, 0.5)
    shown = _coloured(share, cv2.COLORMAP_VIRIDIS)
    if face is None:
        return Panel(caption, shown)
    return Panel(caption, (0.5 * _grey(_scaled(face, side))[..., None] + 0.5 * shown).astype(np.uint8))


def dynamic_image(values: FloatImage, caption: str, side: int | None = None) -> Panel:
    """FDP's dynamic image, (size, size) in 0..1, where 0.5 is stillness."""
    return Panel(caption, _scaled(_in_three(255 * values), side))


def colour_flow(flow: FloatImage, full_px: float) -> Image:
    """A flow field as colours: hue is the direction, saturation the length, white is still.

    Args:
        flow: (2 or more, H, W), u and v in pixels.
        full_px: The length that has full saturation; longer motion is no more colourful.

    Returns:
        (H, W, 3) uint8 RGB: right is red, and hue goes round by way of down, which is yellow-green.
    """
    u, v = np.asarray(flow[0], np.float32), np.asarray(flow[1], np.float32)
    hue = (np.degrees(np.arctan2(v, u)) % 360).astype(np.float32)
    saturation = np.minimum(np.hypot(u, v) / full_px, 1).astype(np.float32)
    rgb = cv2.cvtColor(np.stack([hue, saturation, np.ones_like(hue)], -1), cv2.COLOR_HSV2RGB)
    return np.asarray(np.rint(rgb * 255), np.uint8)


def colour_wheel(size: int) -> Image:
    """The legend of `colour_flow`: every direction, still in the middle and full at the rim; (size, size, 3) RGB."""
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / (size / 2)
    wheel = colour_flow(np.stack(np.meshgrid(axis, axis)), 1.0)
    wheel[~_disc(size)] = 255
    return wheel


def round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 5 and 7.5 times a power of ten, so that a scale reads well.

    >>> round_up(0.31), round_up(1.2), round_up(0.0)
    (0.5, 1.5, 0.01)
    """
    value = max(value, 0.01)
    power = 10.0 ** math.floor(math.log10(value))
    return round(next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * power >= value * (1 - 1e-9)), 6)


def _disc(size: int) -> Mask:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.asarray(np.hypot(x, y) <= size / 2, np.bool_)


def _grey(image: Image) -> FloatImage:
    return np.asarray(image.mean(-1, dtype=np.float32))


def _in_three(grey: FloatImage) -> Image:
    """(H, W) grey levels -> (H, W, 3) uint8."""
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, -1)


def _coloured(share: FloatImage, colours: int) -> Image:
    """Values 0 to 1 in the colours of one of OpenCV's tables, which are matplotlib's."""
    table = cv2.applyColorMap(np.clip(np.rint(255 * share), 0, 255).astype(np.uint8), colours)
    return np.asarray(table[..., ::-1], np.uint8).copy()


def _scaled(image: Image, side: int | None) -> Image:
    """A copy."""
    if side is None or side == len(image):
        return image.copy()
    how = cv2.INTER_AREA if side < len(image) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.uint8)
