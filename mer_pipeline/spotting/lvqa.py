"""Answers to the questions of ME-LVQA about long videos: how many expressions, which Action Units, of which kind.

Counts are scored by mean absolute error and root of the mean square, Action Units as sets by F1 and Jaccard's index
(mean over videos), kinds by UF1 and UAR over all true expressions in time order; one that is not answered is wrong.
The control answers without looking: from what is usual in the videos of other people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import numpy as np
from sklearn.metrics import f1_score, recall_score

from mer_pipeline.datasets.coders import KINDS, Mark
from mer_pipeline.errors import MerError
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.reading import JsonObject

_COUNTS = ("expressions", *KINDS)


@dataclass(frozen=True)
class Answers:
    """To the questions about one video.

    Attributes:
        kinds: Of its expressions in time order, from which their numbers follow.
        aus: Numbers of the Action Units that occur.
    """

    kinds: tuple[str, ...]
    aus: frozenset[int]

    def count(self, of: str) -> int:
        """How many expressions there are, or how many of a kind."""
        return len(self.kinds) if of == "expressions" else self.kinds.count(of)

    def as_json(self) -> JsonObject:
        """JSON values."""
        counts = {name: self.count(name) for name in _COUNTS}
        return {**counts, "aus": sorted(self.aus), "kinds": list(self.kinds)}


def answers_from(marks: Sequence[Mark]) -> Answers:
    """What the marks of a video answer."""
    numbers = set[int]()
    for mark in marks:
        try:
            numbers |= parse_aus(mark.aus).numbers
        except MerError:
            continue  # a text that is no notation names no unit
    kinds = tuple(mark.kind for mark in sorted(marks, key=lambda mark: mark.span) if mark.kind in KINDS)
    return Answers(kinds, frozenset(numbers & set(AU_NUMBERS)))


def priors(truth: Sequence[Answers], people: Sequence[str]) -> list[Answers]:
    """The control: for each video what is usual in those of other people (of other videos, where all show one).

    Counts are medians, Action Units those in more than half of the videos, and kinds come in their usual shares, the
    commoner first.
    """
    found = []
    for at, person in enumerate(people):
        others = [truth[row] for row, other in enumerate(people) if other != person]
        others = others or [each for row, each in enumerate(truth) if row != at]
        if not others:
            raise alone()
        counts = {kind: round(median(each.count(kind) for each in others)) for kind in KINDS}
        kinds = tuple(kind for kind in sorted(KINDS, key=lambda kind: -counts[kind]) for _ in range(counts[kind]))
        units = Counter(number for each in others for number in each.aus)
        found.append(Answers(kinds, frozenset(n for n, times in units.items() if 2 * times > len(others))))
    return found


def alone() -> MerError:
    """The error of a set of one video."""
    return MerError("one video has no others to know what is usual", fix="give a truth with several videos")


def score(answers: Sequence[Answers], truth: Sequence[Answers]) -> JsonObject:
    """JSON values of the scores; the module's text has what they are."""
    pairs = list(zip(answers, truth, strict=True))
    counts = {}
    for name in _COUNTS:
        off = np.array([own.count(name) - true.count(name) for own, true in pairs], float)
        counts[name] = {"mae": round(float(abs(off).mean()), 4), "rmse": round(float((off**2).mean() ** 0.5), 4)}

    def over_videos(of: Callable[[frozenset[int], frozenset[int]], float]) -> float:
        return round(mean(1.0 if not own.aus | true.aus else of(own.aus, true.aus) for own, true in pairs), 4)

    units = {
        "f1": over_videos(lambda a, b: 2 * len(a & b) / (len(a) + len(b))),
        "jaccard": over_videos(lambda a, b: len(a & b) / len(a | b)),
    }
    true = [kind for _, each in pairs for kind in each.kinds]
    said = [own.kinds[k] if k < len(own.kinds) else "none" for own, each in pairs for k in range(len(each.kinds))]
    settings: dict[str, Any] = {"labels": sorted(set(true)), "average": "macro", "zero_division": 0}
    kinds = {
        "uf1": round(float(f1_score(true, said, **settings)), 4) if true else None,
        "uar": round(float(recall_score(true, said, **settings)), 4) if true else None,
    }
    return {"counts": counts, "aus": units, "kinds": kinds}
