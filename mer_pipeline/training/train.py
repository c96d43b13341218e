"""A whole run: every fold, the network for prediction, and the run folder; resumed where it was interrupted."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.device import choose_device, hardware
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation import summary as summaries
from mer_pipeline.evaluation.calibration import calibrate
from mer_pipeline.evaluation.controls import controls
from mer_pipeline.evaluation.protocols import Fold, folds_of, guard, inner_split
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.card import Prediction, read_json, write_json
from mer_pipeline.runs.provenance import versions
from mer_pipeline.training.tensorboard import write_events
from mer_pipeline.training.trainer import Trainer


@dataclass(frozen=True)
class Plan:
    """How a recipe is judged.

    Attributes:
        protocol: See `folds.folds_of`.
        select: `last` (a fixed number of epochs), `inner` (subjects inside the training fold choose the epoch), or
            `oracle` (the test fold does: optimistic).
        seeds: How many trainings, with seeds that follow each other from the recipe's.
        tensorboard: Whether event files are written too.
    """

    protocol: str = "loso"
    select: str = "last"
    seeds: int = 1
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.select not in summaries.SELECTIONS:
            raise MerError(
                f"select = {self.select!r} is unknown", fix=f"choose one of {', '.join(summaries.SELECTIONS)}"
            )
        if not 1 <= self.seeds <= 1000:
            raise MerError(f"{self.seeds} seeds are outside 1..1000", fix="give --seeds N")

    def folds(self, clips: ClipSet) -> list[Fold]:
        """Who is held out in turn; nothing has been trained when these cannot be.

        Raises:
            MerError: The clips cannot be split so, or something of a test clip would be trained on.
        """
        folds = folds_of(self.protocol, clips.clip_ids, clips.groups)
        guard(folds, clips.clip_ids, clips.groups, clips.images)
        for fold in folds if self.select == "inner" else ():
            inner_split(clips.groups, fold.train)
        return folds


def train(
    clips: ClipSet,
    recipe: Recipe,
    run: str | Path,
    plan: Plan = Plan(),
    *,
    device: str = "auto",
    command: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train and judge; what an interrupted run has finished is not trained again.

    Args:
        clips: The clips in memory.
        recipe: Which network, trained how.
        run: The run folder; created with mode 0700. With several seeds it holds one run folder a seed.
        plan: How the recipe is judged.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        command: What the user typed, for the record.
        progress: Told after every epoch.

    Returns:
        The summary that `mer train --json` prints.

    Raises:
        MerError: The run folder belongs to another run, the device is absent, the clips cannot be split, or something
            of a test clip would be trained on.
    """
    run, chosen = Path(run), choose_device(device)
    folds = plan.folds(clips)
    if plan.seeds == 1:
        return _one_seed(clips, recipe, run, plan, folds, chosen, command, progress)
    started = time.monotonic()
    _open_run(run, clips, recipe, plan, chosen, command)
    seeds = range(recipe.seed, recipe.seed + plan.seeds)
    found = [
        _one_seed(
            clips,
            replace(recipe, seed=seed),
            run / f"seed-{seed}",
            replace(plan, seeds=1),
            folds,
            chosen,
            command,
            progress,
        )
        for seed in seeds
    ]
    together = {
        **found[0],
        "run": str(run),
        "seeds": list(seeds),
        **summaries.mean_and_sd(found),
        "runs": [{name: one[name] for name in ("run", "accuracy", "uf1", "uar", "theta_deg")} for one in found],
        "theta_deg": summaries.mean_axis_deg([one["theta_deg"] for one in found]),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(run / "metrics.json", together)
    return together


def _one_seed(
    clips: ClipSet,
    recipe: Recipe,
    run: Path,
    plan: Plan,
    folds: Sequence[Fold],
    device: torch.device,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    started = time.monotonic()
    _open_run(run, clips, recipe, plan, device, command)
    trainer = Trainer(clips, recipe, run, device, folds=len(folds), inner=plan.select == "inner", progress=progress)
    results = []
    for fold in folds:
        results.append(trainer.fold(fold))
        if plan.tensorboard:
            write_events(run / "tensorboard" / fold.folder, results[-1]["history"])
    predictions = [Prediction(**p) for result in results for p in result["predictions"]]
    guesses = _controls(clips, folds, recipe)
    _write_predictions(run / "predictions.csv", predictions, clips.classes)
    _write_controls(run / "controls.csv", guesses)
    calibration = calibrate(summaries.headline(predictions, recipe.aus, plan.select), clips.classes)
    trainer.final(calibration["temperature"], [r["chosen_epoch"] for r in results if r["chosen_epoch"] is not None])
    summary = {
        "run": str(run),
        "model": recipe.model,
        "attention": recipe.network_options.get("attention"),
        "protocol": plan.protocol,
        "labels": clips.protocol,
        "classes": list(clips.classes),
        "folds": len(folds),
        "clips": sum(len(fold.test) for fold in folds),
        "subjects": len(set(clips.groups)),
        "selection": plan.select,
        "seed": recipe.seed,
        **summaries.pooled(predictions, clips.classes, aus=recipe.aus, select=plan.select, controls=guesses),
        "calibration": calibration,
        # Angles that were learned without the held-out clips, averaged over folds per layer.
        "theta_deg": summaries.mean_axis_deg([result["history"]["theta_deg"][-1] for result in results]),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(run / "metrics.json", summary)
    return summary


def _controls(clips: ClipSet, folds: Sequence[Fold], recipe: Recipe) -> dict[str, dict[str, str]]:
    """Control -> clip_id -> class name."""
    takes_aus = "aus" in recipe.inputs
    return {
        name: {clips.clip_ids[row]: clips.classes[guess] for row, guess in guesses.items()}
        for name, guesses in controls(clips, folds, takes_aus).items()
    }


def _open_run(run: Path, clips: ClipSet, recipe: Recipe, plan: Plan, device: torch.device, command: str) -> None:
    """Create the run folder, or make sure that the one that exists is of the same run."""
    identity = {
        "recipe": recipe.as_json(),
        "data": {
            "clips": len(clips.clip_ids),
            "fingerprint": clips.fingerprint(),
            "subjects": len(set(clips.groups)),
            "datasets": clips.datasets,
            "labels": clips.protocol,
            "classes": clips.class_counts,
            "size": clips.size,
            "view": clips.view,
            "flow": clips.flow,
        },
        "protocol": plan.protocol,
        "selection": plan.select,
        "seeds": plan.seeds,
    }
    if (run / "run.json").is_file():
        before = read_json(run / "run.json")
        differing = [key for key, value in identity.items() if before.get(key) != value]
        if differing:
            raise MerError(
                f"this folder holds a run with another {' and '.join(differing)}", where=run, fix="choose another --out"
            )
        return
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise MerError("exists and is not a run folder", where=run, fix="choose another --out")
    private_folder(run)
    facts = {
        "command": command,
        "cache": clips.cache,
        "versions": versions(),
        "hardware": hardware(device),
        "notes": list(clips.notes),
    }
    write_json(run / "run.json", {**identity, **facts})


def _write_predictions(path: Path, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["clip_id", "fold", "selection", "aus", "truth", "predicted", *(f"p_{name}" for name in classes)])
    for p in predictions:
        writer.writerow([p.clip_id, p.fold, p.selection, p.aus, p.truth, p.predicted, *p.probabilities])
    write_atomically(path, text.getvalue().encode())


def _write_controls(path: Path, guesses: Mapping[str, Mapping[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["clip_id", "control", "predicted"])
    writer.writerows((clip, name, guess) for name, of_clips in guesses.items() for clip, guess in of_clips.items())
    write_atomically(path, text.getvalue().encode())
