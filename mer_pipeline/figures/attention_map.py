"""Where a network looked, drawn over a schematic face or over the face itself."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from mer_pipeline.arrays import Image
from mer_pipeline.figures.svg import drawing, element
from mer_pipeline.networks import CellMap, LineMap

_SIDE = 100.0
_JPEG_QUALITY = 88
# Viridis (matplotlib, CC0) at equal steps: read alike by all kinds of colour vision, and in print.
_VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")

# A face as `stages.align` places it: the eyes on the row 0.37, 0.34 apart. Drawn by hand after the mean of Face Mesh's
# points on synthetic faces; it is nobody's.
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


def colour(share: float) -> str:
    """The colour of a value from 0 to 1.

    >>> colour(0.0), colour(1.0)
    ('#440154', '#fde725')
    """
    place = min(max(share, 0.0), 1.0) * (len(_VIRIDIS) - 1)
    low = min(int(place), len(_VIRIDIS) - 2)
    pair = [np.array([int(code[at : at + 2], 16) for at in (1, 3, 5)]) for code in _VIRIDIS[low : low + 2]]
    mixed = pair[0] + (place - low) * (pair[1] - pair[0])
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


def heat(seen: LineMap | CellMap, number: int, face: Image | None, outline: bool) -> Markup:
    """A map in colour.

    Args:
        seen: What is drawn, from its smallest value (dark) to its largest.
        number: Of this drawing on the page, since names inside are the page's.
        face: The crop to draw it on; None for none.
        outline: Whether to draw a schematic face, where there is no crop.
    """
    parts: list[Markup] = []
    if face is not None:
        # In grey: a coloured face would tint the colours of the map.
        grey = np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.uint8)
        parts.append(element("image", href=data_uri(grey), width=_SIDE, height=_SIDE))
    drawn = _lines(seen, f"lines-{number}") if isinstance(seen, LineMap) else _cells(seen)
    parts.append(element("g", *drawn, class_="heat over" if face is not None else "heat"))
    if face is None and outline:
        parts += [element("path", d=d, class_=kind) for kind in ("casing", "outline") for d in _OUTLINE]
    return drawing(_SIDE, _SIDE, *parts, label=seen.title, class_="map")


def _lines(seen: LineMap, name: str) -> list[Markup]:
    """Values along an axis. What is read back at a pixel is linear between two lines: a gradient is the exact map."""
    low, high = min(seen.values), max(seen.values)
    across, down = math.cos(math.radians(seen.theta_deg)), math.sin(math.radians(seen.theta_deg))
    ends = [(50 + _SIDE * reach * across, 50 + _SIDE * reach * down) for reach in (seen.start, seen.end)]
    stops = [
        element("stop", offset=number / (len(seen.values) - 1), stop_color=colour(_share(value, low, high)))
        for number, value in enumerate(seen.values)
    ]
    (x1, y1), (x2, y2) = ends
    gradient = element(
        "linearGradient", *stops, id=name, gradientUnits="userSpaceOnUse", x1=x1, y1=y1, x2=x2, y2=y2
    )  # fmt: skip
    return [gradient, element("rect", width=_SIDE, height=_SIDE, fill=f"url(#{name})")]


def _cells(seen: CellMap) -> list[Markup]:
    rows, columns = seen.values.shape
    low, high = float(seen.values.min()), float(seen.values.max())
    height, width = _SIDE / rows, _SIDE / columns
    return [
        element(
            "rect",
            x=column * width,
            y=row * height,
            width=width + 0.2,  # neighbours overlap a little, or their seams show
            height=height + 0.2,
            fill=colour(_share(float(seen.values[row, column]), low, high)),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def data_uri(image: Image) -> str:
    """A picture, (H, W) grey or (H, W, 3) RGB, as an address that holds it."""
    bgr = image if image.ndim == 2 else image[..., ::-1]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def difference(onset: Image, apex: Image) -> tuple[Image, int]:
    """Apex less onset in grey around 128, amplified as far as most of it fits; and the factor."""
    change = apex.astype(np.float32).mean(-1) - onset.astype(np.float32).mean(-1)
    factor = max(1, int(110 / max(float(np.percentile(np.abs(change), 99.5)), 1.0)))
    return np.clip(128 + factor * change, 0, 255).astype(np.uint8), factor


def unit_image(values: Sequence[Sequence[float]] | npt.NDArray[np.float32]) -> Image:
    """Values 0 to 1 as grey."""
    return np.clip(np.rint(np.asarray(values) * 255), 0, 255).astype(np.uint8)
