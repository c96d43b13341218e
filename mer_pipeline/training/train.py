"""A whole run: every fold, the network for prediction, and the run folder; resumed where it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mer_pipeline.device import choose_device, hardware
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation import summary
from mer_pipeline.evaluation.calibration import calibrate
from mer_pipeline.evaluation.controls import controls
from mer_pipeline.evaluation.leaks import guard
from mer_pipeline.evaluation.protocols import Fold, check_selection, folds_of, inner_split
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.recipe import Recipe, recipe_defaults
from mer_pipeline.runs.facts import Data, Facts
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.provenance import versions
from mer_pipeline.runs.results import OPTIMISTIC, Calibration, FoldResult
from mer_pipeline.runs.run import Run
from mer_pipeline.training.tensorboard import check_tensorboard, write_events
from mer_pipeline.training.trainer import Trainer


@dataclass(frozen=True)
class Plan:
    """How a recipe is judged.

    Attributes:
        protocol: See `protocols.folds_of`.
        select: `last` (a fixed number of epochs), `inner` (subjects inside the training fold choose the epoch), or
            `oracle` (the test fold does: optimistic).
        seeds: How many trainings, with seeds that follow each other from the recipe's.
        tensorboard: Whether event files are written too.

    Raises:
        MerError: An unknown selection, an impossible number of seeds, or `tensorboard` without the extra.
    """

    protocol: str = "loso"
    select: str = "last"
    seeds: int = 1
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_selection(self.select)
        if not 1 <= self.seeds <= 1000:
            raise MerError(f"{self.seeds} seeds are outside 1..1000", fix="give --seeds N")
        if self.tensorboard:
            check_tensorboard()

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


@dataclass(frozen=True)
class _Session:
    """What all trainings of one call share."""

    clips: ClipSet
    plan: Plan
    folds: Sequence[Fold]
    device: torch.device
    command: str
    progress: Progress

    def open(self, folder: Path, recipe: Recipe, seeds: int) -> Run:
        """Create the run folder, or make sure that the one that exists is of the same run."""
        clips, plan = self.clips, self.plan
        data = Data(
            clips=len(clips.clip_ids),
            fingerprint=clips.fingerprint(),
            subjects=len(set(clips.groups)),
            datasets=clips.datasets,
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
            seeds=seeds,
            defaults=recipe_defaults(),
            command=self.command,
            cache=clips.cache,
            versions=versions(),
            hardware=hardware(self.device),
            notes=clips.notes,
        )
        return Run.create(folder, facts)

    def train(self, folder: Path, recipe: Recipe) -> Run:
        """Train and judge with one seed."""
        started = time.monotonic()
        clips, plan = self.clips, self.plan
        run = self.open(folder, recipe, seeds=1)
        trainer = Trainer(
            clips, recipe, run, self.device, folds=len(self.folds), inner=plan.select == "inner", progress=self.progress
        )
        results = []
        for fold in self.folds:
            results.append(trainer.fold(fold))
            if plan.tensorboard:
                write_events(run.tensorboard(fold.held_out), results[-1].history)
        predictions = [p for result in results for p in result.predictions]
        guesses = self._controls(recipe)
        run.write_predictions(predictions, clips.classes)
        run.write_controls(guesses)
        calibration = calibrate(summary.headline(predictions, recipe.aus, plan.select), clips.classes)
        trainer.final(calibration.temperature, [r.chosen_epoch for r in results if r.chosen_epoch is not None])
        pooled = summary.pooled(predictions, clips.classes, aus=recipe.aus, select=plan.select, controls=guesses)
        return run.finish(self._metrics(run, recipe, results, pooled, calibration, time.monotonic() - started))

    def _controls(self, recipe: Recipe) -> dict[str, dict[str, str]]:
        """Control -> clip_id -> class name."""
        clips = self.clips
        return {
            name: {clips.clip_ids[row]: clips.classes[guess] for row, guess in guesses.items()}
            for name, guesses in controls(clips, self.folds, "aus" in recipe.inputs).items()
        }

    def _metrics(
        self,
        run: Run,
        recipe: Recipe,
        results: Sequence[FoldResult],
        pooled: summary.Pooled,
        calibration: Calibration,
        seconds: float,
    ) -> Metrics:
        return Metrics(
            run=str(run.folder),
            model=recipe.model,
            attention=recipe.network_options.get("attention"),
            protocol=self.plan.protocol,
            labels=self.clips.label_set,
            classes=self.clips.classes,
            fold_count=len(self.folds),
            clips=sum(len(fold.test) for fold in self.folds),
            subjects=len(set(self.clips.groups)),
            selection=self.plan.select,
            seed=recipe.seed,
            aus=pooled.aus,
            scores=pooled.detailed.overall,
            per_class=pooled.detailed.per_class,
            confusion=pooled.detailed.confusion,
            intervals=pooled.intervals,
            selections=pooled.selections,
            optimistic=(pooled.selections["oracle"], OPTIMISTIC),
            by_aus=pooled.by_aus,
            by_dataset=pooled.by_dataset,
            controls=pooled.controls,
            calibration=calibration,
            # Angles that were learned without the held-out clips, averaged over folds per layer.
            theta_deg=summary.mean_axis_deg([result.history.theta_deg[-1] for result in results]),
            seconds=round(seconds, 1),
        )


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
    folder = Path(run)
    session = _Session(clips, plan, plan.folds(clips), choose_device(device), command, progress)
    if plan.seeds == 1:
        return session.train(folder, recipe)
    started = time.monotonic()
    together = session.open(folder, recipe, plan.seeds)
    seeds = range(recipe.seed, recipe.seed + plan.seeds)
    found = [session.train(together.seed_folder(seed), replace(recipe, seed=seed)).metrics for seed in seeds]
    return together.finish(summary.over_seeds(found, folder, round(time.monotonic() - started, 1)))
