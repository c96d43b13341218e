"""What the networks score on the published flow images of the MEGC 2019 composite, beside a support vector machine.

    python -m studies.flow_set CACHE --out FOLDER [--report FILE.md]

CACHE is what `mer preprocess megc2019_flow --out CACHE` wrote. Every training is a run folder below FOLDER, so that the
study can be interrupted and goes on. Systems, epochs and the ensemble of all of them are written down below; nothing is
chosen on a test fold, except where the word optimistic says so. How the settings came about stands in the dated report.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mer_pipeline.cli.common import progress_bar
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.evaluation.statistics import differences
from mer_pipeline.progress import Progress
from mer_pipeline.reading import read_json
from mer_pipeline.runs.card import write_json
from mer_pipeline.runs.run import Run
from mer_pipeline.training import ClipSet, Plan, load_clips, load_recipe, train
from studies.flow_angles import SMALL, study_angles
from studies.flow_report import write_report

# The settings of STSTNet's card, and FaceSleuth's motion stream made as small as the set is, with the class weights
# that the support vector machine has too.
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ststnet": ("ststnet", {"epochs": 100, "lr": 1e-3, "batch": 128}),
    "facesleuth-flow": ("facesleuth-flow", {**SMALL, "epochs": 20, "class_weights": "balanced"}),
}
SEEDS = 3
ENSEMBLE = "ensemble of all"


def main() -> None:
    """Run the study and write its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--quiet", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = load_clips(arguments.cache, view="flow")
    with progress_bar(arguments.quiet, "the same command goes on from here") as progress:
        found: dict[str, Any] = {
            "loso": study(clips, "loso", arguments.out / "loso", progress),
            "shuffled": study_shuffled(clips, arguments.out / "shuffled", progress),
            "lodo": study(clips, "lodo", arguments.out / "lodo", progress),
            "angles": study_angles(clips, arguments.out / "angles", progress),
        }
    runs = [read_json(path) for path in arguments.out.rglob("run.json")]
    found["commits"] = sorted({run["versions"].get("commit", "none") for run in runs})
    write_json(arguments.out / "found.json", found)
    if arguments.report:
        write_report(found, clips, arguments.report)


def study(clips: ClipSet, protocol: str, out: Path, progress: Progress) -> dict[str, Any]:
    """Every system over its seeds, the ensemble of all trainings, and each against the support vector machine."""
    plan = Plan(protocol, seeds=SEEDS)
    probabilities: dict[str, dict[str, list[float]]] = {}
    found: dict[str, Any] = {"systems": {}}
    for name, (model, settings) in SYSTEMS.items():
        run = out / name.replace(", ", "-")
        trained = train(clips, load_recipe(model, settings), run, plan, device="cpu", progress=progress,
                        command=f"studies.flow_set {protocol}")  # fmt: skip
        summary = trained.metrics.as_json()
        probabilities[name] = _mean_probabilities(trained)
        single = {key: summary[key] for key in ("uf1", "uar", "accuracy", "sd", "oracle", "seconds")}
        found["systems"][name] = {
            "model": model,
            "settings": settings,
            **single,
            **_judged(probabilities[name], trained, clips),
        }
    together = {
        clip: np.mean([table[clip] for table in probabilities.values()], axis=0).tolist()
        for clip in next(iter(probabilities.values()))
    }
    found["systems"][ENSEMBLE] = _judged(together, trained, clips)
    measures = ("uf1", "uar", "accuracy")
    found["controls"] = {one.name: {key: one.scores[key] for key in measures} for one in trained.metrics.controls}
    found["controls"]["svm"] |= {"by_part": _by_part(trained.control_predictions["svm"], clips)}
    return found


def study_shuffled(clips: ClipSet, out: Path, progress: Progress) -> dict[str, Any]:
    """Labels dealt at random: what each way to choose the epoch makes of nothing."""
    order = torch.randperm(len(clips.labels), generator=torch.Generator().manual_seed(0))
    dealt = dataclasses.replace(clips, labels=clips.labels[order])
    model, settings = SYSTEMS["ststnet"]
    recipe = load_recipe(model, {**settings, "epochs": 30})
    plan = Plan(select="inner")
    trained = train(dealt, recipe, out, plan, device="cpu", progress=progress, command="studies.flow_set")
    return {
        "epochs": recipe.epochs,
        "classes": dealt.class_counts,
        "selections": trained.metrics.as_json()["selections"],
        "controls": {one.name: {"uf1": one.scores.uf1, "uar": one.scores.uar} for one in trained.metrics.controls},
    }


def _mean_probabilities(run: Run) -> dict[str, list[float]]:
    """clip_id -> mean over seeds of the last epoch's probabilities."""
    sums: dict[str, list[list[float]]] = defaultdict(list)
    for training in run.trainings:
        for prediction in training.predictions:
            sums[prediction.clip_id].append(prediction.probabilities)
    return {clip: np.mean(tables, axis=0).tolist() for clip, tables in sums.items()}


def _judged(table: dict[str, list[float]], run: Run, clips: ClipSet) -> dict[str, Any]:
    """The mean probabilities as one system: its scores, by part, and its UF1 less that of the SVM."""
    guesses = {clip: clips.classes[int(np.argmax(values))] for clip, values in table.items()}
    truth = _truth(clips)
    ids = sorted(guesses)
    subjects = [clip.rpartition("/")[0] for clip in ids]
    svm = run.control_predictions["svm"]
    difference = differences(
        [truth[c] for c in ids], [[guesses[c] for c in ids]], [[svm[c] for c in ids]], subjects, clips.classes
    )["uf1"]
    return {"averaged": _by_part(guesses, clips), "less_svm": difference.as_json()}


def _by_part(guesses: Mapping[str, str], clips: ClipSet) -> dict[str, dict[str, float]]:
    truth = _truth(clips)
    parts = {
        "all": list(guesses),
        **{name: [c for c in guesses if c.startswith(f"{name}/")] for name in clips.datasets},
    }
    return {
        name: {
            key: round(value, 4)
            for key, value in scores(
                [truth[c] for c in ids], [guesses[c] for c in ids], clips.classes
            ).overall.brief.items()
        }
        for name, ids in parts.items()
    }


def _truth(clips: ClipSet) -> dict[str, str]:
    return {clip: clips.classes[label] for clip, label in zip(clips.clip_ids, clips.labels.tolist(), strict=True)}


if __name__ == "__main__":
    main()
