"""What needs no network: guesses that any network must beat before its score means something, on the same folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.naive_bayes import BernoulliNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_pipeline.evaluation.protocols import Fold
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.inputs.views import VIEWS
from mer_pipeline.runs.results import AUS_ONLY

MAJORITY, SVM, SHUFFLED, AU_TABLES = "majority", "svm", "shuffled", "au-tables"
DESCRIPTIONS = {
    MAJORITY: "always the commonest class of the training clips",
    SVM: "support vector machine on averaged flow or difference",
    SHUFFLED: "the support vector machine, trained on labels dealt at random",
    AU_TABLES: "support vector machine on another tool's tables of Action Units; of the clips that have one",
    AUS_ONLY: "annotated Action Units only, no image (naive Bayes); of the clips that have them",
}
# Cells a side to which flow, and the difference of two frames, are averaged.
_FLOW_CELLS, _DIFFERENCE_CELLS = 7, 14

Features = npt.NDArray[np.float32]
ClassIndices = npt.NDArray[np.int64]


def controls(
    clips: ClipSet, folds: Sequence[Fold], aus: bool, tables: Mapping[int, Features] | None = None
) -> dict[str, dict[int, int]]:
    """Train and test every control on the folds.

    Args:
        clips: All clips.
        folds: Who is held out.
        aus: Whether the network that they stand beside takes Action Units; then one control takes nothing else.
        tables: Row of the clip set -> what another tool found of it (`au_tables.read_au_tables`); a control of its own.

    Returns:
        Control -> row of the clip set -> class that it predicts. Action Units alone predict, and learn from, the clips
        that have an annotation, or a table.
    """
    inputs, truth = features(clips), clips.labels.numpy()
    units, known = clips.aus.numpy(), set(clips.aus_known.nonzero().flatten().tolist())
    dealt = np.random.default_rng(0).permutation(truth)

    def machine(labels: ClassIndices) -> Callable[[Fold], dict[int, int]]:
        return lambda fold: _fitted(SVC(C=1.0, class_weight="balanced"), inputs, labels, fold.train, fold.test)

    fitted: dict[str, Callable[[Fold], dict[int, int]]] = {
        MAJORITY: lambda fold: dict.fromkeys(fold.test, _commonest(truth, fold.train)),
        SVM: machine(truth),
        SHUFFLED: machine(dealt),
    }
    if aus and known:
        fitted[AUS_ONLY] = lambda fold: _fitted(
            BernoulliNB(), units, truth, _of(fold.train, known) or fold.train, _of(fold.test, known)
        )
    if tables:
        found = np.zeros((len(truth), len(next(iter(tables.values())))), np.float32)
        found[list(tables)] = list(tables.values())
        machine_of_units = make_pipeline(StandardScaler(), SVC(C=1.0, class_weight="balanced"))
        fitted[AU_TABLES] = lambda fold: _fitted(
            machine_of_units, found, truth, _of(fold.train, tables) or fold.train, _of(fold.test, tables)
        )
    return {name: {row: guess for fold in folds for row, guess in fit(fold).items()} for name, fit in fitted.items()}


def _of(rows: Sequence[int], known: Container[int]) -> list[int]:
    return [row for row in rows if row in known]


def _commonest(truth: ClassIndices, rows: Sequence[int]) -> int:
    return int(Counter(truth[list(rows)].tolist()).most_common(1)[0][0])


def features(clips: ClipSet) -> Features:
    """What the support vector machine is given, (clips, features).

    Flow from onset to apex averaged to 7x7 cells, or the grey difference of apex and onset averaged to 14x14; of a
    sequence, the frame that differs most from the first stands for the apex.
    """
    return np.concatenate(
        [_features(clips.images[rows], clips.view) for rows in torch.arange(len(clips.images)).split(64)]
    )


def _features(images: torch.Tensor, view: str) -> Features:
    images = images.float()
    if VIEWS[view].shows_flow:
        moved, cells = images, _FLOW_CELLS
    else:
        grey = images.mean(2, keepdim=True) / 255
        moved, cells = grey[:, 1:] - grey[:, :1], _DIFFERENCE_CELLS
    farthest = moved.flatten(2).abs().mean(2).argmax(1)
    peak = moved[torch.arange(len(moved)), farthest]
    return np.asarray(F.adaptive_avg_pool2d(peak, cells).flatten(1).numpy(), np.float32)


def _fitted(
    classifier: Any, inputs: Features, labels: ClassIndices, train: Sequence[int], test: Sequence[int]
) -> dict[int, int]:
    own = labels[list(train)]
    if not test or len(set(own.tolist())) < 2:
        return dict.fromkeys(test, int(own[0]))
    classifier.fit(inputs[list(train)], own)
    return dict(zip(test, map(int, classifier.predict(inputs[list(test)])), strict=True))
