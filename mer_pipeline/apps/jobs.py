"""The clips that `mer serve` was given: one is worked on at a time, by one thread.

What is uploaded lies in a temporary folder until it is done, and is then deleted, or moved to a folder that the user
named. Results live in memory and end with the server.
"""

from __future__ import annotations

import itertools
import os
import queue
import re
import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mer_pipeline.cache import private_folder
from mer_pipeline.errors import MerError
from mer_pipeline.figures.expression_sheet import draw_sheet
from mer_pipeline.figures.style import png
from mer_pipeline.inference.predictor import ExpressionImages, Predictor
from mer_pipeline.reading import JsonObject
from mer_pipeline.spotting.result import Timeline
from mer_pipeline.spotting.video import spot_video

_REMEMBERED = 20  # results
_WAITING = 8  # clips
_POINTS = 600  # of a timeline that is sent
_MOST_SHEETS = 40  # of one clip
_PREFIX = "mer-serve-"


@dataclass
class Job:
    """One clip.

    Attributes:
        name: The file's own name.
        file: Where it lies while it is worked on.
        state: `waiting`, `working`, `done` or `failed`.
        progress: (steps done, of how many); None while that is unknown.
        result: As `mer predict --json` has it, once it is done.
        error: One line, where it failed.
        timeline: Seconds and motion, for drawing.
        sheets: PNG files, one an expression.
    """

    name: str
    file: Path
    state: str = "waiting"
    progress: tuple[int, int] | None = None
    result: JsonObject | None = None
    error: str | None = None
    timeline: dict[str, list[float | None]] = field(default_factory=dict)
    sheets: list[bytes] = field(default_factory=list)

    def as_json(self) -> JsonObject:
        """What the page asks for."""
        shown = ("name", "state", "progress", "result", "error", "timeline")
        return {**{name: getattr(self, name) for name in shown}, "sheets": len(self.sheets)}


class JobQueue:
    """Takes clips in, works on them one after the other, and remembers the latest results.

    Args:
        make_predictor: Called by the thread that works, since what finds faces belongs to one thread.
        keep: Where uploads go when they are done; None deletes them.
    """

    def __init__(self, make_predictor: Callable[[], Predictor], keep: Path | None = None) -> None:
        self._make_predictor, self._keep = make_predictor, keep
        _remove_orphans(Path(tempfile.gettempdir()))
        self._folder = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True)
        self._waiting: queue.Queue[Job | None] = queue.Queue(_WAITING)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> JobQueue:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    @property
    def full(self) -> bool:
        """Whether so many clips wait that no further one is taken."""
        return self._waiting.full()

    def place(self, name: str) -> Path:
        """Where an upload of this name may be written: an empty file of mode 0600."""
        suffix = re.sub(r"[^.a-z0-9]", "", Path(name).suffix.lower())[:8]
        handle, path = tempfile.mkstemp(suffix, dir=self._folder.name)
        os.close(handle)
        return Path(path)

    def take(self, name: str, file: Path) -> str:
        """Put a clip in the queue; gives the key to ask for it with.

        Raises:
            MerError: Too many wait.
        """
        job, key = Job(safe_name(name), file), secrets.token_urlsafe(16)
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            file.unlink(missing_ok=True)
            raise busy() from None
        self._jobs[key] = job
        while len(self._jobs) > _REMEMBERED + _WAITING:
            self._jobs.popitem(last=False)
        return key

    def job(self, key: str) -> Job | None:
        """What a key belongs to; None where that is nothing, or forgotten."""
        return self._jobs.get(key)

    def _work(self) -> None:
        with self._make_predictor() as predictor:
            while (job := self._waiting.get()) is not None:
                self._finish(predictor, job)

    def _finish(self, predictor: Predictor, job: Job) -> None:
        """Work on a clip; whatever happens to it, the next one has its turn."""
        job.state = "working"
        try:
            self._predict(predictor, job)
            self._put_away(job)
        except MerError as error:
            # The user knows the file by its own name.
            job.error = str(MerError(error.what, where=job.name, fix=error.fix))
        except Exception as error:
            job.error = f"{job.name}: failed unexpectedly ({type(error).__name__}); please report this"
        with suppress(OSError):
            job.file.unlink(missing_ok=True)
        job.state = "done" if job.error is None else "failed"

    def _predict(self, predictor: Predictor, job: Job) -> None:
        def progress(task: str, done: int, total: int, detail: str = "") -> None:
            del task, detail
            job.progress = done, total

        def on_expression(sight: ExpressionImages) -> None:
            if len(job.sheets) < _MOST_SHEETS:
                job.sheets.append(png(draw_sheet(replace(sight, clip=job.name))))

        found = predictor(job.file, progress=progress, on_expression=on_expression)
        job.timeline = _points(
            found.timeline or spot_video(job.file, progress=progress, find_faces=predictor.find_faces).timeline
        )
        job.result = replace(found, clip=job.name).as_json()

    def _put_away(self, job: Job) -> None:
        if self._keep is None:
            return
        private_folder(self._keep)
        name = Path(job.name)
        others = (f"{name.stem}-{number}{name.suffix}" for number in itertools.count(2))
        try:
            for name_there in itertools.chain([job.name], others):
                with suppress(FileExistsError), _new_file(self._keep / name_there) as target:
                    with job.file.open("rb") as upload:
                        shutil.copyfileobj(upload, target)
                    return
        except OSError as error:
            raise MerError(f"cannot be kept ({error.strerror})", fix="check the folder of --keep") from None


def _new_file(path: Path) -> BinaryIO:
    """A file that did not exist, of mode 0600, open for writing."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: PTH123 - a descriptor


def _remove_orphans(folder: Path) -> None:
    """Remove what servers that were killed have left of uploads, which show faces."""
    import psutil

    for left in folder.glob(f"{_PREFIX}*"):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if number.isdecimal() and not psutil.pid_exists(int(number)):
                shutil.rmtree(left, ignore_errors=True)


def busy() -> MerError:
    """The refusal of a clip while as many wait as are taken."""
    return MerError(f"{_WAITING} clips are waiting already", fix="try again when one is done")


def safe_name(name: str) -> str:
    r"""The last part of an upload's name as a file name that any disk takes: at most 220 bytes, nothing but text.

    >>> safe_name("../a\0b.mp4"), safe_name("..")
    ('ab.mp4', 'clip')
    """
    plain = "".join(letter for letter in name.replace("\\", "/").split("/")[-1] if letter.isprintable()).lstrip(".")
    stem, suffix = (_cut(part, most) for part, most in ((Path(plain).stem, 200), (Path(plain).suffix, 20)))
    return f"{stem}{suffix}" or "clip"


def _cut(text: str, most_bytes: int) -> str:
    return text.encode("utf-8", "ignore")[:most_bytes].decode("utf-8", "ignore")


def _points(timeline: Timeline) -> dict[str, list[float | None]]:
    """A timeline as JSON, thinned by its peaks; motion is None where there is no face."""
    parts = np.array_split(np.arange(len(timeline.seconds)), min(_POINTS, max(1, len(timeline.seconds))))
    seconds, motion = [], []
    for part in parts:
        known = timeline.energy[part][np.isfinite(timeline.energy[part])]
        seconds.append(round(float(timeline.seconds[part[0]]), 3) if len(part) else 0.0)
        motion.append(round(float(known.max()), 3) if len(known) else None)
    return {"seconds": list(seconds), "motion": motion}
