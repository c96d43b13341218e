"""Drawing in SVG: elements as text that is safe to put into a page, and the ticks of an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Point = tuple[float, float]


def element(name: str, *content: str, **attributes: object) -> Markup:
    """An element; content that is no Markup is escaped, `_` in attribute names becomes `-`, None is left out.

    >>> element("text", "a < b", x=1.25, text_anchor="end", class_="tick")
    Markup('<text x="1.25" text-anchor="end" class="tick">a &lt; b</text>')
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_number(value) if isinstance(value, float) else escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(part) for part in content)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def drawing(width: float, height: float, *content: str, label: str, class_: str = "figure") -> Markup:
    """An `svg` element that fills the width it is given; `label` is read to those who do not see it."""
    view = f"0 0 {_number(width)} {_number(height)}"
    return element("svg", *content, viewBox=view, role="img", aria_label=label, class_=class_)


def text(at: Point, content: str, class_: str = "tick", anchor: str = "middle") -> Markup:
    """A line of text."""
    return element("text", content, x=float(at[0]), y=float(at[1]), text_anchor=anchor, class_=class_)


def line(start: Point, end: Point, class_: str = "grid") -> Markup:
    """A straight line."""
    return element("line", x1=float(start[0]), y1=float(start[1]), x2=float(end[0]), y2=float(end[1]), class_=class_)


def dot(at: Point, radius: float, class_: str, title: str = "") -> Markup:
    """A circle with a tooltip."""
    inside = [element("title", title)] if title else []
    return element("circle", *inside, cx=float(at[0]), cy=float(at[1]), r=float(radius), class_=class_)


def path(points: Iterable[Point | None], class_: str, title: str = "", closed: bool = False) -> Markup:
    """A path through points; None, and a point that is not finite, lifts the pen."""
    steps, down = [], False
    for point in points:
        if point is None or not all(map(math.isfinite, point)):
            down = False
            continue
        steps.append(f"{'L' if down else 'M'}{_number(point[0])} {_number(point[1])}")
        down = True
    inside = [element("title", title)] if title else []
    return element("path", *inside, d="".join(steps) + ("Z" if closed and steps else ""), class_=class_)


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers inside low..high, about as many as wanted.

    >>> ticks(0.0, 1.62), ticks(-0.13, 0.21)
    ([0.0, 0.5, 1.0, 1.5], [-0.1, 0.0, 0.1, 0.2])
    """
    rough = max(high - low, 1e-9) / wanted
    scale = 10 ** math.floor(math.log10(rough))
    step = next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= 0.999 * rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.10g}") + 0.0 for index in range(first, last + 1)]


def tick_label(value: float, among: Sequence[float]) -> str:
    """A tick with as many digits as its axis needs.

    >>> tick_label(0.5, [0, 0.25, 0.5]), tick_label(2e-7, [0, 2e-7])
    ('0.50', '2e-7')
    """
    largest = max(map(abs, among), default=0.0)
    if 0 < largest < 1e-3:
        return f"{value:.2g}".replace("e-0", "e-")
    digits = next((n for n in range(4) if all(abs(round(v, n) - v) < 1e-9 for v in among)), 4)
    return f"{value:.{digits}f}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
