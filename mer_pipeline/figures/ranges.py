"""Values and intervals on one axis, as a list of rows that the page lays out: scores, differences, subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mer_pipeline.figures.svg import tick_label, ticks


@dataclass(frozen=True)
class RangeMark:
    """A value in a row.

    Attributes:
        value: Where on the axis.
        kind: `honest`, `optimistic`, `control`, `seed` or `second`: a class of the style sheet.
        title: What it is, as a tooltip.
    """

    value: float
    kind: str
    title: str = ""


@dataclass(frozen=True)
class RangeRow:
    """One row.

    Attributes:
        label: What it is of.
        note: Numbers as text, to its right.
        aside: The optimistic number, beside the note in its own colour.
        marks: Its values.
        interval: Low and high, drawn as a bar.
        joined: Two values that a dashed line joins.
        anchor: Of the section that the label leads to; empty for none.
    """

    label: str
    note: str
    marks: Sequence[RangeMark]
    interval: tuple[float, float] | None = None
    joined: tuple[float, float] | None = None
    anchor: str = ""
    aside: str = ""


@dataclass(frozen=True)
class RangeChart:
    """Rows on one axis from `low` to `high`; `zero` asks for a line at 0."""

    rows: Sequence[RangeRow]
    low: float = 0.0
    high: float = 1.0
    zero: bool = False
    ticks: Sequence[tuple[float, str]] = field(init=False)

    def __post_init__(self) -> None:
        found = ticks(self.low, self.high, 5)
        object.__setattr__(self, "ticks", [(self.at(value), tick_label(value, found)) for value in found])

    @property
    def note_width(self) -> int:
        """Characters that the widest numbers take, so that all rows share one axis."""
        return max((len(row.note) + len(row.aside) + 2 * bool(row.aside) for row in self.rows), default=0)

    def at(self, value: float) -> float:
        """Where a value lies, in percent of the axis; beyond its ends on them."""
        return round(100 * min(max((value - self.low) / (self.high - self.low), 0.0), 1.0), 2)


def around_zero(rows: Sequence[RangeRow]) -> RangeChart:
    """A chart of differences, as wide as they need, with zero in it.

    >>> chart = around_zero([RangeRow("a", "", [RangeMark(0.1, "honest")], interval=(-0.05, 0.25))])
    >>> chart.low < -0.05 and chart.high > 0.25
    True
    """
    values = [0.0, *(v for row in rows for v in (*(row.interval or ()), *(mark.value for mark in row.marks)))]
    room = 0.08 * max(max(values) - min(values), 0.1)
    return RangeChart(rows, min(values) - room, max(values) + room, zero=True)
