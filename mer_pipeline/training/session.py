"""How a recipe is judged, and the trainings of one call: the folds of every seed, the final networks, the scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch

from mer_pipeline.device import hardware
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.au_tables import au_tables_note, read_au_tables
from mer_pipeline.evaluation.calibration import calibrate
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
from mer_pipeline.progress import Progress
from mer_pipeline.recipe import Recipe, recipe_defaults
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.facts import Data, Facts
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.provenance import versions
from mer_pipeline.runs.results import OPTIMISTIC, Calibration, FoldResult, UnitScores
from mer_pipeline.runs.run import Run
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
        jobs: How many folds are trained at a time, on a CPU each by one thread; None for one a core, or one a GPU. The
            numbers do not depend on it.
        au_tables: A folder of another tool's tables of Action Units, for a control; see `au_tables.read_au_tables`.

    Raises:
        MerError: An unknown selection, an impossible number of seeds, or `tensorboard` without the extra.
    """

    protocol: str = "loso"
    select: str = "last"
    seeds: int = 1
    tensorboard: bool = False
    jobs: int | None = 1
    au_tables: Path | None = None

    def __post_init__(self) -> None:
        check_selection(self.select)
        if not 1 <= self.seeds <= 1000:
            raise MerError(f"{self.seeds} seeds are outside 1..1000", fix="give --seeds N")
        if self.tensorboard:
            check_tensorboard()
        if self.au_tables is not None and not self.au_tables.is_dir():
            raise MerError("no such folder", where=self.au_tables, fix="name the folder of the tables")

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
class Part:
    """One training: what a run with one seed consists of.

    Attributes:
        number: Which of several, from 0.
        run: Its folder.
        recipe: With its seed.
        folds: Who is held out in turn.
    """

    number: int
    run: Run
    recipe: Recipe
    folds: Sequence[Fold]


@dataclass(frozen=True)
class Session:
    """What all trainings of one call share.

    Attributes:
        clips: All clips.
        plan: How they are judged.
        device: Where this process computes.
        command: What the user typed.
        progress: Called after every epoch.
    """

    clips: ClipSet
    plan: Plan
    device: torch.device
    command: str
    progress: Progress

    def begin(self, folder: Path, recipe: Recipe) -> tuple[Run, list[Part]]:
        """Create the run folder, or make sure that the one that exists is of the same run.

        Returns:
            The run, and its trainings; with one seed, that is the run itself.

        Raises:
            MerError: The folder holds something else, or the clips cannot be split.
        """
        folds = [self.plan.folds(self.clips, training) for training in range(self.plan.seeds)]
        if self.plan.au_tables is not None:  # what is wrong with them is said before anything is trained
            read_au_tables(self.plan.au_tables, self.clips.clip_ids)
        together = self._open(folder, recipe, folds)
        if self.plan.seeds == 1:
            return together, [Part(0, together, recipe, folds[0])]
        recipes = [replace(recipe, seed=recipe.seed + training) for training in range(self.plan.seeds)]
        return together, [
            Part(number, self._open(together.seed_folder(one.seed), one, [own]), one, own)
            for number, (one, own) in enumerate(zip(recipes, folds, strict=True))
        ]

    def _open(self, folder: Path, recipe: Recipe, folds: Sequence[Sequence[Fold]]) -> Run:
        clips, plan = self.clips, self.plan
        start = start_note(clips, recipe)
        begins_with = [*([PRIOR] if recipe.prior == "shipped" else []), *start]
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
            notes=(*clips.notes, *begins_with, *look_alikes(clips), *au_tables_note(plan.au_tables, clips.clip_ids)),
            folds=tuple(fold.held_out for fold in folds[0]),
        )
        run = Run.create(folder, facts)
        if not set(start) <= set(run.facts.notes):
            raise MerError(
                f"the weights that this run began with ({recipe.start}) have changed", where=folder,
                fix="restore them, or choose another --out",
            )  # fmt: skip
        return run

    def trainer(self, part: Part, only: Fold | None = None, progress: Progress | None = None) -> Trainer:
        """What trains the parts of one training, or one fold alone."""
        folds, inner = [only] if only else part.folds, self.plan.select == "inner"
        return Trainer(
            self.clips, part.recipe, part.run, self.device,
            folds=folds, inner=inner, progress=progress or self.progress, final=only is None,
        )  # fmt: skip

    def final(
        self, part: Part, trainer: Trainer, results: Sequence[FoldResult]
    ) -> tuple[Calibration, dict[int, UnitScores]]:
        """Train the network for prediction; what its card has from the folds."""
        clips, honest = self.clips, "last" if self.plan.select == "oracle" else self.plan.select
        predictions = [p for result in results for p in result.predictions]
        _check_once(predictions, part.folds, clips)
        calibration = calibrate(headline(predictions, part.recipe.aus, honest), clips.classes, clips.merged)
        units = _unit_scores(clips, results)
        trainer.final(calibration, [r.chosen_epoch for r in results if r.chosen_epoch is not None], units)
        return calibration, units

    def finish(self, part: Part) -> tuple[Training, Metrics]:
        """Train what is not trained, and judge; what it predicted, and what it came to."""
        started, run, recipe = time.monotonic(), part.run, part.recipe
        trainer = self.trainer(part)
        results = trainer.all_folds()
        for result in results if self.plan.tensorboard else ():
            write_events(run.tensorboard(result.held_out), result.history)
        calibration, units = self.final(part, trainer, results)
        predictions = [p for result in results for p in result.predictions]
        guesses = self._controls(part)
        run.write_predictions(predictions, self.clips.classes)
        run.write_controls(guesses)
        # Angles that were learned without the held-out clips, averaged over folds per layer.
        theta_deg = mean_axis_deg([result.history.theta_deg[-1] for result in results])
        spotted = [p for result in results for p in result.spotted]
        training = Training(
            recipe.seed, str(run.folder), predictions, guesses, theta_deg, spotted, units, _measured(results),
            early_stops([result.history for result in results]) if self.plan.select == "oracle" else None,
        )  # fmt: skip
        metrics = self.metrics(part, run, [training], calibration, time.monotonic() - started)
        run.finish(metrics)
        return training, metrics

    def _controls(self, part: Part) -> dict[str, dict[str, str]]:
        """Control -> clip_id -> class name."""
        clips, folder = self.clips, self.plan.au_tables
        tables = None if folder is None else read_au_tables(folder, clips.clip_ids)
        found = controls(clips, part.folds, "aus" in part.recipe.inputs, tables)
        return {
            name: {clips.clip_ids[row]: clips.classes[guess] for row, guess in guesses.items()}
            for name, guesses in found.items()
        }

    def metrics(
        self, first: Part, run: Run, trainings: Sequence[Training], calibration: Calibration, seconds: float
    ) -> Metrics:
        """What one or more trainings came to."""
        recipe, folds = first.recipe, first.folds
        found = pooled(trainings, self.clips.classes, aus=recipe.aus, select=self.plan.select, merged=self.clips.merged)
        metrics = Metrics(
            run=str(run.folder),
            model=recipe.model,
            attention=cast("str | None", recipe.network_options.get("attention")),
            protocol=self.plan.protocol,
            labels=self.clips.label_set,
            classes=self.clips.classes,
            fold_count=len(folds),
            clips=sum(len(fold.test) for fold in folds),
            selection=self.plan.select,
            keyframes=self.clips.keyframes,
            seed=recipe.seed,
            optimistic=(found.selections["oracle"], OPTIMISTIC),
            calibration=calibration,
            theta_deg=mean_axis_deg([one.theta_deg for one in trainings]),
            seconds=round(seconds, 1),
            **vars(found),
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
