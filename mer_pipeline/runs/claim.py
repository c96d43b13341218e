"""Which process trains what, how far it is, and why it failed: files beside the results, for others and `mer status`.

under-way.json    written every few seconds while a fold, or the network for prediction, is trained
failed.json       why the last try ended; removed by the next
lock              held by the process that trains
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from mer_pipeline.cache import locked
from mer_pipeline.errors import MerError, printable
from mer_pipeline.reading import Checked, Count, read_json
from mer_pipeline.runs.card import write_json

UNDER_WAY, FAILED, _LOCK = "under-way.json", "failed.json", "lock"
_WRITE_EVERY_S = 5.0
# A process of another machine that has not written for so long is taken for dead; an epoch may take minutes.
_DEAD_S = 900.0


@dataclass(frozen=True)
class UnderWay(Checked):
    """A training under way.

    Attributes:
        host: The machine.
        pid, process_began: The process, and when it began, since numbers are used again; s since 1970.
        began: When this training began, s since 1970.
        done, of: Epochs.
    """

    host: str
    pid: Count
    process_began: float
    began: float
    done: Count
    of: Count

    @property
    def alive(self) -> bool:
        """Whether the process still runs; always so where it runs elsewhere."""
        if self.host != socket.gethostname():
            return True
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.process_began) < 1)
        except psutil.Error:
            return False


class Claim:
    """A training that this process holds the lock of."""

    def __init__(self, folder: Path, epochs: int) -> None:
        self._folder, self._epochs = folder, epochs
        self._done, self._began, self._written = 0, time.time(), 0.0

    @property
    def seconds(self) -> float:
        """How long it has been held."""
        return time.time() - self._began

    def advance(self, epochs: int) -> None:
        """Count epochs, and write how many there are where the last time was a while ago."""
        self._done += epochs
        if time.monotonic() - self._written < _WRITE_EVERY_S and self._written:
            return
        self._written, process = time.monotonic(), psutil.Process()
        now = UnderWay(socket.gethostname(), process.pid, process.create_time(), self._began, self._done, self._epochs)
        with suppress(MerError):  # a full disk shows where results are written
            write_json(self._folder / UNDER_WAY, asdict(now))

    def fail(self, error: Exception) -> None:
        """Write why it ended."""
        text = str(error) if isinstance(error, MerError) else f"{type(error).__name__}: {error}"
        with suppress(MerError):
            write_json(self._folder / FAILED, {"error": printable(" ".join(text.split()))})


@contextmanager
def claimed(folder: Path, epochs: int, *, wait: bool = True) -> Iterator[Claim | None]:
    """Hold the right to train what a folder is for; an error inside is written beside it.

    Yields:
        None where another process trains it and `wait` is False.
    """
    with locked(folder / _LOCK, wait=wait) as held:
        if not held:
            yield None
            return
        claim = Claim(folder, epochs)
        try:
            yield claim
            (folder / FAILED).unlink(missing_ok=True)
        except Exception as error:
            claim.fail(error)
            raise
        finally:
            (folder / UNDER_WAY).unlink(missing_ok=True)


def read_under_way(folder: Path) -> UnderWay | None:
    """What is under way in a folder; None where nothing is, or where its process has ended."""
    path = folder / UNDER_WAY
    try:
        age = time.time() - path.stat().st_mtime
        found = UnderWay.from_json(read_json(path))
    except (OSError, MerError, ValueError, TypeError, KeyError):
        return None  # removed just now, or damaged
    return found if found.alive and (age < _DEAD_S or found.host == socket.gethostname()) else None


def read_failure(folder: Path) -> str | None:
    """Why the last try ended, in one line; None where it did not fail."""
    try:
        return str(read_json(folder / FAILED)["error"])
    except (OSError, MerError, KeyError):
        return None
