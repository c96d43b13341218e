"""Whether the model that ships helps a machine that is trained on real clips: the published flow images, LOSO and LODO.

    python -m studies.prior CACHE --report studies/reports/prior-DATE.md

CACHE is what `mer preprocess megc2019_flow --out CACHE` wrote. The shipped reader saw none of these clips, so what it
says of each is a feature like any other. The weight of the late fusion is chosen by UF1 on subjects inside the
training fold. All that was tried stands in the table.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_pipeline.evaluation.controls import SVM, controls
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.evaluation.protocols import Fold, folds_of
from mer_pipeline.evaluation.statistics import differences, figures, holm
from mer_pipeline.reader import GROUPS, shipped
from mer_pipeline.training import ClipSet, load_clips

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
CONTROL = "support vector machine (the control of every run)"
Table = npt.NDArray[np.float64]


def machine() -> Pipeline:
    """The control's machine, with probabilities fitted by cross-validation inside the training clips."""
    return make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(class_weight="balanced"), ensemble=False))


def log_probabilities(features: Table, clips: ClipSet, train: Sequence[int], test: Sequence[int]) -> Table:
    """(test, classes) of a machine that was fitted on the training clips."""
    labels = clips.labels.numpy()[train]
    fitted = machine().fit(features[train], labels)
    found = np.full((len(test), len(clips.classes)), -20.0)
    found[:, fitted.classes_] = np.log(np.clip(fitted.predict_proba(features[test]), 1e-6, 1))
    return found


def chosen_weight(features: Table, prior: Table, clips: ClipSet, train: Sequence[int]) -> float:
    """The weight with the highest UF1 over five splits of the training subjects; the least of equal ones."""
    rows = np.array(train)
    labels, subjects = clips.labels.numpy()[rows], np.array(clips.groups)[rows]
    own = np.zeros((len(rows), len(clips.classes)))
    for learn, choose in GroupKFold(5).split(rows, labels, subjects):
        own[choose] = log_probabilities(features, clips, rows[learn].tolist(), rows[choose].tolist())
    reached = [f1_score(labels, (own + weight * prior[rows]).argmax(1), average="macro") for weight in WEIGHTS]
    return WEIGHTS[int(np.argmax(reached))]


def study(clips: ClipSet, protocol: str) -> tuple[dict[str, npt.NDArray[np.int64]], list[float]]:
    """System -> class of every clip; and the weights that the folds chose."""
    folds: Sequence[Fold] = folds_of(protocol, clips.clip_ids, clips.groups)
    reading = shipped().read(clips.images[:, 0].numpy(), aligned=False)
    prior = np.log(np.clip(reading.groups[:, [GROUPS.index(name) for name in clips.classes]], 1e-6, 1)).astype(float)
    averaged = F.adaptive_avg_pool2d(clips.images[:, 0].float(), 7).flatten(1).numpy().astype(float)
    units = np.log(np.clip(reading.aus, 1e-4, 1 - 1e-4) / np.clip(1 - reading.aus, 1e-4, 1))
    stacked = np.concatenate([averaged, 5 * prior, units], axis=1)
    found = {name: np.zeros((len(clips.clip_ids), len(clips.classes))) for name in
             ("late fusion, weight chosen inside", "shipped model's answers as features", "both")}  # fmt: skip
    weights = []
    for fold in folds:
        train, test = list(fold.train), list(fold.test)
        plain, joined = (log_probabilities(each, clips, train, test) for each in (averaged, stacked))
        weights.append(chosen_weight(averaged, prior, clips, train))
        fused = plain + weights[-1] * prior[test]
        for name, values in zip(found, (fused, joined, fused + joined), strict=True):
            found[name][test] = values
    known = controls(clips, folds, aus=False)[SVM]
    first = {
        CONTROL: np.array([known[row] for row in range(len(clips.clip_ids))]),
        "the shipped model alone": prior.argmax(1),
    }
    return {**first, **{name: values.argmax(1) for name, values in found.items()}}, weights


def table(clips: ClipSet, protocol: str) -> list[str]:
    """The lines of one protocol."""
    systems, weights = study(clips, protocol)
    truth = [clips.classes[label] for label in clips.labels.tolist()]
    words = {name: [clips.classes[at] for at in found.tolist()] for name, found in systems.items()}
    against = holm(
        {
            name: differences(truth, [said], [words[CONTROL]], clips.groups, clips.classes)["uf1"]
            for name, said in words.items()
            if name != CONTROL
        }
    )
    counted = ", ".join(f"{weight:g} in {weights.count(weight)}" for weight in WEIGHTS if weight in weights)
    lines = ["", f"## {protocol.upper()}", "", "| system | UF1 | UAR | UF1 less the control's |", "|---|---|---|---|"]
    for name, said in words.items():
        one = scores(truth, said, clips.classes).overall
        lines.append(
            f"| {name} | {one.uf1:.3f} | {one.uar:.3f} | {figures(against[name]) if name in against else ''} |"
        )
    return [*lines, "", f"Weights of the late fusion that the {len(weights)} folds chose: {counted}."]


def main() -> None:
    """Run the study and write its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = load_clips(arguments.cache, view="flow")
    lines = [
        "# The model that ships, beside a machine that is trained on real clips",
        "",
        f"{datetime.date.today()}, `python -m studies.prior`: {len(clips.clip_ids)} clips of "
        f"{len(set(clips.groups))} subjects of {', '.join(clips.datasets)}. Nothing was chosen on a test fold;",
        "every try is in the table, and differences are after Holm's correction.",
    ]
    for protocol in ("loso", "lodo"):
        lines += table(clips, protocol)
    arguments.report.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
