"""Work that other processes do: what it is, and what an engine promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from mer_pipeline.errors import MerError, os_errors

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Work(Generic[T, R]):
    """What is done with every task.

    Attributes:
        do: A function of a module, which is given a task; a task holds names and paths, not data.
        folder: Where an engine may keep files of its own, for every machine to see.
        begin: What a local process does first, with its number from 0; there it may be given data.
        ordered: Whether outcomes are wanted in the order of the tasks.
    """

    do: Callable[[T], R]
    folder: Path
    begin: Callable[[int], None] | None = None
    ordered: bool = False

    def attempt(self, task: T) -> R | MerError:
        """Do a task; an error that a user can mend is an outcome, since engines would wrap it in their own."""
        try:
            with os_errors():
                return self.do(task)
        except MerError as error:
            return error


@dataclass(frozen=True)
class NoOptions:
    """Of an engine that has none."""


class Engine(ABC):
    """Shares tasks out among processes.

    Attributes:
        jobs: How many processes, or parts of a job array; None for as many as suit.
        options: Of the class that `options_type` names.

    Raises:
        MerError: Its package is not installed.
    """

    name: str
    elsewhere = True  # whether another machine may do the work: it is given paths, and chooses its own device
    options_type: type[Any] = NoOptions
    start_s: float  # how long a process of it takes to start, roughly
    requires = ("", "")  # the package and the extra that it is in

    def __init__(self, jobs: int | None = None, options: Any = None) -> None:
        if missing := self.missing():
            raise MerError(f"{self.requires[0]} is not installed", fix=missing)
        self.jobs = jobs
        self.options = self.options_type() if options is None else options

    @classmethod
    def missing(cls) -> str:
        """Why it cannot be used here; empty where it can."""
        package, extra = cls.requires
        return "" if not package or find_spec(package) else f"pip install 'mer-pipeline[{extra}]'"

    def lacks(self) -> str:
        """What it needs of this machine besides its package; empty where it is there."""
        return ""

    @abstractmethod
    def workers(self, tasks: int) -> int:
        """How many of some tasks it does at the same time."""

    @abstractmethod
    def outcomes(self, work: Work[T, R], tasks: Sequence[T]) -> Generator[tuple[int, R | MerError], None, None]:
        """Numbers of tasks with their outcomes, as they come; closing it cancels the rest."""

    def run(self, work: Work[T, R], tasks: Sequence[T]) -> Generator[tuple[int, R], None, None]:
        """Do all tasks.

        Yields:
            Number of the task and its outcome, as they come, or in order where `work` asks for it.

        Raises:
            MerError: Of the first task that failed; the others are cancelled, and what they finished stays.
        """
        early: dict[int, R] = {}
        following = 0
        outcomes = self.outcomes(work, tasks)
        try:
            for number, outcome in outcomes:
                if isinstance(outcome, MerError):
                    raise outcome
                if not work.ordered:
                    yield number, outcome
                    continue
                early[number] = outcome
                while following in early:
                    yield following, early.pop(following)
                    following += 1
        finally:
            outcomes.close()
