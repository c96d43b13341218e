"""A whole run: every fold, the network for prediction, and the run folder; resumed where it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from mer_pipeline.device import choose_device, hardware
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.evaluation.calibration import calibrate, mean_calibration
from mer_pipeline.evaluation.controls import controls
from mer_pipeline.evaluation.leaks import guard, look_alikes
from mer_pipeline.evaluation.metrics import over_units, unit_scores
from mer_pipeline.evaluation.protocols import (
    Fold,
    check_selection,
    folds_of,
    inner_splits,
    parse_protocol,
    split_digest,
)
from mer_pipeline.evaluation.summary import Training, early_stops, headline, mean_axis_deg, pooled
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.recipe import Recipe, recipe_defaults
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.facts import Data, Facts
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.provenance import versions
from mer_pipeline.runs.results import OPTIMISTIC, Calibration, FoldResult, UnitScores
from mer_pipeline.runs.run import Run
from mer_pipeline.training.parallel import one_thread, train_folds
from mer_pipeline.training.prior import NOTE as PRIOR
from mer_pipeline.training.start import start_note
from mer_pipeline.training.tensorboard import check_tensorboard, write_events
from mer_pipeline.training.trainer import Trainer


@dataclass(frozen=True)
class Plan:
    """How a recipe is judged.

    Attributes:
        protocol: See `protocols.folds_of`.
        select: `last` (a fixed number of epochs), `inner` (subjects inside the training fold choose the epoch), or
            `oracle` (the test fold does: optimistic).
        seeds: How many trainings, with seeds that follow each other from the recipe's; the command line asks for 3.
        tensorboard: Whether event files are written too.
        jobs: How many folds are trained at a time on a CPU, each by one thread; the numbers do not depend on it.

    Raises:
        MerError: An unknown selection, an impossible number of seeds, or `tensorboard` without the extra.
    """

    protocol: str = "loso"
    select: str = "last"
    seeds: int = 1
    tensorboard: bool = False
    jobs: int = 1

    def __post_init__(self) -> None:
        check_selection(self.select)
        if not 1 <= self.seeds <= 1000:
            raise MerError(f"{self.seeds} seeds are outside 1..1000", fix="give --seeds N")
        if self.tensorboard:
            check_tensorboard()

    def folds(self, clips: ClipSet, training: int = 0) -> list[Fold]:
        """Who is held out in turn; nothing has been trained when these cannot be.

        Args:
            clips: All clips.
            training: Which of several, from 0; see `Protocol.dealt`.

        Raises:
            MerError: The clips cannot be split so, or something of a test clip would be trained on.
        """
        folds = folds_of(self.protocol, clips.clip_ids, clips.groups, training)
        guard(folds, clips.clip_ids, clips.groups, clips.images)
        for fold in folds if self.select == "inner" else ():
            inner_splits(clips.groups, fold.train)
        return folds


@dataclass(frozen=True)
class _Session:
    """What all trainings of one call share; `folds` has those of every training."""

    clips: ClipSet
    plan: Plan
    folds: Sequence[Sequence[Fold]]
    device: torch.device
    command: str
    progress: Progress

    def open(self, folder: Path, recipe: Recipe, folds: Sequence[Sequence[Fold]]) -> Run:
        """Create the run folder, or make sure that the one that exists is of the same run."""
        clips, plan = self.clips, self.plan
        begins_with = [*([PRIOR] if recipe.prior == "shipped" else []), *start_note(clips, recipe)]
        data = Data(
            clips=len(clips.clip_ids),
            fingerprint=clips.fingerprint(),
            subjects=len(set(clips.groups)),
            datasets=clips.dataset_names,
            labels=clips.label_set,
            classes=clips.class_counts,
            size=clips.size,
            view=clips.view,
            flow=clips.flow,
        )
        facts = Facts(
            recipe=recipe.as_json(),
            data=data,
            protocol=plan.protocol,
            selection=plan.select,
            seeds=len(folds),
            split=split_digest([fold for each in folds for fold in each], clips.clip_ids),
            merged=clips.merged,
            defaults=recipe_defaults(),
            command=self.command,
            cache=clips.cache,
            versions=versions(),
            hardware=hardware(self.device),
            notes=(*clips.notes, *begins_with, *look_alikes(clips)),
        )
        return Run.create(folder, facts)

    def trainer(self, run: Run, recipe: Recipe, folds: Sequence[Fold]) -> Trainer:
        """What trains the parts of one run."""
        inner = self.plan.select == "inner"
        return Trainer(self.clips, recipe, run, self.device, folds=folds, inner=inner, progress=self.progress)

    def train(self, run: Run, recipe: Recipe, folds: Sequence[Fold]) -> tuple[Training, Metrics]:
        """Train and judge with one seed; what it predicted, and what it came to."""
        started = time.monotonic()
        clips, plan, trainer = self.clips, self.plan, self.trainer(run, recipe, folds)
        results = []
        for fold in folds:
            results.append(trainer.fold(fold))
            if plan.tensorboard:
                write_events(run.tensorboard(fold.held_out), results[-1].history)
        predictions = [p for result in results for p in result.predictions]
        _check_once(predictions, folds, clips)
        guesses = self._controls(recipe, folds)
        run.write_predictions(predictions, clips.classes)
        run.write_controls(guesses)
        honest = "last" if plan.select == "oracle" else plan.select
        calibration = calibrate(headline(predictions, recipe.aus, honest), clips.classes, clips.merged)
        chosen, units = [r.chosen_epoch for r in results if r.chosen_epoch is not None], _unit_scores(clips, results)
        trainer.final(calibration, chosen, units)
        # Angles that were learned without the held-out clips, averaged over folds per layer.
        theta_deg = mean_axis_deg([result.history.theta_deg[-1] for result in results])
        spotted = [p for result in results for p in result.spotted]
        training = Training(
            recipe.seed, str(run.folder), predictions, guesses, theta_deg, spotted, units, _measured(results),
            early_stops([result.history for result in results]) if plan.select == "oracle" else None,
        )  # fmt: skip
        metrics = self.metrics(run, recipe, [training], calibration, time.monotonic() - started)
        run.finish(metrics)
        return training, metrics

    def _controls(self, recipe: Recipe, folds: Sequence[Fold]) -> dict[str, dict[str, str]]:
        """Control -> clip_id -> class name."""
        clips = self.clips
        return {
            name: {clips.clip_ids[row]: clips.classes[guess] for row, guess in guesses.items()}
            for name, guesses in controls(clips, folds, "aus" in recipe.inputs).items()
        }

    def metrics(
        self, run: Run, recipe: Recipe, trainings: Sequence[Training], calibration: Calibration, seconds: float
    ) -> Metrics:
        """What one or more trainings came to."""
        found = pooled(trainings, self.clips.classes, aus=recipe.aus, select=self.plan.select, merged=self.clips.merged)
        metrics = Metrics(
            run=str(run.folder),
            model=recipe.model,
            attention=recipe.network_options.get("attention"),
            protocol=self.plan.protocol,
            labels=self.clips.label_set,
            classes=self.clips.classes,
            fold_count=len(self.folds[0]),
            clips=sum(len(fold.test) for fold in self.folds[0]),
            selection=self.plan.select,
            keyframes=self.clips.keyframes,
            seed=recipe.seed,
            optimistic=(found.selections["oracle"], OPTIMISTIC),
            calibration=calibration,
            theta_deg=mean_axis_deg([one.theta_deg for one in trainings]),
            seconds=round(seconds, 1),
            **{field.name: getattr(found, field.name) for field in fields(found)},
        )
        of_units = over_units(metrics.au_scores, parse_protocol(self.plan.protocol).units)
        return replace(metrics, measured={**metrics.measured, **of_units})


def _unit_scores(clips: ClipSet, results: Sequence[FoldResult]) -> dict[int, UnitScores]:
    """How well the estimates of all folds find the Action Units of the clips that are annotated."""
    estimates = {clip: probabilities for result in results for clip, probabilities in result.aus.items()}
    rows = [row for row, clip in enumerate(clips.clip_ids) if clip in estimates]
    if not rows:
        return {}
    found = np.array([estimates[clips.clip_ids[row]] for row in rows], np.float32)
    return unit_scores(found, clips.aus[rows].numpy(), clips.aus_known[rows].numpy())


def _measured(results: Sequence[FoldResult]) -> dict[str, float]:
    """What the networks of all folds measure of themselves, mean over clips."""
    each = [values for result in results for values in result.measured.values()]
    return {name: float(np.mean([values[name] for values in each])) for name in (each[0] if each else ())}


def _check_once(predictions: Sequence[Prediction], folds: Sequence[Fold], clips: ClipSet) -> None:
    """Refuse folds that together count a test clip twice, or leave one out."""
    tested = sorted(clips.clip_ids[row] for fold in folds for row in fold.test)
    judged = sorted(p.clip_id for p in predictions if p.selection == "last" and p.aus == predictions[0].aus)
    if judged != tested or len(set(tested)) < len(tested):
        wrong = sorted(set(tested) ^ set(judged)) or [a for a, b in pairwise(judged) if a == b]
        raise MerError("a test clip is not counted once", where=wrong[0], fix="train again in a new folder")


@os_errors()
def train(
    clips: ClipSet,
    recipe: Recipe,
    run: str | Path,
    plan: Plan = Plan(),
    *,
    device: str = "auto",
    command: str = "",
    progress: Progress = silent,
) -> Run:
    """Train and judge; what an interrupted run has finished is not trained again.

    On a CPU every fold is trained by one thread, so that the numbers are the same on any number of cores.

    Args:
        clips: The clips in memory.
        recipe: Which network, trained how.
        run: The run folder; created with mode 0700. With several seeds it holds one run folder a seed.
        plan: How the recipe is judged.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        command: What the user typed, for the record.
        progress: Called after every epoch.

    Returns:
        The finished run; `metrics.as_json()` of it is what `mer train --json` prints.

    Raises:
        MerError: The run folder belongs to another run, the device is absent, the clips cannot be split, or something
            of a test clip would be trained on.
    """
    with one_thread():
        started, folder = time.monotonic(), Path(run)
        folds = [plan.folds(clips, training) for training in range(plan.seeds)]
        session = _Session(clips, plan, folds, choose_device(device), command, progress)
        together = session.open(folder, recipe, folds)
        recipes = [replace(recipe, seed=recipe.seed + training) for training in range(plan.seeds)]
        parts = [together] if plan.seeds == 1 else [
            session.open(together.seed_folder(one.seed), one, [own]) for one, own in zip(recipes, folds, strict=True)
        ]  # fmt: skip
        trainers = [session.trainer(*part) for part in zip(parts, recipes, folds, strict=True)]
        if plan.jobs > 1 and session.device.type == "cpu":
            train_folds(clips, trainers, plan.jobs, progress)
        found = [session.train(*part) for part in zip(parts, recipes, folds, strict=True)]
        if plan.seeds == 1:
            return Run(folder)
        calibration = mean_calibration([metrics.calibration for _, metrics in found])
        trainings = [training for training, _ in found]
        return together.finish(session.metrics(together, recipe, trainings, calibration, time.monotonic() - started))
