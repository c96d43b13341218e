"""How well intervals are spotted, by the rule of the Micro-Expression Grand Challenge (MEGC 2020 and later).

A predicted interval hits where its intersection over union with a true one, which no other prediction has hit, is at
least one half. Hits, false alarms and misses are summed over all videos, then give one F1; micro- and macro-expressions
are matched apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mer_pipeline.datasets.coders import KINDS
from mer_pipeline.datasets.long_videos import Span

LEAST_IOU = 0.5


@dataclass(frozen=True)
class SpotScore:
    """Hits, false alarms and misses.

    >>> SpotScore(2, 1, 1).f1
    0.6666666666666666
    """

    hits: int = 0
    false_alarms: int = 0
    misses: int = 0

    def __add__(self, other: SpotScore) -> SpotScore:
        return SpotScore(self.hits + other.hits, self.false_alarms + other.false_alarms, self.misses + other.misses)

    @property
    def precision(self) -> float:
        """Share of predictions that hit; 0 where there are none."""
        return _share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """Share of true intervals that were hit; 0 where there are none."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 without hits."""
        return _share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    def as_json(self) -> dict[str, float]:
        """JSON values under the names that the challenge uses."""
        return {
            "tp": self.hits,
            "fp": self.false_alarms,
            "fn": self.misses,
            "precision": round(self.precision, 4),
            "recall": round(self.recall, 4),
            "f1": round(self.f1, 4),
        }


def iou(a: Span, b: Span) -> float:
    """Intersection over union of two intervals of frames, both ends in.

    >>> iou((0, 9), (5, 14)), iou((0, 9), (10, 19)), iou((0, 3), (0, 7))
    (0.3333333333333333, 0.0, 0.5)
    """
    shared = min(a[1], b[1]) - max(a[0], b[0]) + 1
    return max(0, shared) / (a[1] - a[0] + 1 + b[1] - b[0] + 1 - max(0, shared))


def match(predicted: Sequence[Span], true: Sequence[Span], least_iou: float = LEAST_IOU) -> list[tuple[int, int]]:
    """Which prediction hits which true interval: pairs of indices, each index at most once, the best fits first."""
    fits = [(iou(own, other), p, t) for p, own in enumerate(predicted) for t, other in enumerate(true)]
    pairs: list[tuple[int, int]] = []
    for value, p, t in sorted(fits, key=lambda fit: (-fit[0], fit[1], fit[2])):
        if value >= least_iou and all(p != other_p and t != other_t for other_p, other_t in pairs):
            pairs.append((p, t))
    return pairs


def score(predicted: Sequence[Span], true: Sequence[Span], least_iou: float = LEAST_IOU) -> SpotScore:
    """The score of one kind of expression in one video."""
    hits = len(match(predicted, true, least_iou))
    return SpotScore(hits, len(predicted) - hits, len(true) - hits)


def pooled(
    videos: Iterable[tuple[Mapping[str, Sequence[Span]], Mapping[str, Sequence[Span]]]], least_iou: float = LEAST_IOU
) -> dict[str, SpotScore]:
    """The score of a set by kind, and under `all` of both kinds together.

    Args:
        videos: Predicted and true intervals of each video, by kind.
        least_iou: From which intersection over union on a prediction hits.
    """
    scores = dict.fromkeys(KINDS, SpotScore())
    for predicted, true in videos:
        for kind in KINDS:
            scores[kind] += score(predicted.get(kind, ()), true.get(kind, ()), least_iou)
    return {**scores, "all": scores["micro"] + scores["macro"]}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
