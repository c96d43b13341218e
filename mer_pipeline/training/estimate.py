"""What a training would cost, measured on a few of its steps; nothing is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mer_pipeline import networks
from mer_pipeline.device import choose_device, free_memory_mb, used_memory_mb
from mer_pipeline.engines import Engine, EngineTime, Local, fastest, times_of
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.protocols import Fold, inner_splits
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.reading import Json, JsonObject
from mer_pipeline.recipe import Recipe
from mer_pipeline.training.loop import time_steps
from mer_pipeline.training.parallel import of_this_machine, one_thread
from mer_pipeline.training.session import Plan

# Weights, their gradients and the two moments of Adam.
_BYTES_A_PARAMETER = 16
# Of one core, a clip of a step: benchmarks/reports/networks-2026-11-21.md has 0.06 to 0.3, large networks the least.
_SECONDS_A_GMAC = 0.08
_LARGE = 2_000_000  # parameters


@dataclass(frozen=True)
class Estimate:
    """What a training would cost, and of what.

    Attributes:
        model: Name in the zoo.
        recipe: As JSON values, with every default written out.
        parameters: Of the network.
        multiply_accumulates: Of one clip.
        view, size: What the network is given; side in pixels.
        clips, subjects: How many.
        classes: Class -> clips.
        protocol, folds, selection, seeds: How the recipe is judged.
        device: Where.
        data_mb, memory_mb, memory_free_mb: Of the clips, in all, and free, in MB (10^6 bytes).
        seconds_per_step: Measured.
        seconds: Of the whole training by the engine that was asked for, estimated from it.
        problems: What does not forbid the training, but should be known before it.
        engines: What every engine would take: of devices like this one, without a queue.
        fastest: The name of the fastest that can be used here.
    """

    model: str
    recipe: Mapping[str, Json]
    parameters: int
    multiply_accumulates: int
    view: str
    size: int
    clips: int
    subjects: int
    classes: Mapping[str, int]
    protocol: str
    folds: int
    selection: str
    seeds: int
    device: str
    data_mb: int
    memory_mb: int
    memory_free_mb: int
    seconds_per_step: float
    seconds: float
    problems: tuple[str, ...]
    engines: tuple[EngineTime, ...] = ()
    fastest: str = "local"

    def as_json(self) -> JsonObject:
        """What `mer train --dry-run --json` prints."""
        return {**asdict(self), "problems": list(self.problems), "engines": [asdict(each) for each in self.engines]}


def estimate(
    clips: ClipSet, recipe: Recipe, plan: Plan, device: str = "auto", engine: Engine | None = None
) -> Estimate:
    """Check that a training can begin, and estimate what it would cost.

    Args:
        clips: The clips in memory.
        recipe: How.
        plan: How it is judged.
        device: Where.
        engine: What shares the folds out; by default `plan.jobs` processes of this machine.

    Raises:
        MerError: The clips cannot be split, something of a test clip would be trained on, or the network's weights
            alone are more than the free memory.
    """
    where = choose_device(device)
    folds = plan.folds(clips)
    outline = recipe.outline(clips.size, len(clips.classes))
    parameters = sum(parameter.numel() for parameter in outline.parameters())
    free = free_memory_mb(where)
    if parameters * _BYTES_A_PARAMETER / 1e6 > free:
        raise MerError(
            f"{parameters:,} parameters need {parameters * _BYTES_A_PARAMETER / 1e9:.1f} GB to train, {free / 1e3:.1f} "
            f"GB are free",
            where=str(where),
            fix="choose a smaller --model",
        )
    largest = max(folds, key=lambda fold: len(fold.train))
    with one_thread():
        step, test = time_steps(clips, largest.train, recipe, where)
    engine = of_this_machine(engine or Local(plan.jobs), where)
    times = times_of(_tasks_s(clips, recipe, plan, folds, step, test), engine)
    used = used_memory_mb(where)
    return Estimate(
        model=recipe.model,
        recipe=recipe.as_json(),
        parameters=parameters,
        multiply_accumulates=networks.multiply_accumulates(outline),
        view=clips.view,
        size=clips.size,
        clips=len(clips.clip_ids),
        subjects=len(set(clips.groups)),
        classes=clips.class_counts,
        protocol=plan.protocol,
        folds=len(folds),
        selection=plan.select,
        seeds=plan.seeds,
        device=str(where),
        data_mb=round(clips.images.numel() * clips.images.element_size() / 1e6),
        memory_mb=used,
        memory_free_mb=free,
        seconds_per_step=round(step, 4),
        seconds=next(each.seconds for each in times if each.engine == engine.name),
        problems=_problems(clips, recipe, largest.train, used, free),
        engines=tuple(times),
        fastest=fastest(times).engine,
    )


def long_training(
    clips: ClipSet, recipe: Recipe, plan: Plan, device: str = "auto", engine: Engine | None = None
) -> tuple[str, ...]:
    """A warning where a training takes more than an hour of this machine's CPU, by a count that takes no steps."""
    where = choose_device(device)
    if where.type != "cpu" or recipe.parameters() < _LARGE or (engine is not None and engine.elsewhere):
        return ()
    outline = recipe.outline(clips.size, len(clips.classes))
    clip_s, folds = networks.multiply_accumulates(outline) / 1e9 * _SECONDS_A_GMAC, plan.folds(clips)
    step_s = clip_s * min(recipe.batch, max(len(fold.train) for fold in folds))
    engine = of_this_machine(engine or Local(plan.jobs), where)
    times = times_of(_tasks_s(clips, recipe, plan, folds, step_s, clip_s / 3), engine)
    hours = next(each.seconds for each in times if each.engine == engine.name) / 3600
    if hours < 1:
        return ()
    return (
        f"on this CPU the whole training takes some {hours:,.0f} hours, roughly: --dry-run measures it, --model "
        f"facesleuth-tiny is small, and a GPU is faster",
    )


def _tasks_s(
    clips: ClipSet, recipe: Recipe, plan: Plan, folds: Sequence[Fold], step_s: float, test_s: float
) -> list[float]:
    """How long every fold and every network for prediction takes."""
    tasks = [
        _seconds(len(fold.train), len(fold.test), recipe, step_s, test_s)
        * (1 + (len(inner_splits(clips.groups, fold.train)) if plan.select == "inner" else 0))
        for fold in folds
    ]
    return [*tasks, _seconds(len(clips.clip_ids), 0, recipe, step_s, test_s)] * plan.seeds


def _seconds(train: int, test: int, recipe: Recipe, step_s: float, test_s: float) -> float:
    """Of one training; a short last batch is counted by its share."""
    return recipe.epochs * (train / min(recipe.batch, train) * step_s + test * test_s)


def _problems(clips: ClipSet, recipe: Recipe, train: tuple[int, ...], used: int, free: int) -> tuple[str, ...]:
    """What does not forbid the training, but should be known before it."""
    found = []
    if used > 0.9 * (used + free):
        found.append(f"a step leaves {free - used:,} MB of memory: choose a smaller batch")
    absent = [name for name, count in clips.class_counts.items() if not count]
    if absent:
        found.append(f"no clip of {', '.join(absent)}")
    if math.ceil(len(train) / recipe.batch) < 2:
        found.append(f"batch {recipe.batch} holds all {len(train)} training clips: an epoch is a single step")
    return tuple(found)
