"""What is gathered of one face while its film is spotted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image, Matrix
from mer_pipeline.faces.registration import CELLS
from mer_pipeline.spotting.clip import spot
from mer_pipeline.spotting.intervals import is_micro
from mer_pipeline.spotting.live import LiveSpotter
from mer_pipeline.spotting.result import TIMELINE_POINTS, Event, Interval, Kind, Spotting, Timeline, merged
from mer_pipeline.spotting.tracking import FindFace, Place, Tracked, Tracks, Whereabouts

Seconds: TypeAlias = npt.NDArray[np.float64]
# Given a face's key, the frame, when it is shown, and the face; None where the only one that is followed is lost.
OnFace: TypeAlias = Callable[[int, int, float, Tracked | None], None]
_PLACE_S = 0.25  # where the face is is noted as often


class Watch:
    """One face of a film.

    Args:
        fps: Frames a second.
        times_s: (frames,) when each is shown.
        look: Finds the face; not needed where all are given to `take`.
        doubt: How much more than usual must stand out; see `LiveSpotter`.
        force: Whether the strongest motion is wanted where nothing is spotted; memory then grows with the length.
        on_face: Called with every frame and the face in it.
        key: Of the face, for `on_face`.
    """

    def __init__(
        self,
        fps: float,
        times_s: Seconds,
        look: FindFace | None = None,
        *,
        doubt: float = 1.0,
        force: bool = False,
        on_face: OnFace | None = None,
        key: int = 0,
    ) -> None:
        self._fps, self._times_s, self._key, self._on_face = fps, times_s, key, on_face
        self._course, self._kept = Course(len(times_s), times_s), _Kept(len(times_s)) if force else None
        self._frames, self._places = list[int](), list[Place]()
        self._every = max(1, round(_PLACE_S * fps))
        self._intervals: list[Interval] = []
        asked = {} if look is None else {"look": look}
        self._spotter = LiveSpotter(fps, **asked, doubt=doubt, on_energy=self._course.add, on_tracked=self._tracked)

    def push(self, index: int, image: Image) -> None:
        """Take the next frame."""
        self._intervals += self._spotter.push(index, image)
        if self._on_face is not None and not self._spotter.has_face:
            self._on_face(self._key, index, float(self._times_s[index]), None)

    def take(self, index: int, face: Tracked | None) -> None:
        """Take in where the face is in the next frame; None where it has been lost."""
        self._intervals += self._spotter.take(index, face)

    def spotting(self, video: str, frames: int, warnings: Iterable[str]) -> Spotting:
        """What was found, after so many frames."""
        found = self._intervals + self._spotter.finish(frames)
        forced = self._kept.strongest(self._fps) if self._kept is not None and not found else None
        return Spotting(
            video, self._fps, frames,
            intervals=[_timed(each, self._times_s) for each in sorted(found, key=lambda each: each.onset_frame)],
            events=[_event_timed(event, self._times_s) for event in merged(self._spotter.events)],
            warnings=list(warnings),
            timeline=self._course.timeline,
            forced=None if forced is None else _timed(forced, self._times_s),
            where=Whereabouts(self._frames, self._places, self._key),
        )  # fmt: skip

    def _tracked(self, index: int, face: Tracked) -> None:
        if not self._frames or index - self._frames[-1] >= self._every:
            self._frames.append(index)
            self._places.append(Place.of(face.to_unit))
        if self._kept is not None:
            self._kept.add(index, face)
        if self._on_face is not None:
            self._on_face(self._key, index, float(self._times_s[index]), face)


class Course:
    """Gathers a timeline of bounded length."""

    def __init__(self, frames: int, times_s: npt.NDArray[np.float64]) -> None:
        self._frames, self._points = frames, min(frames, TIMELINE_POINTS)
        self._seconds = times_s[np.arange(self._points) * frames // max(1, self._points)]
        self._energy = np.full(self._points, np.nan)

    def add(self, first: int, energy_px: npt.NDArray[np.float64]) -> None:
        """Take in the frames from one on."""
        point = (first + np.arange(len(energy_px))) * self._points // self._frames
        np.fmax.at(self._energy, point, energy_px)

    @property
    def timeline(self) -> Timeline:
        """So far."""
        return Timeline(self._seconds, self._energy)


class _Kept:
    """Keeps the tracks of a whole clip, of which a single expression is wanted whatever it is."""

    def __init__(self, frames: int) -> None:
        self._motion = np.full((frames, CELLS * CELLS, 2), np.nan, np.float32)
        self._segment = np.full(frames, -1, np.int32)
        self._trust: list[Matrix] = []

    def add(self, index: int, face: Tracked) -> None:
        """Take in a frame."""
        self._motion[index], self._segment[index] = face.motion_px, face.segment
        if face.segment == len(self._trust):
            self._trust.append(face.trust)

    def strongest(self, fps: float) -> Interval | None:
        """The motion that stands out most, spotted or not."""
        found = spot(Tracks(0, self._motion, np.array(self._trust).reshape(-1, CELLS * CELLS), self._segment), fps)
        if found is None:
            return None
        frames = found.onset_frame, found.apex_frame, found.offset_frame
        kind: Kind = "micro" if is_micro(frames[2] - frames[0], fps) else "macro"
        moved = np.hypot(*np.moveaxis(self._motion[frames[1]] - self._motion[frames[0]], -1, 0))
        strength = float((moved * (self._trust[self._segment[frames[1]]] > 0)).max())
        return Interval.at(frames, fps, kind, round(strength, 3), 0.0, ("not spotted",))


def _timed(interval: Interval, times_s: npt.NDArray[np.float64]) -> Interval:
    """With the times at which the medium shows the frames: a rate may vary."""
    onset_s, apex_s, offset_s = (
        round(float(times_s[frame]), 4) for frame in (interval.onset_frame, interval.apex_frame, interval.offset_frame)
    )
    return replace(interval, onset_s=onset_s, apex_s=apex_s, offset_s=offset_s)


def _event_timed(event: Event, times_s: npt.NDArray[np.float64]) -> Event:
    first_s, last_s = (round(float(times_s[frame]), 4) for frame in (event.first_frame, event.last_frame))
    return replace(event, first_s=first_s, last_s=last_s)
