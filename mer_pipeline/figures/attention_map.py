"""A map of attention for a page: on the face, or below a schematic face where no pixel of a crop may be shown."""

from __future__ import annotations

import base64

import cv2
from markupsafe import Markup

from mer_pipeline.arrays import Image
from mer_pipeline.figures import panels
from mer_pipeline.figures.panels import Panel
from mer_pipeline.figures.svg import drawing, element
from mer_pipeline.networks import CellMap, LineMap

_SIDE = 100.0
_MAP_PX = 84  # of a map without a face: a multiple of the sides of the networks' maps, 14 and 28
_QUALITY, _LOSSLESS = 88, 101  # of WebP, as OpenCV counts

# A face as `faces.align` places it: the eyes on the row 0.37, 0.34 apart. Drawn by hand after the mean of Face Mesh's
# points on synthetic faces; it shows no person.
_OUTLINE = (
    "M50 10.5C72 10.5 86.5 20 86.5 42C86.5 62 80 80 68 90C62 95.5 56 97.5 50 97.5C44 97.5 38 95.5 32 90"
    "C20 80 13.5 62 13.5 42C13.5 20 28 10.5 50 10.5Z",
    "M18.5 29.5C24 24.5 34 24.5 42 28",
    "M81.5 29.5C76 24.5 66 24.5 58 28",
    "M25 37C29 33 37 33 41 37.3C36 40 29 40 25 37Z",
    "M75 37C71 33 63 33 59 37.3C64 40 71 40 75 37Z",
    "M46.5 38C46.5 47 44 52 39.5 56C40.5 60 46 60.5 50 61C54 60.5 59.5 60 60.5 56",
    "M32 67.5C38 65.5 44 65.5 50 67.3C56 65.5 62 65.5 68 67.5C62 76 56 78.7 50 78.7C44 78.7 38 76 32 67.5Z",
    "M33.5 68C42 70.5 58 70.5 66.5 68",
)


def attention_map(seen: LineMap | CellMap, caption: str, face: Image | None, outline: bool) -> Markup:
    """A map in colour, from its smallest value (dark) to its largest.

    Args:
        seen: What is drawn.
        caption: What it is of, for readers who do not see it.
        face: The crop to draw it on; None for none.
        outline: Whether to draw a schematic face, where there is no crop.
    """
    side = _MAP_PX if face is None else len(face)
    panel = panels.attention(panels.weights(seen, side), caption, face)
    if face is not None:
        return img(panel)
    parts = [element("image", href=_uri(panel, _LOSSLESS), width=_SIDE, height=_SIDE, class_="heat")]
    if outline:
        parts += [element("path", d=d, class_=kind) for kind in ("casing", "outline") for d in _OUTLINE]
    return drawing(_SIDE, _SIDE, *parts, label=caption, class_="map")


def img(panel: Panel) -> Markup:
    """A panel as an `img` element that holds it."""
    return Markup('<img class="map" src="{}" alt="{}">').format(_uri(panel, _QUALITY), panel.caption)


def _uri(panel: Panel, quality: int) -> str:
    _, encoded = cv2.imencode(".webp", panel.image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode()
