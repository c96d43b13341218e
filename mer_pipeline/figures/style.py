"""Colours, fonts and sizes of all raster pictures, and the text on them; those of pages are in `reports/templates`."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from mer_pipeline.arrays import Image
from mer_pipeline.errors import printable
from mer_pipeline.inference.result import Expression

if TYPE_CHECKING:
    from mer_pipeline.figures.panels import Panel

Colour = tuple[int, int, int]

# On paper: sheets.
INK: Colour = (24, 28, 36)
SOFT_INK: Colour = (98, 106, 120)
PAPER: Colour = (255, 255, 255)
TRACK: Colour = (232, 235, 240)
ACCENT: Colour = (0, 112, 184)
# On dark ground: the strip below a video.
GROUND: Colour = (17, 20, 26)
FIELD: Colour = (26, 31, 40)
LIGHT: Colour = (240, 243, 248)
DIM: Colour = (140, 148, 162)
# On pictures: bright, since skin is not.
FACE: Colour = (255, 212, 0)
POINTS: Colour = (0, 229, 255)
CROP: Colour = (255, 79, 163)
ARROW: Colour = (255, 233, 74)
REST: Colour = (255, 255, 255)
# Verdicts and kinds: chosen to differ also without red-green vision (Okabe and Ito).
MICRO: Colour = (230, 159, 0)
MACRO: Colour = (86, 180, 233)
UNSURE: Colour = (150, 156, 168)


@functools.lru_cache(maxsize=64)
def font(size_px: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib ships."""
    # Imported here because it takes a third of a second.
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size_px)


def fitted(text: str, width_px: float, type_: ImageFont.FreeTypeFont) -> str:
    """As much of a text as is not wider than `width_px`, with an ellipsis where something is left out."""
    text = printable(text)
    if type_.getlength(text) <= width_px:
        return text
    while text and type_.getlength(f"{text}…") > width_px:
        text = text[:-1]
    return f"{text.rstrip()}…"


def canvas(size_wh: tuple[int, int], colour: Colour) -> tuple[Pillow.Image, ImageDraw.ImageDraw]:
    """An empty picture and the pen for it."""
    picture = Pillow.new("RGB", size_wh, colour)
    return picture, ImageDraw.Draw(picture)


def place(page: Pillow.Image, panel: Panel, at_xy: tuple[int, int], label_px: int, text_px: int) -> None:
    """A panel below its caption, whose letters are `text_px` high in a line of `label_px`."""
    pen, (x, y), side = ImageDraw.Draw(page), at_xy, panel.image.shape[1]
    pen.text((x, y), fitted(panel.caption, side, font(text_px)), INK, font(text_px))
    page.paste(Pillow.fromarray(panel.image), (x, y + label_px))


def keyed(image: Image, names: Sequence[tuple[str, Colour]], text_px: int) -> Image:
    """A copy with a key in the lower left corner: names in their colours, on dark ground."""
    page = Pillow.fromarray(image)
    pen, line = ImageDraw.Draw(page, "RGBA"), round(1.5 * text_px)
    for number, (name, colour) in enumerate(names, 1):
        x, y = line // 2, image.shape[0] - line // 2 - number * line
        pen.rectangle((x, y, x + font(text_px).getlength(name) + text_px // 2, y + line - 3), (0, 0, 0, 140))
        pen.text((x + text_px // 4, y + line / 2 - 1), name, colour, font(text_px), anchor="lm")
    return np.asarray(page)


def png(image: Image) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def headline(found: Expression) -> tuple[str, Colour]:
    """An expression in a few words, and their colour."""
    if found.verdict == "expression":
        return f"{found.emotion} {100 * found.probability:.0f} %", MICRO if found.kind != "macro" else MACRO
    if found.verdict == "uncertain":
        return f"uncertain ({found.emotion} {100 * found.probability:.0f} %)", UNSURE
    return "no micro-expression", UNSURE
