"""A whole run: every fold, the network for prediction, and the run folder; resumed where it was interrupted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.device import choose_device
from mer_pipeline.engines import Engine, Local
from mer_pipeline.errors import MerError, os_errors, suggest
from mer_pipeline.evaluation.calibration import mean_calibration
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.reading import JsonObject
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.results import FoldResult
from mer_pipeline.runs.run import Run
from mer_pipeline.training.parallel import one_thread, train_ahead
from mer_pipeline.training.session import Plan, Session


@os_errors()
def train(
    clips: ClipSet,
    recipe: Recipe,
    run: str | Path,
    plan: Plan = Plan(),  # noqa: B008 - it is frozen
    *,
    device: str = "auto",
    engine: Engine | None = None,
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
        engine: What shares the folds out; by default `plan.jobs` processes of this machine.
        command: What the user typed, for the record.
        progress: Called after every epoch.

    Returns:
        The finished run; `metrics.as_json()` of it is what `mer train --json` prints.

    Raises:
        MerError: The run folder belongs to another run, the device is absent, the clips cannot be split, or something
            of a test clip would be trained on.
    """
    with one_thread():
        engine, started = engine or Local(plan.jobs), time.monotonic()
        session = Session(clips, plan, choose_device("auto" if engine.elsewhere else device), command, progress)
        together, parts = session.begin(Path(run), recipe)
        train_ahead(session, parts, engine, device)
        found = [session.finish(part) for part in parts]
        if plan.seeds == 1:
            return Run(together.folder)
        calibration = mean_calibration([metrics.calibration for _, metrics in found])
        trainings, seconds = [training for training, _ in found], time.monotonic() - started
        return together.finish(session.metrics(parts[0], together, trainings, calibration, seconds))


@dataclass(frozen=True)
class OneFold:
    """What `train_fold` came to.

    Attributes:
        result: The fold.
        seed: Of which training.
        before: Whether it was finished before.
    """

    result: FoldResult
    seed: int
    before: bool

    @property
    def words(self) -> str:
        """One line."""
        done = "was finished before" if self.before else f"trained in {self.result.seconds:.0f} s"
        return f"fold {self.result.held_out} of seed {self.seed}: {done}"

    def as_json(self) -> JsonObject:
        """What `mer train --fold --json` prints."""
        known: JsonObject = {"fold": self.result.held_out, "seed": self.seed, "before": self.before}
        return {**known, "folder": str(self.result.folder), "seconds": self.result.seconds}


@os_errors()
def train_fold(
    clips: ClipSet,
    recipe: Recipe,
    run: str | Path,
    plan: Plan,
    fold: str,
    seed: int | None = None,
    *,
    device: str = "auto",
    command: str = "",
    progress: Progress = silent,
) -> OneFold:
    """Train one fold (such as `casme2/01`) of one seed of a run, the recipe's where not given.

    `train` with the same arguments collects, and gives the same numbers; the recipe has the seed of the first training.
    Several processes may do this at once, also for the same fold: then one trains it, and the others wait.

    Raises:
        MerError: See `train`; or the run has no such fold or seed.
    """
    with one_thread():
        session = Session(clips, plan, choose_device(device), command, progress)
        seeds = range(recipe.seed, recipe.seed + plan.seeds)
        number = recipe.seed if seed is None else seed
        if number not in seeds:
            fix = "write --set seed=N for the first of them"
            raise MerError(f"seed {number} is not among {', '.join(map(str, seeds))}", where=run, fix=fix)
        keys = [one.held_out for one in plan.folds(clips, seeds.index(number))]
        if fold not in keys:
            raise MerError(f"no fold is called {fold!r}", fix=suggest(fold, keys))
        _, parts = session.begin(Path(run), recipe)
        part = parts[seeds.index(number)]
        wanted = part.folds[keys.index(fold)]
        trainer = session.trainer(part, wanted)
        before = not trainer.unfinished()
        result = trainer.fold(wanted)
        return OneFold(result, number, before)
