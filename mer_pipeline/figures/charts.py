"""The drawings of a run's report as SVG: curves over epochs, calibration, learned angles, rank scores.

Colours come from the page's style sheet by class, so that they follow light and dark. Written by hand because
matplotlib 3.11's SVG has inline colours, no class and no tooltip, at 16.0 kB against 2.9 kB (`reliability`, 200 clips).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mer_pipeline.arrays import Matrix
from mer_pipeline.figures.svg import Point, dot, drawing, element, line, path, text, tick_label, ticks
from mer_pipeline.runs.card import Prediction

_WIDTH, _HEIGHT = 340.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 10.0, 12.0, 34.0
BINS = 10
# A path over many epochs needs no more points than the eye can separate.
_PATH_POINTS = 60
_START_RADIUS = 0.32  # of the half circle, where a path over epochs begins; it ends on the rim


@dataclass(frozen=True)
class _Axes:
    """From values to the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> Point:
        """Where a point lies."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    def frame(self, x_ticks: Sequence[float], x_label: str) -> list[Markup]:
        """Grid, ticks and the name of the horizontal axis."""
        y_ticks = ticks(*self.y)
        parts = []
        for value in y_ticks:
            left, right = self.at(self.x[0], value), self.at(self.x[1], value)
            parts.append(line(left, right, "axis" if value == 0 else "grid"))
            parts.append(text((left[0] - 6, left[1] + 3.5), tick_label(value, y_ticks), anchor="end"))
        for value in x_ticks:
            x, y = self.at(value, self.y[0])
            parts.append(text((x, y + 14), tick_label(value, x_ticks)))
        parts.append(text((self.at(sum(self.x) / 2, 0)[0], _HEIGHT - 4), x_label, "axis-name"))
        return parts


def curve(runs: Sequence[Sequence[float]], label: str, kind: str, *, share: bool, chosen: Sequence[int] = ()) -> Markup:
    """A value over epochs: the mean over folds, and the band that holds most of them (10th to 90th percentile).

    Args:
        runs: One list a fold, one value an epoch; a value may be no number where a training diverged.
        label: What is drawn.
        kind: Class of the line.
        share: Whether the values are 0 to 1, and so the axis.
        chosen: Epochs chosen inside the folds, marked below the curve.
    """
    epochs = min(len(values) for values in runs)
    table = np.array([values[:epochs] for values in runs], np.float64)
    finite = table[np.isfinite(table)]
    top = 1.0 if share else 1.05 * float(finite.max(initial=1e-6))
    axes = _Axes((1.0, max(epochs, 2)), (0.0, top))
    mean, low, high = _spread(table)
    at = [axes.at(epoch, value) for epoch, value in enumerate(mean, 1)]
    band = [axes.at(epoch, value) for epoch, value in enumerate(high, 1)]
    band += [axes.at(epoch, value) for epoch, value in reversed(list(enumerate(low, 1)))]
    parts = [
        *axes.frame(_epoch_ticks(epochs), "epoch"),
        path([p for p in band if all(map(math.isfinite, p))], f"band {kind}", closed=True),
        path(at, f"line {kind}"),
        *([dot(at[0], 3, f"fill {kind}")] if epochs == 1 and math.isfinite(mean[0]) else []),
        *(line(axes.at(e, 0), axes.at(e, 0.035 * top), "chosen") for e in sorted(set(chosen))),
    ]
    return drawing(_WIDTH, _HEIGHT, *parts, label=label)


def _spread(table: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Mean, 10th and 90th percentile over folds of what is finite; not a number where nothing is."""
    columns = [column[np.isfinite(column)] for column in table.T]
    found = [(c.mean(), *np.quantile(c, [0.1, 0.9])) if len(c) else (math.nan,) * 3 for c in columns]
    mean, low, high = np.array(found, np.float64).T
    return mean, low, high


def _epoch_ticks(epochs: int) -> list[float]:
    whole = [value for value in ticks(0, epochs, 5) if value >= 1 and value == round(value)]
    return [1.0, *(value for value in whole if value > 1 + 0.08 * epochs)] if epochs > 1 else [1.0]


def reliability(predictions: Sequence[Prediction]) -> Markup:
    """How often the network is right at each confidence; bars on the diagonal would be honest confidence."""
    confidence = np.array([max(p.probabilities) for p in predictions])
    right = np.array([p.truth == p.predicted for p in predictions])
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    axes = _Axes((0.0, 1.0), (0.0, 1.0))
    parts = axes.frame([0, 0.25, 0.5, 0.75, 1], "confidence")
    for number in np.unique(bins):
        inside = bins == number
        share, count = float(right[inside].mean()), int(inside.sum())
        (x0, y0), (x1, y1) = axes.at(number / BINS, share), axes.at((number + 1) / BINS, 0)
        title = f"confidence {number / BINS:.1f} to {(number + 1) / BINS:.1f}: {share:.0%} of {count} clips right"
        bar = element(
            "rect", element("title", title), x=x0 + 1.5, y=y0, width=x1 - x0 - 3, height=y1 - y0, class_="bar"
        )
        mean = axes.at(float(confidence[inside].mean()), share)
        parts += [bar, dot(mean, 2.6, "fill honest", title), text(((x0 + x1) / 2, y0 - 6), str(count), "count")]
    parts.append(line(axes.at(0, 0), axes.at(1, 1), "diagonal"))
    return drawing(_WIDTH, _HEIGHT, *parts, label="Reliability diagram: share of right answers by confidence")


def half_circle(paths: Sequence[tuple[str, Sequence[float]]], mean_deg: float | None, label: str) -> Markup:
    """Where an angle went: one path a fold, from the start near the centre to the last epoch on the rim.

    Angles are drawn as they lie in the picture: 0 points right, 90 down.

    Args:
        paths: Name of the fold, and its angle in degrees at the start and after every epoch.
        mean_deg: The mean over folds, marked on the rim.
        label: What is drawn.
    """
    centre, radius = (110.0, 18.0), 84.0

    def at(theta_deg: float, share: float) -> Point:
        turn = math.radians(theta_deg)
        return centre[0] + share * radius * math.cos(turn), centre[1] + share * radius * math.sin(turn)

    rim = [[at(degree, share) for degree in range(0, 181, 3)] for share in (_START_RADIUS, 1.0)]
    parts = [path(rim[1], "dial", closed=True), path(rim[0], "grid")]
    for degree in (0, 45, 90, 135, 180):
        x, y = at(degree, 1.15)
        parts.append(line(at(degree, _START_RADIUS), at(degree, 1.0)))
        parts.append(text((x, y + 4), f"{degree}°"))
    ends = []
    for name, angles in paths:
        steps = _thinned(angles)
        shares = np.linspace(_START_RADIUS, 1.0, len(steps)) if len(steps) > 1 else [1.0]
        parts.append(path(_unwrapped(steps, [at(a, s) for a, s in zip(steps, shares, strict=True)]), "trace", name))
        if math.isfinite(steps[-1]):
            ends.append(dot(at(steps[-1], 1.0), 3.2, "fill honest", f"{name}: {steps[-1]:.1f}°"))
    starts = {round(angles[0], 1) for _, angles in paths if math.isfinite(angles[0])}
    begun = [dot(at(start, _START_RADIUS), 4, "start", f"start: {start:g}°") for start in sorted(starts)]
    if mean_deg is not None:
        parts.append(line(at(mean_deg, 0.0), at(mean_deg, 1.0), "mean"))
    return drawing(220, 122, *parts, *ends, *begun, label=label, class_="figure dial-figure")


def _thinned(angles: Sequence[float]) -> list[float]:
    """At most `_PATH_POINTS` of them, the first and the last among them."""
    wanted = np.linspace(0, len(angles) - 1, min(len(angles), _PATH_POINTS)).round().astype(int)
    return [angles[index] for index in wanted]


def _unwrapped(angles: Sequence[float], points: Sequence[Point]) -> list[Point | None]:
    """The points, with the pen lifted where an angle passes from 180 to 0: these are one axis."""
    found: list[Point | None] = []
    for number, point in enumerate(points):
        if number and abs(angles[number] - angles[number - 1]) > 90:
            found.append(None)
        found.append(point)
    return found


def rank_scores(scores: Sequence[float], label: str) -> Markup:
    """Rank score of every frame of a clip less that of the first, in the order of time; only their order means much."""
    scores = [score - scores[0] for score in scores]
    low, high = min(scores), max(scores)
    room = 0.08 * max(high - low, 1e-12)
    axes = _Axes((1.0, max(len(scores), 2)), (low - room, high + room))
    at = [axes.at(number, score) for number, score in enumerate(scores, 1)]
    frames = [float(number) for number in range(1, len(scores) + 1)]
    step = max(1, math.ceil(len(frames) / 8))
    parts = [*axes.frame(frames[::step], "frame, onset to offset"), path(at, "line honest")]
    parts += [dot(point, 3, "fill honest", f"{score:.3g}") for point, score in zip(at, scores, strict=True)]
    return drawing(_WIDTH, _HEIGHT, *parts, label=label)
