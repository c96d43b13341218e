"""Folds trained at the same time, each in a process of its own and by one thread.

How many threads add up a sum decides its last digits, and a training makes of these as much as another seed would: with
one thread a fold, wherever it runs, a result does not depend on the machine's cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.protocols import Fold
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.run import Run
from mer_pipeline.stages.workers import end_with_parent
from mer_pipeline.training.trainer import Trainer

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


def train_folds(clips: ClipSet, trainers: Sequence[Trainer], jobs: int, progress: Progress) -> None:
    """Train the folds that are not finished, in `jobs` processes; their results are then in the run folders.

    The first is trained here, and so are the others, later, where it shows that they are quick.

    Args:
        clips: All clips.
        trainers: One a run.
        jobs: How many processes.
        progress: Called after every fold.

    Raises:
        MerError: A fold cannot be trained, or a process was ended from outside.
    """
    tasks = [(trainer, fold) for trainer in trainers for fold in trainer.unfinished()]
    if len(tasks) < 3:
        return
    started = time.monotonic()
    _train_here(clips, *tasks[0][0].ticket, tasks.pop(0)[1])
    if (time.monotonic() - started) * len(tasks) < _WORTH_S:
        return
    values = {field.name: getattr(clips, field.name) for field in fields(clips)}
    named = {name: value for name, value in values.items() if not isinstance(value, torch.Tensor)}
    # As bytes: shared memory is a few megabytes in many containers.
    tensors = safetensors.torch.save({n: v.contiguous() for n, v in values.items() if isinstance(v, torch.Tensor)})
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    executor = ProcessPoolExecutor(min(jobs, len(tasks)), context, _start, (named, tensors))
    try:
        waiting = {executor.submit(_train, *trainer.ticket, fold): fold for trainer, fold in tasks}
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            progress("folds", done, len(tasks), waiting[future].held_out)
    except BrokenProcessPool:
        raise MerError(
            "a training process was ended from outside, perhaps for want of memory",
            fix="run the same command with fewer --jobs; it goes on from here",
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_clips: ClipSet | None = None  # of this process


def _start(named: dict[str, Any], tensors: bytes) -> None:
    """Make this process a worker; an interruption ends it at once, since a fold goes on where it was last kept."""
    global _clips
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _clips = ClipSet(**{**named, **safetensors.torch.load(tensors)})


def _train(recipe: Recipe, folder: Path, device: str, folds: Sequence[Fold], inner: bool, fold: Fold) -> None:
    if _clips is None:
        raise RuntimeError("this process was not started as a worker")
    _train_here(_clips, recipe, folder, device, folds, inner, fold)


def _train_here(
    clips: ClipSet, recipe: Recipe, folder: Path, device: str, folds: Sequence[Fold], inner: bool, fold: Fold
) -> None:
    run = Run(folder, under_way=True)
    Trainer(clips, recipe, run, torch.device(device), folds=folds, inner=inner, progress=silent).fold(fold)
