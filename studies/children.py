"""Cases that may crash, hang or fill the memory, in processes that cannot take the program with them (POSIX only)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mer_pipeline.errors import MerError

MOST_BYTES = 3 << 30
MOST_S = 60.0
Case = Callable[[int, random.Random], str]
_CLONE_NEWNS, _MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 1, 32, 0x4000, 1 << 18, 2


@dataclass
class Tally:
    """What became of the cases of one category.

    Attributes:
        name: Of the category.
        counts: How many cases had each outcome, such as `refused`.
        faults: Number of the case, and what went wrong.
        slowest_s: The longest case.
        most_mb: The largest resident memory of a process, with what the libraries take.
    """

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    slowest_s: float = 0.0
    most_mb: int = 0

    @property
    def cases(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    def add(self, number: int, outcome: str, seconds: float) -> None:
        """Count one."""
        kind = "FAULT" if outcome.startswith("FAULT") else outcome
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.slowest_s = max(self.slowest_s, seconds)
        if kind == "FAULT":
            self.faults.append((number, outcome))


def outcome_of(case: Case, seed: int, number: int) -> str:
    """Run one case here: what it says, `refused` after one clear line, or the end of a traceback."""
    try:
        return case(number, random.Random(f"{seed}/{number}"))
    except MerError as error:
        text = str(error)
        return "refused" if text and "\n" not in text and len(text) < 2000 else f"FAULT not one line: {text!r}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"FAULT {type(error).__name__}: {str(error)[:200]} ({where.filename.split('/')[-1]}:{where.lineno})"


def run_cases(
    case: Case, seed: int, numbers: Sequence[int], tally: Tally, batch: int = 50, most_s: float = MOST_S
) -> None:
    """Run cases in processes of `batch` each; one that ends its process or hangs is a fault, and the next go on."""
    left = list(numbers)
    while left:
        done = _batch(case, seed, left[:batch], tally, most_s)
        left = left[done:]


def _batch(case: Case, seed: int, numbers: Sequence[int], tally: Tally, most_s: float) -> int:
    """Run cases in one process; how many were begun."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        with contextlib.suppress(BaseException):
            _limit()
            for number in numbers:
                text = outcome_of(case, seed, number).replace("\n", " ")
                os.write(writable, f"{text}\n".encode(errors="backslashreplace"))
        os._exit(0)
    os.close(writable)
    begun = 0
    for text, seconds in _lines(readable, child, most_s):
        tally.add(numbers[begun], text, seconds)
        begun += 1
    os.close(readable)
    status, used = os.wait4(child, 0)[1:]
    tally.most_mb = max(tally.most_mb, used.ru_maxrss // 1024)
    if begun < len(numbers):
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        tally.add(numbers[begun], f"FAULT the process ended by {how} (9: after {most_s:.0f} s)", most_s)
        begun += 1
    return begun


def _limit() -> None:
    """Bound this process and silence it."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)


def _lines(readable: int, child: int, most_s: float) -> Iterator[tuple[str, float]]:
    """What a child writes, line by line, with the seconds that each took; a child that is silent too long is killed."""
    rest, since = b"", time.monotonic()
    while True:
        if not select.select([readable], [], [], max(0.0, since + most_s - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
            return
        part = os.read(readable, 1 << 16)
        if not part:
            return
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line.decode(), time.monotonic() - since
            since = time.monotonic()


def start(work: Callable[[], object]) -> int:
    """A process that does some work: exit code 0, 1 after a `MerError`, 70 after anything else."""
    child = os.fork()
    if child:
        return child
    code = 70
    with contextlib.suppress(BaseException):
        _limit()
        try:
            work()
            code = 0
        except MerError:
            code = 1
    os._exit(code)


def killed(child: int, after_s: float) -> bool:
    """Kill a process after some seconds; whether it was still at work."""
    until = time.monotonic() + after_s
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def finished(child: int, most_s: float = MOST_S) -> int:
    """Wait for a process: its exit code, or minus the signal that ended it; one that hangs is killed (-9)."""
    until = time.monotonic() + most_s
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextlib.contextmanager
def scarce_disk(folder: Path, kind: str, size: int) -> Iterator[Callable[[], None]]:
    """A disk in the place of a folder, for this process alone; what is given is called once it shall have space.

    Args:
        folder: An empty one.
        kind: `full` after so many bytes, `read-only`, or `short files` of so many bytes at most. The first two need
            Linux and an administrator; else it is the third.
        size: Bytes.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if kind == "short files" or not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWNS):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        return

    def mount(source: bytes | None, target: bytes, flags: int, options: str | None = None) -> None:
        data = None if options is None else options.encode()
        if libc.mount(source, target, b"tmpfs", flags, data):
            raise OSError(ctypes.get_errno(), "cannot mount")

    at = os.fsencode(folder)
    mount(None, b"/", _MS_REC | _MS_PRIVATE)  # nothing of what follows is seen by others
    mount(b"none", at, _MS_RDONLY if kind == "read-only" else 0, f"size={max(size, 1)}")
    try:
        yield lambda: mount(b"none", at, _MS_REMOUNT, "size=1g")
    finally:
        libc.umount2(at, _MNT_DETACH)
