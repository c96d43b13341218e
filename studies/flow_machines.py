"""What support vector machines reach on the published flow images without looking at a test fold: every try.

    python -m studies.flow_machines CACHE --report studies/reports/flow-machines-DATE.md

CACHE is what `mer preprocess megc2019_flow --out CACHE` wrote. Each system is fitted fold by fold (one subject, or one
dataset, held out); its C and its kernel's width are chosen by UF1 on subjects inside the training fold. All that was
tried stands in the table. A system that is called transductive sees the test subject's clips, without labels.
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
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_pipeline.evaluation.controls import SVM, controls
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.evaluation.protocols import Fold, folds_of
from mer_pipeline.evaluation.statistics import differences, holm, verdict
from mer_pipeline.runs.results import Difference
from mer_pipeline.training import ClipSet, load_clips

Features = npt.NDArray[np.float64]
# Cells a side; the control has the last alone.
PYRAMID = (2, 4, 7)
GRID = {"svc__C": [0.5, 2.0, 8.0], "svc__gamma": ["scale", 1e-3]}
CONTROL = "control: averaged flow, C = 1"


def pyramid(images: torch.Tensor) -> Features:
    """Flow averaged to several grids, (clips, features)."""
    peak = images[:, 0].float()
    return np.concatenate([F.adaptive_avg_pool2d(peak, cells).flatten(1).numpy() for cells in PYRAMID], axis=1)


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


def study(clips: ClipSet, protocol: str) -> dict[str, npt.NDArray[np.int64]]:
    """System -> class of every clip."""
    folds = folds_of(protocol, clips.clip_ids, clips.groups)
    plain, twin = pyramid(clips.images), pyramid(mirrored(clips.images))
    own, own_twin = of_subjects(plain, clips.groups), of_subjects(twin, clips.groups)
    systems: dict[str, Callable[[Fold], Features]] = {
        "pyramid": lambda fold: tuned(plain, [], clips, fold),
        "pyramid, mirrored clips too": lambda fold: tuned(plain, [twin], clips, fold),
        "pyramid less subject's mean (transductive)": lambda fold: tuned(own, [], clips, fold),
        "the same, mirrored clips too (transductive)": lambda fold: tuned(own, [own_twin], clips, fold),
    }
    values = {name: np.zeros((len(clips.clip_ids), len(clips.classes))) for name in systems}
    for fold in folds:
        for name, fit in systems.items():
            values[name][list(fold.test)] = fit(fold)
    values["mean of the four (transductive)"] = np.mean(list(values.values()), axis=0)
    known = controls(clips, folds, aus=False)[SVM]
    first = {CONTROL: np.array([known[row] for row in range(len(clips.clip_ids))])}
    return {**first, **{name: found.argmax(1) for name, found in values.items()}}


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
        lines += _section(protocol, study(clips, protocol), clips)
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
