"""Folds trained at the same time, each in a process of its own and by one thread.

How many threads add up a sum decides its last digits, and a training makes of these as much as another seed would: with
one thread a fold, wherever it runs, a result does not depend on the machine's cores.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from mer_pipeline.device import choose_device
from mer_pipeline.engines import Engine, Local, Work, cores
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.protocols import Fold
from mer_pipeline.inputs.clip_set import ClipSet, Source
from mer_pipeline.progress import silent
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.run import Run
from mer_pipeline.training.loop import time_steps
from mer_pipeline.training.session import Part, Plan, Session

_WORTH_S = 20.0  # a process takes seconds to start: shorter work is done here


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for what torch does on the CPU, and then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Task:
    """A fold, or the network for prediction, in names and paths.

    Attributes:
        source: Where the clips are; None for those that the process was given.
        plan: How the run is judged.
        number: Which training of the run, from 0.
        folder: The run folder of that training.
        recipe: With its seed.
        fold: Who is held out; None for the network for prediction, whose folds are finished.
        device: Where; `cuda` is the GPU that the process was given.
    """

    source: Source | None
    plan: Plan
    number: int
    folder: Path
    recipe: Recipe
    fold: str | None
    device: str

    @property
    def name(self) -> str:
        """What is trained, for people."""
        return f"{self.fold or 'final network'}, seed {self.recipe.seed}"


def train_ahead(session: Session, parts: Sequence[Part], engine: Engine, device: str) -> None:
    """Train in other processes what is not finished: folds, and networks for prediction.

    Nothing is done where processes of this machine would take longer to start than the folds to train.

    Raises:
        MerError: A fold cannot be trained, a process was ended from outside, or the engine cannot be used.
    """
    folds = [(part, fold) for part in parts for fold in session.trainer(part).unfinished()]
    if engine.elsewhere:
        if session.clips.source is None:
            fix = "load them by load_clips, or take the engine local"
            raise MerError("clips in memory cannot be given to other machines", fix=fix)
        source, begin, where = session.clips.source, None, device
    else:
        engine = of_this_machine(engine, session.device)
        if engine.jobs == 1 or not _worth(session, folds):
            return  # where they are trained one after another
        source, where = None, str(session.device)
        begin = functools.partial(_start, *_as_bytes(session.clips))
    # A network for prediction waits for folds that others train, and takes up those that are not begun: no barrier.
    wanted: list[tuple[Part, str | None]] = [(part, fold.held_out) for part, fold in folds]
    wanted += [(part, None) for part in parts if not part.run.has_final]
    tasks = [
        Task(source, session.plan, part.number, part.run.folder, part.recipe, fold, where) for part, fold in wanted
    ]
    if not tasks:
        return
    with closing(engine.run(Work(train_task, _folder(parts), begin), tasks)) as running:
        for done, (at, _) in enumerate(running, 1):
            session.progress("folds", done, len(tasks), tasks[at].name)


def of_this_machine(engine: Engine, device: torch.device) -> Engine:
    """As many processes as were asked for, or else one a core, or one a GPU; an engine for elsewhere as it is."""
    if engine.elsewhere:
        return engine
    if device.type == "cpu":
        return Local(engine.jobs or cores())
    return Local(engine.jobs or (torch.cuda.device_count() if device.type == "cuda" and device.index is None else 1))


def _worth(session: Session, folds: Sequence[tuple[Part, Fold]]) -> bool:
    """Whether the folds are long enough for processes of their own, by a step of the largest."""
    if len(folds) < 3:
        return False
    part, fold = max(folds, key=lambda one: len(one[1].train))
    with one_thread():
        step_s, _ = time_steps(session.clips, fold.train, part.recipe, session.device, steps=1)
    epochs_s = part.recipe.epochs * len(fold.train) / min(part.recipe.batch, len(fold.train)) * step_s
    return epochs_s * len(folds) >= _WORTH_S


def _folder(parts: Sequence[Part]) -> Path:
    """Where all trainings lie."""
    return Path(os.path.commonpath([part.run.folder.absolute() for part in parts]))


def _as_bytes(clips: ClipSet) -> tuple[dict[str, Any], bytes]:
    """Clips for another process; as bytes, since shared memory is a few megabytes in many containers."""
    values = {field.name: getattr(clips, field.name) for field in fields(clips)}
    tensors = {name: value.contiguous() for name, value in values.items() if isinstance(value, torch.Tensor)}
    named = {name: value for name, value in values.items() if name not in tensors}
    return named, safetensors.torch.save(tensors)


@dataclass
class _Here:
    """What this process was given."""

    number: int
    clips: ClipSet


_here: _Here | None = None


def _start(named: dict[str, Any], tensors: bytes, number: int) -> None:
    """Make this process a worker; an interruption ends it at once, since a fold goes on where it was last kept."""
    global _here
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _here = _Here(number, ClipSet(**{**named, **safetensors.torch.load(tensors)}))


def train_task(task: Task) -> None:
    """Train what a task names; what is finished is not trained again, and the result is in its run folder.

    Raises:
        MerError: It cannot be trained, or the clips are not those that the run began with.
    """
    with one_thread():
        clips, run = _clips(task.source), Run(task.folder, under_way=True)
        if task.source is not None and _fingerprint(task.source) != run.facts.data.fingerprint:
            raise MerError("the clips are not those that the run began with", where=task.source.cache,
                           fix="restore the cache, or choose another --out")  # fmt: skip
        folds = _folds(task.source, task.plan, task.number)
        part = Part(task.number, run, task.recipe, folds)
        session = Session(clips, task.plan, _device(task.device), "", silent)
        if task.fold is None:
            trainer = session.trainer(part)
            session.final(part, trainer, trainer.all_folds())
        else:
            fold = next(one for one in folds if one.held_out == task.fold)
            session.trainer(part, fold).fold(fold)


def _device(name: str) -> torch.device:
    if name == "cuda" and _here is not None:
        return torch.device("cuda", _here.number % torch.cuda.device_count())
    return choose_device(name)


@functools.lru_cache(maxsize=1)
def _clips(source: Source | None) -> ClipSet:
    if source is not None:
        return source.load()
    if _here is None:
        raise RuntimeError("this process was not started as a worker")
    return _here.clips


@functools.lru_cache(maxsize=1)
def _fingerprint(source: Source) -> str:
    return _clips(source).fingerprint()


@functools.lru_cache(maxsize=1000)
def _folds(source: Source | None, plan: Plan, number: int) -> list[Fold]:
    return plan.folds(_clips(source), number)
