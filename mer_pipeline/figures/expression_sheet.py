"""One predicted expression on one page: what moved, where the network attended, and its probabilities.

The page is 1200 pixels wide: as wide as a phone's screen in its own pixels, where its letters are as large as the
phone's, and no wider than a window on a desk.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from PIL import ImageDraw

from mer_pipeline.arrays import Image
from mer_pipeline.cache import write_atomically
from mer_pipeline.facs import AU_NAMES
from mer_pipeline.figures import panels, style
from mer_pipeline.figures.panels import Panel
from mer_pipeline.figures.style import ACCENT, INK, PAPER, SOFT_INK, TRACK, font
from mer_pipeline.inference.predictor import ExpressionImages
from mer_pipeline.inference.result import Expression
from mer_pipeline.networks import holds

WIDTH = 1200
_MARGIN, _GAP = 36, 28
_SIDE = (WIDTH - 2 * _MARGIN - _GAP) // 2
_LABEL, _BAR = 64, 80  # heights of a picture's label and of a bar with its text
_TEXT = 38  # height of letters: 12 pixels where a phone shows the page
_LINE, _LETTERS = 54, 58
_MOST_AUS = 8
_MOST_BESIDE = 6  # bars beside a picture


def write_sheet(images: ExpressionImages, path: Path) -> None:
    """Draw an expression as PNG; the file has mode 0600, since it shows a face.

    Raises:
        WriteError: The file cannot be written.
    """
    write_atomically(path, style.png(draw_sheet(images)))


def draw_sheet(images: ExpressionImages) -> Image:
    """The page, (height, 1200, 3) uint8 RGB."""
    pictures = _panels(images)
    emotions = [(name, p) for name, p in sorted(images.expression.probabilities.items(), key=lambda each: -each[1])]
    # The likeliest Action Units: a list of 21 bars would be mostly nothing.
    aus = [(f"{number} {AU_NAMES[int(number)]}", p) for number, p in images.expression.likely_aus(0.0)[:_MOST_AUS]]
    rows = -(-len(pictures) // 2)
    beside = len(pictures) % 2 == 1 and len(emotions) <= _MOST_BESIDE
    below = [("Action Units", aus)] if beside else [("emotion", emotions), ("Action Units", aus)]
    below = [(title, bars) for title, bars in below if bars]
    top = 2 * _MARGIN + 150 + len(_remarks(images)) * _LINE
    height = top + rows * (_LABEL + _SIDE + _GAP) + sum(_bars_height(len(bars)) for _, bars in below) + _MARGIN
    page, pen = style.canvas((WIDTH, height), PAPER)
    _heading(pen, images)
    for at, panel in enumerate(pictures):
        x, y = _MARGIN + at % 2 * (_SIDE + _GAP), top + at // 2 * (_LABEL + _SIDE + _GAP)
        style.place(page, panel, (x, y), _LABEL, _TEXT)
    if beside:
        x, y = _MARGIN + _SIDE + _GAP, top + (rows - 1) * (_LABEL + _SIDE + _GAP)
        _bars(pen, (x, y), _SIDE, "emotion", emotions)
    y = top + rows * (_LABEL + _SIDE + _GAP)
    for title, bars in below:
        _bars(pen, (_MARGIN, y), WIDTH - 2 * _MARGIN, title, bars)
        y += _bars_height(len(bars))
    return np.asarray(page)


def _heading(pen: ImageDraw.ImageDraw, images: ExpressionImages) -> None:
    found = images.expression
    text, _colour = style.headline(found)
    pen.text((_MARGIN, _MARGIN), style.fitted(text, WIDTH - 2 * _MARGIN, font(64, True)), INK, font(64, True))
    facts = [
        Path(images.clip).name,
        _when(found),
        *([f"AUs given: {found.aus_given}"] if found.aus_given else []),
    ]
    for row, line in enumerate(["   ".join(facts), *_remarks(images)]):
        room = style.fitted(line, WIDTH - 2 * _MARGIN, font(_TEXT))
        pen.text((_MARGIN, _MARGIN + 100 + row * _LINE), room, SOFT_INK, font(_TEXT))


def _remarks(images: ExpressionImages) -> list[str]:
    """Kind, flags and the model's words, in lines that fit."""
    found = images.expression
    said = ", ".join([f"{found.kind}-expression" if found.kind else "an expression of unknown length", *found.flags])
    return [line for text in (said, images.model) for line in textwrap.wrap(text, _LETTERS)]


def _when(found: Expression) -> str:
    frames = f"frames {found.onset_frame}, {found.apex_frame}"
    frames += "" if found.offset_frame is None else f", {found.offset_frame}"
    if found.onset_s is None or found.offset_s is None:
        return frames
    return f"{frames}   at {found.onset_s:.2f} s for {found.offset_s - found.onset_s:.2f} s"


def _panels(images: ExpressionImages) -> list[Panel]:
    """What there is to show of an expression, in the order of the page."""
    onset, apex = images.onset, images.apex
    shown = [
        panels.picture(onset, "onset", _SIDE),
        panels.picture(apex, "apex", _SIDE),
        panels.difference(onset, apex, _SIDE),
        panels.flow_colours(images.flow, panels.full_scale(images.flow), _SIDE),
    ]
    if images.attention is not None:
        caption = f"attention, axis at {images.attention.theta_deg % 180:.0f}°"
        drawn = panels.attention(panels.weights(images.attention, _SIDE), caption, onset, _SIDE)
        # What the answer does not hang on is not drawn.
        shown.append(
            drawn if holds(images.attention) else Panel("attention: not drawn", np.full_like(drawn.image, 238))
        )
    if images.dynamic is not None:
        shown.append(panels.dynamic_image(images.dynamic.built, "dynamic image, built", _SIDE))
        shown.append(panels.dynamic_image(images.dynamic.target, "its target", _SIDE))
    return shown


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
        pen.text((x, top), style.fitted(name, room, font(_TEXT)), INK, font(_TEXT))
        pen.text((x + width, top), number, INK, font(_TEXT), anchor="ra")
        pen.rounded_rectangle((x, top + 50, x + width, top + 62), 6, TRACK)
        if p * width >= 12:
            pen.rounded_rectangle(
                (x, top + 50, x + p * width, top + 62), 6, ACCENT if p >= 0.5 or row == 0 else SOFT_INK
            )
