"""Scores of pooled predictions, all from scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.reading import JsonObject
from mer_pipeline.runs.results import ClassScores, Scores, UnitScores


@dataclass(frozen=True)
class DetailedScores:
    """Scores of some predictions with the parts behind them.

    Attributes:
        overall: Of all classes.
        per_class: Class -> F1 and recall; classes that occur in the truth.
        confusion: Clips, (classes, classes), truth in rows.
    """

    overall: Scores
    per_class: Mapping[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]

    def as_json(self) -> JsonObject:
        """JSON values."""
        per_class = {name: asdict(one) for name, one in self.per_class.items()}
        return {**self.overall.as_json(), "per_class": per_class, "confusion": [list(row) for row in self.confusion]}


def scores(truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> DetailedScores:
    """Accuracy, UF1 (F1 averaged over classes) and UAR (recall averaged over classes), with the parts behind them.

    The averages run over the classes that occur in the truth: a class without clips has no recall, and counting its
    F1 as 0 would punish every system alike (MEGC 2019 scores sum over all subjects' clips, where each class occurs).

    >>> scores(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"]).overall.uar
    0.75
    """
    present = [name for name in classes if name in set(truth)]
    _, recall, f1, clips = precision_recall_fscore_support(truth, predicted, labels=present, zero_division=0)
    overall = Scores(
        clips=len(truth),
        accuracy=sum(a == b for a, b in zip(truth, predicted, strict=True)) / len(truth),
        uf1=float(f1.mean()),
        uar=float(recall.mean()),
        weighted_f1=float(np.average(f1, weights=clips)),
    )
    each = {name: ClassScores(float(a), float(b)) for name, a, b in zip(present, f1, recall, strict=True)}
    confusion = confusion_matrix(truth, predicted, labels=list(classes)).tolist()
    return DetailedScores(overall, each, tuple(tuple(row) for row in confusion))


def uf1(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
    """F1 averaged over the classes that occur in the truth; class numbers (clips,).

    >>> uf1(np.array([0, 0, 1]), np.array([0, 0, 2]))
    0.5
    """
    classes = 1 + int(max(truth.max(), predicted.max()))
    confusion = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(1, classes, classes)
    return float(scores_of(confusion.astype(np.float64))["uf1"][0])


def confusions_by_group(
    truth: Sequence[str], predicted: Sequence[str], groups: Sequence[str], classes: Sequence[str]
) -> npt.NDArray[np.float64]:
    """One confusion matrix a group, groups sorted by name: (groups, classes, classes), truth in rows."""
    names = sorted(set(groups))
    place, index = {name: i for i, name in enumerate(classes)}, {name: i for i, name in enumerate(names)}
    tables = np.zeros((len(names), len(classes), len(classes)))
    for group, true, guess in zip(groups, truth, predicted, strict=True):
        tables[index[group], place[true], place[guess]] += 1
    return tables


def scores_of(confusions: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Accuracy, UF1 and UAR of (n, classes, classes) confusion matrices, over the classes that occur in each truth."""
    right = np.diagonal(confusions, axis1=1, axis2=2)
    true, guessed = confusions.sum(2), confusions.sum(1)
    occurs = true > 0
    f1 = np.where(occurs, 2 * right / np.maximum(true + guessed, 1), 0)
    recall = np.where(occurs, right / np.maximum(true, 1), 0)
    return {
        "accuracy": right.sum(1) / confusions.sum((1, 2)),
        "uf1": f1.sum(1) / occurs.sum(1),
        "uar": recall.sum(1) / occurs.sum(1),
    }


def unit_scores(
    probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]
) -> dict[int, UnitScores]:
    """Scores of every Action Unit that occurs in some clips and not in all.

    Args:
        probabilities: (clips, 21).
        truth: (clips, 21), 1 where it is annotated.
        known: (clips,), False where a clip has no annotation; such clips are left out.
    """
    found = {}
    for at, number in enumerate(AU_NUMBERS):
        present, probability = truth[known, at] > 0, probabilities[known, at]
        if not 0 < present.sum() < len(present):
            continue
        named = probability >= 0.5
        f1 = 2 * int((named & present).sum()) / int(named.sum() + present.sum())
        share, auc = float(present.mean()), float(roc_auc_score(present, probability))
        found[number] = UnitScores(int(present.sum()), f1, auc, 2 * share / (1 + share))
    return found


def over_units(scores: Mapping[int, UnitScores], units: Sequence[int]) -> dict[str, float]:
    """The score of a protocol of Action Units: F1, and that of naming each in every clip, averaged over its units.

    Args:
        scores: Of the units that occur; others are left out, and `aus` says how many are left.
        units: Those of the protocol; nothing is returned where there are none.
    """
    own = [scores[unit] for unit in units if unit in scores]
    if not own:
        return {}
    f1, constant = (sum(getattr(one, name) for one in own) / len(own) for name in ("f1", "constant_f1"))
    return {"aus_f1": round(f1, 4), "aus_constant_f1": round(constant, 4), "aus": float(len(own))}
