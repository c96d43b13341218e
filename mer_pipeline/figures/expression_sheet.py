"""One expression on one page: what moved, where the network looked, and what it said.

The page is 1200 pixels wide: as wide as a phone's screen in its own pixels, where its letters are as large as the
phone's, and no wider than a window on a desk.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw

from mer_pipeline.arrays import Image
from mer_pipeline.cache import write_atomically
from mer_pipeline.facs import AU_NAMES
from mer_pipeline.figures import style as drawing
from mer_pipeline.figures.flow_colours import colour_flow, colour_wheel, round_up
from mer_pipeline.figures.style import ACCENT, INK, PAPER, SOFT_INK, TRACK, font
from mer_pipeline.inference.predictor import ExpressionImages
from mer_pipeline.inference.result import Expression
from mer_pipeline.networks import LineMap
from mer_pipeline.stages.flow import motion

WIDTH = 1200
_MARGIN, _GAP = 36, 28
_SIDE = (WIDTH - 2 * _MARGIN - _GAP) // 2
_LABEL, _BAR = 64, 80  # heights of a picture's label and of a bar with its text
_TEXT = 38  # height of letters: 12 pixels where a phone shows the page
_FLOW_PX = 224
_WHEEL = 120
_MOST_AUS = 8
_MOST_BESIDE = 6  # bars beside a picture


def write_sheet(sight: ExpressionImages, path: Path) -> None:
    """Draw an expression as PNG; the file has mode 0600, since it shows a face.

    Raises:
        WriteError: The file cannot be written.
    """
    buffer = io.BytesIO()
    Pillow.fromarray(draw_sheet(sight)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def draw_sheet(sight: ExpressionImages) -> Image:
    """The page, (height, 1200, 3) uint8 RGB."""
    pictures = [("onset", sight.onset), ("apex", sight.apex), _difference(sight), _flow(sight)]
    if sight.attention is not None:
        pictures.append(_attention(sight.onset, sight.attention))
    if sight.dynamic is not None:
        pictures += [("dynamic image, built", _grey(sight.dynamic.built)), ("its target", _grey(sight.dynamic.target))]
    emotions = [(name, p) for name, p in sorted(sight.expression.probabilities.items(), key=lambda each: -each[1])]
    # The likeliest Action Units: a list of 21 bars would be mostly nothing.
    aus = [(f"{number} {AU_NAMES[int(number)]}", p) for number, p in sight.expression.likely_aus(0.0)[:_MOST_AUS]]
    rows = -(-len(pictures) // 2)
    beside = len(pictures) % 2 == 1 and len(emotions) <= _MOST_BESIDE
    below = [("Action Units", aus)] if beside else [("emotion", emotions), ("Action Units", aus)]
    below = [(title, bars) for title, bars in below if bars]
    top = 2 * _MARGIN + 150
    height = top + rows * (_LABEL + _SIDE + _GAP) + sum(_bars_height(len(bars)) for _, bars in below) + _MARGIN
    page, pen = drawing.canvas((WIDTH, height), PAPER)
    _heading(pen, sight)
    for at, (label, picture) in enumerate(pictures):
        x, y = _MARGIN + at % 2 * (_SIDE + _GAP), top + at // 2 * (_LABEL + _SIDE + _GAP)
        pen.text((x, y), label, INK, font(_TEXT))
        page.paste(Pillow.fromarray(_square(picture)), (x, y + _LABEL))
    if beside:
        x, y = _MARGIN + _SIDE + _GAP, top + (rows - 1) * (_LABEL + _SIDE + _GAP)
        _bars(pen, (x, y), _SIDE, "emotion", emotions)
    y = top + rows * (_LABEL + _SIDE + _GAP)
    for title, bars in below:
        _bars(pen, (_MARGIN, y), WIDTH - 2 * _MARGIN, title, bars)
        y += _bars_height(len(bars))
    return np.asarray(page)


def _heading(pen: ImageDraw.ImageDraw, sight: ExpressionImages) -> None:
    found = sight.expression
    text, _colour = drawing.headline(found)
    pen.text((_MARGIN, _MARGIN), drawing.fitted(text, WIDTH - 2 * _MARGIN, font(64, True)), INK, font(64, True))
    facts = [Path(sight.clip).name, _when(found), *([f"AUs {found.aus_source}"] if found.aus_source == "given" else [])]
    line = drawing.fitted("   ".join(facts), WIDTH - 2 * _MARGIN, font(_TEXT))
    pen.text((_MARGIN, _MARGIN + 100), line, SOFT_INK, font(_TEXT))


def _when(found: Expression) -> str:
    frames = f"frames {found.onset_frame}, {found.apex_frame}"
    frames += "" if found.offset_frame is None else f", {found.offset_frame}"
    if found.onset_s is None or found.offset_s is None:
        return frames
    return f"{frames}   at {found.onset_s:.2f} s for {found.offset_s - found.onset_s:.2f} s"


def _square(picture: Image) -> Image:
    how = cv2.INTER_AREA if picture.shape[0] > _SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=how), np.uint8)


def _difference(sight: ExpressionImages) -> tuple[str, Image]:
    """Apex less onset in grey, amplified as far as most of it fits."""
    onset, apex = (image.astype(np.float32).mean(-1) for image in (sight.onset, sight.apex))
    difference = cv2.GaussianBlur(apex - onset, (0, 0), 1.0)
    factor = max(1, int(110 / max(float(np.percentile(np.abs(difference), 99.5)), 1.0)))
    shown = np.clip(128 + factor * difference, 0, 255).astype(np.uint8)
    return f"difference × {factor}", np.repeat(shown[..., None], 3, -1)


def _flow(sight: ExpressionImages) -> tuple[str, Image]:
    size = (_FLOW_PX, _FLOW_PX)
    onset, apex = (
        np.asarray(cv2.resize(i, size, interpolation=cv2.INTER_AREA), np.uint8) for i in (sight.onset, sight.apex)
    )
    flow = motion(onset, apex, "tvl1")[:2].astype(np.float32)
    full_px = round_up(float(np.percentile(np.hypot(*flow), 99)))
    picture = _square(colour_flow(flow, full_px))
    wheel = colour_wheel(_WHEEL)
    y, x = np.mgrid[:_WHEEL, :_WHEEL] - (_WHEEL - 1) / 2
    inside = np.hypot(x, y) < _WHEEL / 2
    corner = picture[-_WHEEL - 12 : -12, 12 : _WHEEL + 12]
    corner[inside] = wheel[inside]
    return f"motion, rim {full_px:g} px", picture


def _grey(values: npt.NDArray[np.float32]) -> Image:
    """(size, size) in 0..1 -> (size, size, 3) uint8."""
    return np.repeat((255 * values.clip(0, 1)).round().astype(np.uint8)[..., None], 3, -1)


def _attention(onset: Image, seen: LineMap) -> tuple[str, Image]:
    """The attention over the face: dark where less was let through."""
    side = onset.shape[0]
    weights = cv2.resize(seen.weights, (side, side), interpolation=cv2.INTER_CUBIC)
    low, high = float(weights.min()), float(weights.max())
    share = (weights - low) / max(high - low, 1e-6)
    heat = cv2.cvtColor(cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    grey = onset.astype(np.float32).mean(-1, keepdims=True)
    mixed = 0.5 * grey + 0.5 * heat.astype(np.float32)
    return f"attention, axis at {seen.theta_deg % 180:.0f}°", mixed.astype(np.uint8)


def _bars_height(count: int) -> int:
    return _LABEL + count * _BAR + _GAP


def _bars(pen: ImageDraw.ImageDraw, at: tuple[int, int], width: int, title: str, bars: list[tuple[str, float]]) -> None:
    """Named probabilities, the first one in colour."""
    x, y = at
    pen.text((x, y), title, INK, font(_TEXT))
    for row, (name, p) in enumerate(bars):
        top = y + _LABEL + row * _BAR
        number = f"{100 * p:.0f} %"
        room = width - font(_TEXT).getlength(number) - 12
        pen.text((x, top), drawing.fitted(name, room, font(_TEXT)), INK, font(_TEXT))
        pen.text((x + width, top), number, INK, font(_TEXT), anchor="ra")
        pen.rounded_rectangle((x, top + 50, x + width, top + 62), 6, TRACK)
        if p * width >= 12:
            pen.rounded_rectangle(
                (x, top + 50, x + p * width, top + 62), 6, ACCENT if p >= 0.5 or row == 0 else SOFT_INK
            )
