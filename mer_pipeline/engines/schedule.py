"""How long tasks of known length take on an engine: the greedy schedule that the engines follow."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from mer_pipeline.engines.engine import Engine
from mer_pipeline.engines.registry import ENGINES


def makespan_s(tasks_s: Sequence[float], workers: int, start_s: float = 0.0, each_s: float = 0.0) -> float:
    """When the last of some tasks is done, each of which is taken by the first worker that is free.

    Args:
        tasks_s: How long each takes, in the order in which they are taken.
        workers: How many there are.
        start_s: How long each of them takes to start.
        each_s: What handing a task out adds to it.

    >>> makespan_s([3, 1, 1, 1], 2), makespan_s([3, 1, 1, 1], 1, start_s=5)
    (3.0, 11.0)
    """
    free = [start_s] * max(1, min(workers, len(tasks_s)))
    for task in tasks_s:
        heapq.heappush(free, heapq.heappop(free) + task + each_s)
    return float(max(free))


@dataclass(frozen=True)
class EngineTime:
    """What an engine would take.

    Attributes:
        engine: Its name.
        workers: How many tasks at a time.
        seconds: Until the last is done; waiting in a queue is not counted.
        missing: Why it cannot be used here; empty where it can.
    """

    engine: str
    workers: int
    seconds: float
    missing: str = ""


def times_of(tasks_s: Sequence[float], chosen: Engine) -> list[EngineTime]:
    """What every engine would take, the one that was chosen with its options."""
    found = []
    for name, (_, kind) in ENGINES.items():
        missing = kind.missing()
        if name == chosen.name:
            engine = chosen
        elif missing:
            found.append(EngineTime(name, 0, 0.0, missing))
            continue
        else:
            engine = kind(chosen.jobs if kind.elsewhere is chosen.elsewhere else None)
        workers = min(engine.workers(len(tasks_s)), len(tasks_s))
        alone = sum(tasks_s) if not engine.elsewhere else float("inf")  # what one process does has no start
        seconds = min(makespan_s(tasks_s, workers, engine.start_s), alone)
        found.append(EngineTime(name, workers, round(seconds, 1), engine.lacks()))
    return found


def fastest(times: Sequence[EngineTime]) -> EngineTime:
    """The fastest engine that can be used here; of equal ones the first."""
    return min((each for each in times if not each.missing), key=lambda each: each.seconds)
