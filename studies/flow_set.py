"""What the field's networks score on the published flow images of the MEGC 2019 composite with the last epoch.

    python -m studies.flow_set CACHE --out FOLDER [--parts loso lodo] [--systems STSTNet ...] [--report FILE.md]

CACHE is what `mer preprocess megc2019_flow --out CACHE` wrote. Every training is a run folder below FOLDER, so that the
study can be interrupted and goes on. Networks, their settings, the support vector machines beside them and the ensemble
of both are written down below; nothing is chosen on a test fold, except where the word optimistic says so. How the
settings came about stands in the dated report.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mer_pipeline.cli.common import progress_bar
from mer_pipeline.evaluation.controls import SVM
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.evaluation.protocols import folds_of
from mer_pipeline.evaluation.statistics import differences, holm
from mer_pipeline.inference.trained import rebuild
from mer_pipeline.progress import Progress
from mer_pipeline.reading import read_json
from mer_pipeline.runs.card import write_json
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.training import ClipSet, Plan, load_clips, load_recipe, train
from mer_pipeline.training.loop import au_sources, predict
from studies.flow_angles import SMALL, study_angles
from studies.flow_machines import Features, answers, calibrated, fused, mirrored, pyramid, stacked, tuned
from studies.flow_report import write_report

Indices = npt.NDArray[np.integer[Any]]  # of classes

# One setting for every network: what the library does by default to a picture, classes weighed as the support vector
# machine weighs them, and a rate that ends at a tenth.
_EPOCHS = 10
_COMMON: dict[str, Any] = {
    "epochs": _EPOCHS,
    "batch": 32,
    "lr": 3e-3,
    "weight_decay": 0.05,
    "lr_decay": 0.8,
    "lr_decay_epochs": _EPOCHS,
    "class_weights": "balanced",
    "flip": 0.5,
    "rotation_deg": 3.0,
    "shift": 0.067,
}
# Widths are small enough for some seconds a fold. FaceSleuth's stream is as it was for the report of 2026-11-21.
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "STSTNet": ("ststnet", _COMMON),
    "SSSNet": ("sssnet", {**_COMMON, "options.filters": [16, 32], "options.hidden": 128}),
    "RCN-A": ("rcn-a", {**_COMMON, "options.width": 16}),
    "Off-ApexNet": ("off-apexnet", {**_COMMON, "options.hidden": [128, 128]}),
    "HTNet": ("htnet", {**_COMMON, "options.width": 24, "options.depths": [1, 1, 1]}),
    "MMNet, motion stream": ("mmnet-flow", _COMMON),
    "FaceSleuth, motion stream": ("facesleuth-flow", {**SMALL, "epochs": 20, "class_weights": "balanced"}),
}
SEEDS = 3
TUNED, CALIBRATED, FUSED, STACKED = (
    "SVM on a pyramid, tuned inside",
    "SVM on a pyramid, calibrated",
    "the same, late fusion with the model that ships",
    "the same, stacked with the model that ships",
)
NETWORKS, ENSEMBLE = "mean of the networks", "declared ensemble"
# Of the mean of the networks: the two motion streams take as long as all of them.
MEMBERS = tuple(SYSTEMS)[:-2]
# The declared ensemble: two machines, and the mean of the networks as a third, with equal weights.
JOINED = (CALIBRATED, FUSED, NETWORKS)
PARTS = ("loso", "lodo", "shuffled", "angles")


def main() -> None:
    """Run the study and write its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=tuple(SYSTEMS))
    parser.add_argument("--report", type=Path)
    parser.add_argument("--quiet", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips, names = load_clips(arguments.cache, view="flow"), arguments.systems
    studies: dict[str, Callable[[Path, Progress], Any]] = {
        "loso": lambda out, progress: study(clips, "loso", names, out, progress),
        "lodo": lambda out, progress: study(clips, "lodo", names, out, progress),
        "shuffled": lambda out, progress: study_shuffled(clips, out, progress),
        "angles": lambda out, progress: study_angles(clips, out, progress),
    }
    with progress_bar(arguments.quiet, "the same command goes on from here") as progress:
        found = {part: studies[part](arguments.out / part, progress) for part in arguments.parts}
    runs = [read_json(path) for path in arguments.out.rglob("run.json")]
    found["commits"] = sorted({run["versions"].get("commit", "none") for run in runs})
    write_json(arguments.out / "found.json", found)
    if arguments.report:
        write_report(found, clips, arguments.report)


def study(clips: ClipSet, protocol: str, names: Sequence[str], out: Path, progress: Progress) -> dict[str, Any]:
    """Some networks over its seeds, the machines, and what joins them, each against the support vector machine."""
    said: dict[str, Features] = {}
    rows: dict[str, Any] = {}
    turned = dataclasses.replace(clips, images=mirrored(clips.images))
    for name in names:
        model, settings = SYSTEMS[name]
        recipe = load_recipe(model, settings)
        run = train(clips, recipe, out / model_folder(name), Plan(protocol, seeds=SEEDS), device="cpu",
                    progress=progress, command=f"studies.flow_set {protocol}")  # fmt: skip
        summary = run.metrics.as_json()
        averaged = probabilities(run, clips)
        said[name] = (averaged + probabilities(run, turned)) / 2
        rows[name] = {
            "model": model,
            "parameters": sum(p.numel() for p in recipe.outline(clips.size, len(clips.classes)).parameters()),
            **{key: summary[key] for key in ("uf1", "uar", "accuracy", "sd", "oracle", "seconds")},
            "averaged": by_part(averaged.argmax(1), clips),
        }
    every = {**said, **join(said, machines(clips, protocol))}
    control = np.array([clips.classes.index(run.control_predictions[SVM][clip]) for clip in clips.clip_ids])
    compared = _compared(every, control, clips)
    for name, values in every.items():
        own = {"score": by_part(values.argmax(1), clips), "less_svm": compared[name]}
        rows[name] = {**rows.get(name, {}), **own}
    found: dict[str, Any] = {one.name: {"uf1": one.scores.uf1, "uar": one.scores.uar} for one in run.metrics.controls}
    found[SVM] |= {"by_part": by_part(control, clips)}
    return {"systems": rows, "controls": found}


def model_folder(name: str) -> str:
    """A system's name as that of a folder."""
    return name.lower().replace(", ", "-").replace(" ", "-")


def probabilities(run: Run, clips: ClipSet) -> Features:
    """(clips, classes) mean over seeds of what the last epoch's network of the fold that held a clip out says of it."""
    found = np.zeros((len(clips.clip_ids), len(clips.classes)))
    at = {clip: row for row, clip in enumerate(clips.clip_ids)}
    for training in run.trainings:
        for fold in training.folds:
            state, card = load_network(fold.folder)
            network, rows = rebuild(state, card, fold.folder), sorted(at[clip] for clip in fold.clips)
            logits = predict(network, clips, rows, au_sources(network)[0], torch.device("cpu"))
            found[rows] += logits.softmax(1).numpy() / len(run.trainings)
    return found


def machines(clips: ClipSet, protocol: str) -> dict[str, Features]:
    """Probabilities of support vector machines on a pyramid of averaged flow, mirrored clips too; (clips, classes).

    Those of the calibrated ones are divided by the share of each class in the training fold: as if classes were equally
    common, which the networks' loss makes of them too.
    """
    plain, twin = pyramid(clips.images), pyramid(mirrored(clips.images))
    prior = answers(clips.images, clips.classes)[:, : len(clips.classes)]
    found: dict[str, Features] = {
        name: np.zeros((len(clips.clip_ids), len(clips.classes))) for name in (TUNED, CALIBRATED, FUSED, STACKED)
    }
    for fold in folds_of(protocol, clips.clip_ids, clips.groups):
        train_rows, test = list(fold.train), list(fold.test)
        share = np.bincount(clips.labels.numpy()[train_rows], minlength=len(clips.classes)) / len(train_rows)
        found[TUNED][test] = tuned(plain, [twin], clips, fold)
        found[CALIBRATED][test] = _shares(calibrated([plain, twin], clips, train_rows, test) - np.log(share))
        found[FUSED][test] = _shares(fused([plain, twin], prior, clips, fold)[0] - np.log(share))
        found[STACKED][test] = stacked([plain, twin], prior, clips, fold)
    return found


def join(networks: Mapping[str, Features], found: Mapping[str, Features]) -> dict[str, Features]:
    """The machines, the mean of all networks, and the declared ensemble."""
    every = {**found, NETWORKS: np.mean([networks[name] for name in MEMBERS if name in networks], axis=0)}
    return {**every, ENSEMBLE: np.mean([every[name] for name in JOINED], axis=0)}


def study_shuffled(clips: ClipSet, out: Path, progress: Progress) -> dict[str, Any]:
    """Labels dealt at random: what each way to choose the epoch makes of nothing."""
    order = torch.randperm(len(clips.labels), generator=torch.Generator().manual_seed(0))
    dealt = dataclasses.replace(clips, labels=clips.labels[order])
    model, settings = SYSTEMS["STSTNet"]
    recipe = load_recipe(model, settings)
    plan = Plan(select="inner")
    trained = train(dealt, recipe, out, plan, device="cpu", progress=progress, command="studies.flow_set")
    return {
        "epochs": recipe.epochs,
        "classes": dealt.class_counts,
        "selections": trained.metrics.as_json()["selections"],
        "controls": {one.name: {"uf1": one.scores.uf1, "uar": one.scores.uar} for one in trained.metrics.controls},
    }


def _shares(logs: Features) -> Features:
    found = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(found / found.sum(1, keepdims=True))


def _compared(said: Mapping[str, Features], control: Indices, clips: ClipSet) -> dict[str, dict[str, Any]]:
    """UF1 of every system less that of the SVM, with Holm's correction for the number of systems."""
    truth, other = _names(clips.labels.numpy(), clips), _names(control, clips)
    found = {
        name: differences(truth, [_names(values.argmax(1), clips)], [other], clips.groups, clips.classes)["uf1"]
        for name, values in said.items()
    }
    return {name: one.as_json() for name, one in holm(found).items()}


def by_part(guesses: Indices, clips: ClipSet) -> dict[str, dict[str, float]]:
    """Scores of guesses, (clips,) class indices, on all clips and on those of each set."""
    truth, said = _names(clips.labels.numpy(), clips), _names(guesses, clips)
    parts = {"all": list(range(len(said)))}
    for name in clips.datasets:
        parts[name] = [row for row, clip in enumerate(clips.clip_ids) if clip.startswith(f"{name}/")]
    return {
        name: {
            key: round(value, 4)
            for key, value in scores(
                [truth[row] for row in rows], [said[row] for row in rows], clips.classes
            ).overall.brief.items()
        }
        for name, rows in parts.items()
    }


def _names(indices: Indices, clips: ClipSet) -> list[str]:
    return [clips.classes[int(at)] for at in indices]


if __name__ == "__main__":
    main()
