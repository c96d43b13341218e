"""Spotting in every face of a film, or in one of them by its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.spotting.people import People, Person
from mer_pipeline.spotting.result import Spotting
from mer_pipeline.spotting.watch import Seconds, Watch

FaceChoice: TypeAlias = Literal["all", "largest"] | int


class MakeWatch(Protocol):
    """Begins to watch a face."""

    def __call__(self, *, key: int) -> Watch:
        """One that is given the faces."""


class _Seen(NamedTuple):
    """When and how often a person was seen; see `Person`."""

    first_frame: int
    found: int
    after: tuple[int, ...]


class Everyone:
    """Follows all faces of a film, and watches those that are wanted."""

    def __init__(
        self, fps: float, find: Callable[[Image], Sequence[Landmarks]], make: MakeWatch, face: FaceChoice, frames: int
    ) -> None:
        self._people, self._make, self._frames = People(fps, find), make, frames
        self._wanted = face if isinstance(face, int) else None
        self._watches: dict[Person, Watch] = {}
        self._gone: dict[int, tuple[_Seen, Spotting]] = {}  # by number

    def push(self, index: int, image: Image) -> None:
        """Take the next frame."""
        for person, face in self._people.push(index, image).items():
            if self._wanted is not None and person.number not in (0, self._wanted):
                self._watches.pop(person, None)
                continue
            if person not in self._watches:
                self._watches[person] = self._make(key=person.key)
            self._watches[person].take(index, face)
        for person in self._people.forgotten():
            self._end(person, self._frames)

    def spottings(
        self, video: Path, frames: int, times_s: Seconds, counts: DetectionCounts, warnings: list[str]
    ) -> list[Spotting]:
        """What was found after so many frames, by number.

        Raises:
            MerError: None is of the number that is wanted, or none was in view for half a second.
        """
        for person in list(self._watches):
            self._end(person, frames)
        if not self._gone:
            raise self._absent(video)
        others = max(0, self._people.most - 1) if self._wanted is not None else 0
        return [
            replace(
                found, video=str(video), frames=frames, faces=counts.faces, looked_at=counts.frames,
                with_face=seen.found, person=number, others_in_view=others,
                warnings=[*warnings, *_of(seen, counts, times_s)],
            )
            for number, (seen, found) in sorted(self._gone.items())
        ]  # fmt: skip

    def _end(self, person: Person, frames: int) -> None:
        watch = self._watches.pop(person, None)
        seen = _Seen(person.first_frame, person.found, person.after)
        if watch is not None and person.number and self._wanted in (None, person.number):
            self._gone[person.number] = seen, watch.spotting("", frames, ())

    def _absent(self, video: Path) -> MerError:
        seen = self._people.numbered
        if not seen:
            return MerError("no face was in view for half a second", where=video, fix="leave --face out")
        those = "1" if seen == 1 else f"1 to {seen}"
        what = f"there is no face {self._wanted}: {seen} {'was' if seen == 1 else 'were'} followed"
        return MerError(what, where=video, fix=f"choose --face {those}, all or largest")


def _of(seen: _Seen, counts: DetectionCounts, times_s: Seconds) -> list[str]:
    """What the reader of one person's result should know."""
    said = []
    if seen.found < counts.frames:
        said.append(f"not seen in {counts.frames - seen.found} of the {counts.frames} frames that were looked at")
    if seen.after:
        others = " or ".join(map(str, seen.after))
        said.append(
            f"came into view at {float(times_s[seen.first_frame]):.1f} s, when {others} was out of view: a new number, "
            "since it is not certain who it is"
        )
    return said
