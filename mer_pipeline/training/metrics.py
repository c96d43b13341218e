"""Scores of pooled predictions, all from scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score


def scores(truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy, UF1 (F1 averaged over classes) and UAR (recall averaged over classes), with the parts behind them.

    The averages run over the classes that occur in the truth: a class that nobody shows has no recall, and counting its
    F1 as 0 would punish every system alike (MEGC 2019 scores sum over all subjects' clips, where each class occurs).

    >>> scores(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"])["uar"]
    0.75
    """
    present = [name for name in classes if name in set(truth)]
    per_class = f1_score(truth, predicted, labels=present, average=None, zero_division=0)
    recall = recall_score(truth, predicted, labels=present, average=None, zero_division=0)
    return {
        "clips": len(truth),
        "accuracy": float(accuracy_score(truth, predicted)),
        "uf1": float(per_class.mean()),
        "uar": float(recall.mean()),
        "weighted_f1": float(f1_score(truth, predicted, labels=present, average="weighted", zero_division=0)),
        "per_class": {
            name: {"f1": float(f1), "recall": float(r)} for name, f1, r in zip(present, per_class, recall, strict=True)
        },
        "confusion": confusion_matrix(truth, predicted, labels=list(classes)).tolist(),
    }
