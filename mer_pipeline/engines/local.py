"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from mer_pipeline.engines.engine import Engine, R, T, Work
from mer_pipeline.errors import MerError

_TASKS_AHEAD = 2  # a process: enough to keep it busy while the first in order is slow


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Local(Engine):
    """As many processes as there are cores, or `jobs`."""

    name = "local"
    elsewhere = False
    start_s = 5.0

    def workers(self, tasks: int) -> int:
        """See `Engine.workers`."""
        return min(self.jobs or cores(), tasks)

    def outcomes(self, work: Work[T, R], tasks: Sequence[T]) -> Generator[tuple[int, R | MerError], None, None]:
        """See `Engine.outcomes`.

        A started task is finished before the processes end. At most two tasks a process wait or are done and not yet
        taken, however many there are.

        Raises:
            MerError: A process was ended from outside.
        """
        jobs = self.workers(len(tasks))
        # Spawned, not forked: LiteRT, OpenCV and torch hold threads that a fork would leave locked.
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(jobs, context, _start, (context.Value("i", 0), work.begin))
        waiting: dict[Future[R | MerError], int] = {}
        remaining = iter(enumerate(tasks))
        try:
            for _ in tasks:
                while len(waiting) < _TASKS_AHEAD * jobs and (following := next(remaining, None)) is not None:
                    with _sigint_blocked():  # processes start here
                        waiting[executor.submit(work.attempt, following[1])] = following[0]
                first = next(iter(waiting)) if work.ordered else _first_done(waiting)
                yield waiting.pop(first), first.result()
        except BrokenProcessPool:
            raise MerError(
                "a worker process was ended from outside, perhaps for want of memory",
                fix="run the same command with fewer --jobs; it goes on from here",
            ) from None
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _first_done(waiting: dict[Future[Any], int]) -> Future[Any]:
    done = wait(waiting, return_when=FIRST_COMPLETED).done
    return next(future for future in waiting if future in done)


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


def _start(counter: Any, begin: Callable[[int], None] | None) -> None:
    """Make this process a worker."""
    # A ctrl-C reaches every process of the terminal; only the main one acts on it, and lets started tasks finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    if begin is not None:
        begin(number)


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
