"""Text, bars and colours of the pictures that prediction draws."""

from __future__ import annotations

import functools
from pathlib import Path

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from mer_pipeline.inference.result import Expression

Colour = tuple[int, int, int]

INK: Colour = (24, 28, 36)
SOFT_INK: Colour = (98, 106, 120)
PAPER: Colour = (255, 255, 255)
TRACK: Colour = (232, 235, 240)
ACCENT: Colour = (0, 112, 184)
# Verdicts and kinds: chosen to differ for eyes that do not tell red from green (Okabe and Ito).
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
    if type_.getlength(text) <= width_px:
        return text
    while text and type_.getlength(f"{text}…") > width_px:
        text = text[:-1]
    return f"{text.rstrip()}…"


def canvas(size_wh: tuple[int, int], colour: Colour) -> tuple[Pillow.Image, ImageDraw.ImageDraw]:
    """An empty picture and the pen for it."""
    picture = Pillow.new("RGB", size_wh, colour)
    return picture, ImageDraw.Draw(picture)


def headline(found: Expression) -> tuple[str, Colour]:
    """An expression in a few words, and their colour."""
    if found.verdict == "expression":
        return f"{found.emotion} {100 * found.probability:.0f} %", MICRO if found.kind != "macro" else MACRO
    if found.verdict == "uncertain":
        return f"uncertain ({found.emotion} {100 * found.probability:.0f} %)", UNSURE
    return "no micro-expression", UNSURE
