"""Clips shared out among worker processes, their outcomes given back in order."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import cv2

from mer_pipeline.cache import Store
from mer_pipeline.datasets import Clip
from mer_pipeline.errors import MerError
from mer_pipeline.stages.outcome import ClipOutcome
from mer_pipeline.stages.parameters import Parameters
from mer_pipeline.stages.pipeline import Pipeline

_CLIPS_AHEAD = 2  # a worker: enough to keep it busy while the first clip in order is slow


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_clips(
    clips: Sequence[Clip], objects: Path, parameters: Parameters, jobs: int
) -> Generator[ClipOutcome, None, None]:
    """Run the chain over clips in `jobs` processes; close the iterator to stop them.

    A started clip is finished before the processes end, so what it computed stays in the cache. At most two clips a
    process wait or are done and not yet taken, however many there are.

    Args:
        clips: What to run.
        objects: Root of the store.
        parameters: What the stages are given.
        jobs: How many processes.

    Yields:
        Outcomes in the order of the clips.

    Raises:
        WriteError: The cache cannot be written.
        MerError: A process was ended from outside.
    """
    # Spawned, not forked: LiteRT and OpenCV hold threads that a fork would leave locked.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, context, _start, (objects, parameters))
    waiting: deque[Future[ClipOutcome]] = deque()
    remaining = iter(clips)
    try:
        for _ in clips:
            while len(waiting) < _CLIPS_AHEAD * jobs and (clip := next(remaining, None)) is not None:
                with _sigint_blocked():  # processes start here
                    waiting.append(executor.submit(_run, clip))
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise MerError(
            "a worker process was ended from outside, perhaps for want of memory",
            fix="run the same command with fewer --jobs; it goes on from here",
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Hold a ctrl-C back for a moment; a process that starts in it never gets one, not even while it still imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_pipeline: Pipeline | None = None  # of this worker process


def _start(objects: Path, parameters: Parameters) -> None:
    """Make this process a worker; the models load with the first frame."""
    global _pipeline
    # A ctrl-C reaches every process of the terminal; only the main one acts on it, and lets started clips finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _pipeline = Pipeline(Store(objects), parameters)


def _run(clip: Clip) -> ClipOutcome:
    if _pipeline is None:
        raise RuntimeError("this process was not started as a worker")
    return _pipeline.run(clip)


def end_with_parent() -> None:
    """A parent that is killed cannot end its workers, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
