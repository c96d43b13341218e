"""What support vector machines reach on the published flow images without looking at a test fold: every try.

    python -m studies.flow_machines CACHE --report studies/reports/flow-machines-DATE.md

CACHE is what `mer preprocess megc2019_flow --out CACHE` wrote. Each system is fitted fold by fold (one subject, or one
dataset, held out); its C, its kernel's width and the weight of the shipped model in a late fusion are chosen by UF1 on
subjects inside the training fold. The shipped model saw none of these clips, so what it says of each is a feature like
any other. All that was tried stands in the table. A system that is called transductive sees the test subject's clips,
without labels.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_pipeline.evaluation.controls import SVM, controls
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.evaluation.protocols import Fold, folds_of
from mer_pipeline.evaluation.statistics import differences, holm, verdict
from mer_pipeline.reader import GROUPS, shipped
from mer_pipeline.runs.results import Difference
from mer_pipeline.training import ClipSet, load_clips

Features = npt.NDArray[np.float64]
# Cells a side; the control has the last alone.
PYRAMID = (2, 4, 7)
GRID = {"svc__C": [0.5, 2.0, 8.0], "svc__gamma": ["scale", 1e-3]}
# Of the shipped model beside a machine; and how much its answers weigh as features, in standard deviations.
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
AS_FEATURES = 5.0
CONTROL, SHIPPED = "control: averaged flow, C = 1", "the shipped model alone"


def pyramid(images: torch.Tensor) -> Features:
    """Flow averaged to several grids, (clips, features)."""
    peak = images[:, 0].float()
    return np.concatenate([F.adaptive_avg_pool2d(peak, cells).flatten(1).numpy() for cells in PYRAMID], axis=1)


def answers(images: torch.Tensor, classes: Sequence[str]) -> Features:
    """(clips, classes + 21) what the shipped model says: logarithms of classes, log-odds of Action Units."""
    reading = shipped().read(images[:, 0].numpy(), aligned=False)
    groups = np.log(np.clip(reading.groups[:, [GROUPS.index(name) for name in classes]], 1e-6, 1))
    units = np.clip(reading.aus, 1e-4, 1 - 1e-4)
    return np.asarray(np.concatenate([groups, np.log(units / (1 - units))], axis=1), np.float64)


def mirrored(images: torch.Tensor) -> torch.Tensor:
    """The flow of the mirrored face: turned over, with the horizontal part's sign."""
    turned = images.flip(-1).clone()
    turned[:, :, 0] *= -1
    return turned


def of_subjects(features: Features, groups: Sequence[str]) -> Features:
    """Each subject's features less their mean over its clips: transductive where the subject is tested."""
    names = np.array(groups)
    found = features.copy()
    for name in np.unique(names):
        found[names == name] -= features[names == name].mean(0)
    return found


def tuned(features: Features, twins: Sequence[Features], clips: ClipSet, fold: Fold) -> Features:
    """(test clips, classes) decision values, mean over the features and their twins of the test clips.

    Args:
        features: Of every clip.
        twins: The same of altered clips: trained on too, and averaged at test time.
        clips: For labels and subjects.
        fold: Who is held out.
    """
    train, test = list(fold.train), list(fold.test)
    every = [features, *twins]
    labels = np.tile(clips.labels.numpy()[train], len(every))
    subjects = np.tile(np.array(clips.groups)[train], len(every))
    machine = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    inner = GroupKFold(5)
    search = GridSearchCV(machine, GRID, scoring="f1_macro", cv=inner)
    search.fit(np.concatenate([one[train] for one in every]), labels, groups=subjects)
    return np.asarray(np.mean([search.decision_function(one[test]) for one in every], axis=0), np.float64)


def fused(features: Sequence[Features], prior: Features, clips: ClipSet, fold: Fold) -> tuple[Features, float]:
    """(test clips, classes) log-probabilities of a calibrated machine and the shipped model's, and its weight.

    The weight has the highest UF1 over five splits of the training subjects; the least of equal ones.

    Args:
        features: Of every clip, and of its mirror image where that is trained on too.
        prior: (clips, classes) log-probabilities of the shipped model.
        clips: For labels and subjects.
        fold: Who is held out.
    """
    rows, test = np.array(fold.train), list(fold.test)
    labels, own = clips.labels.numpy()[rows], inside(features, clips, fold)
    reached = [f1_score(labels, (own + weight * prior[rows]).argmax(1), average="macro") for weight in WEIGHTS]
    weight = WEIGHTS[int(np.argmax(reached))]
    return calibrated(features, clips, rows.tolist(), test) + weight * prior[test], weight


def stacked(features: Sequence[Features], prior: Features, clips: ClipSet, fold: Fold) -> Features:
    """(test clips, classes) probabilities of a logistic regression on the log-probabilities of both.

    It is fitted to what the machine says of training subjects that it was not fitted to. Arguments: see `fused`.
    """
    rows, test = np.array(fold.train), list(fold.test)
    judge = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    judge.fit(np.hstack([inside(features, clips, fold), prior[rows]]), clips.labels.numpy()[rows])
    outside = calibrated(features, clips, rows.tolist(), test)
    found = np.zeros((len(test), len(clips.classes)))
    found[:, judge.classes_] = judge.predict_proba(np.hstack([outside, prior[test]]))
    return found


def inside(features: Sequence[Features], clips: ClipSet, fold: Fold) -> Features:
    """(training clips, classes) log-probabilities by machines that were fitted to four fifths of the other subjects."""
    rows = np.array(fold.train)
    labels, subjects = clips.labels.numpy()[rows], np.array(clips.groups)[rows]
    own = np.zeros((len(rows), len(clips.classes)))
    for learn, choose in GroupKFold(5).split(rows, labels, subjects):
        own[choose] = calibrated(features, clips, rows[learn].tolist(), rows[choose].tolist())
    return own


def calibrated(features: Sequence[Features], clips: ClipSet, train: Sequence[int], test: Sequence[int]) -> Features:
    """(test clips, classes) log-probabilities of a machine, mean of probabilities over the features and their twins."""
    machine = make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(class_weight="balanced"), ensemble=False))
    labels = np.tile(clips.labels.numpy()[list(train)], len(features))
    machine.fit(np.concatenate([each[train] for each in features]), labels)
    found = np.full((len(test), len(clips.classes)), -20.0)
    probabilities = np.mean([machine.predict_proba(each[test]) for each in features], axis=0)
    found[:, machine.classes_] = np.log(np.clip(probabilities, 1e-6, 1))
    return found


def study(clips: ClipSet, protocol: str) -> tuple[dict[str, npt.NDArray[np.int64]], list[float]]:
    """System -> class of every clip; and the weight of the late fusion in each fold."""
    folds = folds_of(protocol, clips.clip_ids, clips.groups)
    plain, twin = pyramid(clips.images), pyramid(mirrored(clips.images))
    said, said_twin = (
        AS_FEATURES * answers(images, clips.classes) for images in (clips.images, mirrored(clips.images))
    )
    prior = said[:, : len(clips.classes)] / AS_FEATURES
    both, both_twin = np.hstack([plain, said]), np.hstack([twin, said_twin])
    own, own_twin, own_both, own_both_twin = (
        of_subjects(each, clips.groups) for each in (plain, twin, both, both_twin)
    )
    averaged = F.adaptive_avg_pool2d(clips.images[:, 0].float(), 7).flatten(1).numpy().astype(np.float64)
    weights: list[float] = []

    def fusion(fold: Fold) -> Features:
        values, weight = fused([averaged], prior, clips, fold)
        weights.append(weight)
        return values

    systems: dict[str, Callable[[Fold], Features]] = {
        "late fusion with the shipped model": fusion,
        "pyramid": lambda fold: tuned(plain, [], clips, fold),
        "pyramid, mirrored clips too": lambda fold: tuned(plain, [twin], clips, fold),
        "pyramid and the shipped model's answers": lambda fold: tuned(both, [], clips, fold),
        "the same, mirrored clips too": lambda fold: tuned(both, [both_twin], clips, fold),
        "pyramid less subject's mean, mirrored clips too (transductive)": lambda fold: tuned(
            own, [own_twin], clips, fold
        ),
        "pyramid and answers less subject's mean, mirrored clips too (transductive)": lambda fold: tuned(
            own_both, [own_both_twin], clips, fold
        ),
    }  # fmt: skip
    values: dict[str, Features] = {name: np.zeros((len(clips.clip_ids), len(clips.classes))) for name in systems}
    for fold in folds:
        for name, fit in systems.items():
            values[name][list(fold.test)] = fit(fold)
    # Added when the rest of the table was known.
    late = "pyramid, mirrored clips too, late fusion with the shipped model"
    values[late] = np.zeros((len(clips.clip_ids), len(clips.classes)))
    for fold in folds:
        values[late][list(fold.test)] = fused([plain, twin], prior, clips, fold)[0]
    honest = [_standard(found) for name, found in values.items() if "transductive" not in name and name != late]
    values["mean of the first five, none transductive"] = np.mean(honest, axis=0)
    both_best = _standard(values[late]) + _standard(values["pyramid, mirrored clips too"])
    values["mean of the two pyramids with mirrored clips, with and without late fusion"] = both_best
    values["mean of all seven before (transductive)"] = np.mean([_standard(values[name]) for name in systems], axis=0)
    known = controls(clips, folds, aus=False)[SVM]
    first = {CONTROL: np.array([known[row] for row in range(len(clips.clip_ids))]), SHIPPED: prior.argmax(1)}
    return {**first, **{name: found.argmax(1) for name, found in values.items()}}, weights


def _standard(values: Features) -> Features:
    """Log-probabilities and decision values on one scale: those of a clip have mean 0 and standard deviation 1."""
    return np.asarray((values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True).clip(1e-9))


def main() -> None:
    """Run the study and write its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = load_clips(arguments.cache, view="flow")
    lines = [
        "# Support vector machines on the published flow images",
        "",
        f"{datetime.date.today()}, `python -m studies.flow_machines`: {len(clips.clip_ids)} clips of "
        f"{len(set(clips.groups))} subjects of {', '.join(clips.datasets)}.",
        "Nothing was chosen on a test fold; every try is in the table, and differences are to its first row, after",
        "Holm's correction.",
    ]
    for protocol in ("loso", "lodo"):
        found, weights = study(clips, protocol)
        lines += _section(protocol, found, clips)
        counted = ", ".join(f"{weight:g} in {weights.count(weight)}" for weight in WEIGHTS if weight in weights)
        lines += ["", f"Weights of the late fusion that the {len(weights)} folds chose: {counted}."]
    arguments.report.write_text("\n".join(lines) + "\n")


def _section(protocol: str, found: Mapping[str, npt.NDArray[np.int64]], clips: ClipSet) -> list[str]:
    truth = [clips.classes[label] for label in clips.labels.tolist()]
    guesses = {name: [clips.classes[at] for at in guess] for name, guess in found.items()}
    compared: dict[str, Difference] = holm(
        {
            name: differences(truth, [guess], [guesses[CONTROL]], clips.groups, clips.classes)["uf1"]
            for name, guess in guesses.items()
            if name != CONTROL
        }
    )
    lines = ["", f"## {protocol.upper()}", "", f"| system | UF1 | UAR | {' | '.join(clips.datasets)} |"]
    lines.append("|---|---|---|" + "---|" * len(clips.datasets))
    for name, guess in guesses.items():
        whole = scores(truth, guess, clips.classes).overall
        parts = [_part(truth, guess, clips, dataset) for dataset in clips.datasets]
        cells = " | ".join(f"{value:.3f}" for value in (whole.uf1, whole.uar, *parts))
        lines.append(f"| {name} | {cells} |")
    return [*lines, "", *(f"- {verdict(one, name, 'the control')}." for name, one in compared.items())]


def _part(truth: Sequence[str], guess: Sequence[str], clips: ClipSet, dataset: str) -> float:
    rows = [row for row, clip in enumerate(clips.clip_ids) if clip.startswith(f"{dataset}/")]
    return float(f1_score([truth[row] for row in rows], [guess[row] for row in rows], average="macro"))


if __name__ == "__main__":
    main()
