"""Progress of long work: a callable that the library calls and the command line draws."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A callable that is called after every step of a task; it must not raise."""

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        """Report that `done` of `total` steps of `task` are finished; `detail` says what the last step was."""


def silent(task: str, done: int, total: int, detail: str = "") -> None:
    """Report nothing."""
