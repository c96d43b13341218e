"""How well two who marked the same films agree: a coder and the spotter, or two coders.

F1 by intersection over union is `score`'s. Cohen's kappa is over frames: whether each lies in an expression. Errors are
of the intervals that match, the second's minus the first's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_pipeline.datasets.coders import KINDS, Coding, Mark, read_codings
from mer_pipeline.errors import MerError
from mer_pipeline.reading import JsonObject
from mer_pipeline.spotting.result import Spotting
from mer_pipeline.spotting.score import SpotScore, match, pooled

_POINTS = ("onset", "apex", "offset")


@dataclass(frozen=True)
class Error:
    """How far a point lies from where the first marked it.

    Attributes:
        intervals: Matched, in which both marked the point.
        mean_ms: Positive where the second is later.
        absolute_ms: Mean distance.
    """

    intervals: int
    mean_ms: float
    absolute_ms: float


@dataclass(frozen=True)
class Agreement:
    """Of two markings of some films.

    Attributes:
        scores: By `micro`, `macro` and `all`, with the first as the truth; F1 is the same the other way round.
        kappa: By `micro`, `macro` and `any`; None where it is not defined, since one of them marked nothing or all.
        errors: By `onset`, `apex` and `offset`; without those that no matched interval has.
        frames: Over which kappa is.
    """

    scores: dict[str, SpotScore] = field(default_factory=dict)
    kappa: dict[str, float | None] = field(default_factory=dict)
    errors: dict[str, Error] = field(default_factory=dict)
    frames: int = 0

    def as_json(self) -> JsonObject:
        """JSON values."""
        rounded = {kind: None if value is None else round(value, 4) for kind, value in self.kappa.items()}
        errors = {
            point: {"intervals": e.intervals, "mean_ms": round(e.mean_ms, 1), "absolute_ms": round(e.absolute_ms, 1)}
            for point, e in self.errors.items()
        }
        return {"frames": self.frames, "kappa": rounded, "errors": errors}


@dataclass(frozen=True)
class Marked:
    """One film as two marked it: `first` is the truth, where one of them is."""

    first: Sequence[Mark]
    second: Sequence[Mark]
    frames: int
    fps: float


def agreement(films: Iterable[Marked]) -> Agreement:
    """Of all films together."""
    known = list(films)
    tables = {kind: np.zeros((2, 2)) for kind in (*KINDS, "any")}
    differences: dict[str, list[float]] = {point: [] for point in _POINTS}
    for film in known:
        for kind, table in tables.items():
            table += _counts(film, KINDS if kind == "any" else (kind,))
        for kind in KINDS:
            first, second = ([mark for mark in side if mark.kind == kind] for side in (film.first, film.second))
            for at, true in match([mark.span for mark in second], [mark.span for mark in first]):
                _compare(first[true], second[at], film.fps, differences)
    errors = {
        point: Error(len(ms), float(np.mean(ms)), float(np.mean(np.abs(ms)))) for point, ms in differences.items() if ms
    }
    scores = pooled((_spans(film.second), _spans(film.first)) for film in known)
    return Agreement(
        scores, {kind: kappa(table) for kind, table in tables.items()}, errors, sum(f.frames for f in known)
    )


def kappa(table: npt.NDArray[np.float64]) -> float | None:
    """Cohen's kappa (1960) of a table of counts; None where chance alone agrees on everything.

    >>> kappa(np.array([[20, 5], [10, 15]]))
    0.4
    """
    whole = table.sum()
    if not whole:
        return None
    observed = float(np.trace(table) / whole)
    chance = float((table.sum(0) * table.sum(1)).sum() / whole**2)
    return None if chance >= 1 else round((observed - chance) / (1 - chance), 12)


def _counts(film: Marked, kinds: Sequence[str]) -> npt.NDArray[np.float64]:
    """(2, 2) frames by whether the first and the second marked them."""
    frames = max([film.frames, *(mark.offset_frame + 1 for mark in (*film.first, *film.second))])
    sides = np.zeros((2, frames), bool)
    for side, marks in zip(sides, (film.first, film.second), strict=True):
        for mark in marks:
            if mark.kind in kinds:
                side[mark.onset_frame : mark.offset_frame + 1] = True
    counts = [[np.count_nonzero((sides[0] == a) & (sides[1] == b)) for b in (False, True)] for a in (False, True)]
    return np.array(counts, np.float64)


def _compare(first: Mark, second: Mark, fps: float, differences: dict[str, list[float]]) -> None:
    times = zip(_POINTS, first.at_s(fps), second.at_s(fps), strict=True)
    for point, a, b in times:
        if point != "apex" or None not in (first.apex_frame, second.apex_frame):
            differences[point].append((b - a) * 1000)


def _spans(marks: Sequence[Mark]) -> dict[str, list[tuple[int, int]]]:
    return {kind: [mark.span for mark in marks if mark.kind == kind] for kind in KINDS}


def coders_agree(first: Path, second: Path) -> tuple[Agreement, tuple[str, ...]]:
    """How well two files of coders agree on the films that both name, and what the reader should know.

    Raises:
        MerError: A file cannot be read, the rate of a film is not known, or they have no film in common.
    """
    ours, theirs = ({each.film.stem: each for each in read_codings(path)} for path in (first, second))
    if len(ours) == len(theirs) == 1:
        theirs = dict(zip(ours, theirs.values(), strict=True))  # a copy of the film may go by another name
    both = [stem for stem in ours if stem in theirs]
    if not both:
        raise MerError("has no film of the other file", where=second, fix=f"{first} has {', '.join(ours)}")
    films = [_both(ours[stem], theirs[stem], second) for stem in both]
    warnings = [text for each in (ours, theirs) for coding in each.values() for text in coding.warnings]
    if any(not (ours[stem].frames or theirs[stem].frames) for stem in both):
        warnings.append("the length of a film is not known: kappa is over the frames up to the last mark")
    return agreement(films), tuple(warnings)


def _both(ours: Coding, theirs: Coding, where: Path) -> Marked:
    fps = ours.fps or theirs.fps
    if fps is None:
        raise MerError("the rate of its film is not known", where=where, fix="put the film beside it")
    return Marked(ours.expressions, theirs.expressions, max(ours.frames or 0, theirs.frames or 0) or ours.length, fps)


def to_marks(spotting: Spotting, emotions: Sequence[str] = (), aus: Sequence[str] = ()) -> tuple[Mark, ...]:
    """What was spotted as marks, expressions and events."""
    marks = [
        Mark(
            each.kind, each.onset_frame, each.offset_frame, each.apex_frame, emotions[at] if emotions else "",
            aus[at] if aus else "", (each.onset_s, each.apex_s, each.offset_s), ", ".join(each.flags),
        )
        for at, each in enumerate(spotting.intervals)
    ]  # fmt: skip
    marks += [
        Mark(each.kind, each.first_frame, each.last_frame, seconds=(each.first_s, each.first_s, each.last_s))
        for each in spotting.events
    ]
    return tuple(sorted(marks, key=lambda mark: mark.span))
