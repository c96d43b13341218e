"""The films of a folder, opened when they are asked for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mer_pipeline.choices import FILM_SUFFIXES
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.spotting.video import rate_of
from mer_pipeline.video import Footage, FrameFolder, find_clips, open_footage

ANNOTATIONS = "annotations"  # below the folder: what coders marked, and what was spotted
_DEEPEST = 3  # folder/person/session/film


@dataclass(frozen=True)
class Film:
    """A film that was opened.

    Attributes:
        name: Its path below the folder, with slashes.
        footage: Its frames.
        fps: Frames a second.
    """

    name: str
    footage: Footage
    fps: float

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.footage)

    @property
    def person(self) -> str:
        """The folder that it lies in, which usually is called after the person who is seen."""
        return PurePosixPath(self.name).parent.name

    def seconds(self, *frames: int) -> tuple[float, ...]:
        """When frames are shown: a rate may vary."""
        times_s = self.footage.times_s
        return tuple(frame / self.fps if times_s is None else float(times_s[frame]) for frame in frames)

    def number(self, frame: int) -> int:
        """What `clips.csv` calls a frame: the number in its file's name; of a video, its index."""
        return self.footage.numbers[frame] if isinstance(self.footage, FrameFolder) else frame


class Films:
    """The films below a folder: video files, and folders of frames.

    Attributes:
        folder: Where they lie.
        names: Their paths below it, sorted.

    Raises:
        MerError: There is no such folder, or no film in it.
    """

    @os_errors()
    def __init__(self, folder: Path, fps: float | None = None) -> None:
        if not folder.is_dir():
            raise MerError("no such folder", where=folder, fix="give the folder that the films lie in")
        self.folder, self._fps = folder, fps
        self.names = _names(folder)
        if not self.names:
            fix = f"expected videos ({', '.join(FILM_SUFFIXES)}), or folders of numbered pictures"
            raise MerError("no film in this folder", where=folder, fix=fix)
        self._open: dict[str, Film] = {}
        self._lock = threading.Lock()

    def film(self, name: str) -> Film:
        """A film, opened.

        Raises:
            MerError: There is none of this name, or it cannot be read.
        """
        if name not in self.names:
            raise MerError("no such film", where=name, fix="load the page again")
        with self._lock:
            if name not in self._open:
                self._open[name] = self._opened(name)
            return self._open[name]

    def _opened(self, name: str) -> Film:
        try:
            footage = open_footage(self.folder / name)
            rate = rate_of(footage, self._fps if footage.fps is None else None)[0]
        except MerError as error:
            # The page shows names below the folder.
            raise MerError(error.what, where=name, fix=error.fix) from None
        if rate is None:
            raise MerError("does not say its rate", where=name, fix="start mer annotate with --fps")
        if len(footage) < 2:
            raise MerError("a film of one frame has no motion", where=name, fix="give a video of the expression")
        return Film(name, footage, rate)

    def eaf_of(self, name: str) -> str:
        """The name of a film's .eaf file; two films of one stem each keep their ending."""
        stem = str(PurePosixPath(name).with_suffix(""))
        alone = sum(str(PurePosixPath(other).with_suffix("")) == stem for other in self.names) == 1
        return f"{stem if alone else name}.eaf"


def _names(folder: Path) -> tuple[str, ...]:
    """The films of a folder, below it; what was annotated before holds none."""
    try:
        found = find_clips(folder, _DEEPEST)
    except MerError:
        return ()
    return tuple(sorted(clip.relative_to(folder).as_posix() for clip in found if clip != folder))
