"""Clips shared out among processes, their outcomes given back in order."""

from __future__ import annotations

import functools
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2

from mer_pipeline.cache import Store
from mer_pipeline.datasets import Clip
from mer_pipeline.engines import Engine, Work
from mer_pipeline.stages.outcome import ClipOutcome
from mer_pipeline.stages.parameters import Parameters
from mer_pipeline.stages.pipeline import Pipeline


@dataclass(frozen=True)
class _Task:
    objects: Path
    parameters: Parameters
    clip: Clip


def run_clips(
    clips: Sequence[Clip], objects: Path, parameters: Parameters, engine: Engine
) -> Generator[ClipOutcome, None, None]:
    """Run the chain over clips in other processes; close the iterator to stop them.

    A started clip is finished before the processes end, so what it computed stays in the cache.

    Yields:
        Outcomes in the order of the clips.

    Raises:
        WriteError: The cache cannot be written.
        MerError: A process was ended from outside.
    """
    tasks = [_Task(objects.absolute(), parameters, clip) for clip in clips]
    with closing(engine.run(Work(_run, objects.parent.absolute(), ordered=True), tasks)) as running:
        yield from (outcome for _, outcome in running)


def _run(task: _Task) -> ClipOutcome:
    return _pipeline(task.objects, task.parameters).run(task.clip)


@functools.lru_cache(maxsize=1)
def _pipeline(objects: Path, parameters: Parameters) -> Pipeline:
    """Of this process; its models load with the first frame."""
    cv2.setNumThreads(1)
    return Pipeline(Store(objects), parameters)
