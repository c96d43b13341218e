"""What is found in a video: expressions, and what moves the face and is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mer_pipeline.reading import JsonObject
from mer_pipeline.spotting.signs import Cause
from mer_pipeline.spotting.tracking import Whereabouts

Kind = Literal["micro", "macro"]
EventKind = Literal[Cause, "cut", "no face"]
Flag = Literal[EventKind, "not seen to begin", "not seen to end", "not spotted"]
TIMELINE_POINTS = 4000


@dataclass(frozen=True)
class Interval:
    """One expression; frames are 0-based, seconds count from the first frame.

    Attributes:
        strength: How far the skin moved at the apex, in pixels of a 224 pixel crop.
        kind: `micro` up to half a second, else `macro`.
        salience: How far it stands out of what its part of the face usually shows.
        flags: What else happened meanwhile (see `Event`), or makes the frames doubtful: the film or the face begins or
            ends within it, or nothing was spotted and it is the strongest motion that was forced.
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int
    strength: float
    kind: Kind
    onset_s: float
    apex_s: float
    offset_s: float
    salience: float = 0.0
    flags: tuple[Flag, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.onset_frame <= self.apex_frame <= self.offset_frame:
            raise ValueError(f"expected 0 <= onset <= apex <= offset, got {self}")

    @classmethod
    def at(
        cls,
        frames: tuple[int, int, int],
        fps: float,
        kind: Kind,
        strength: float,
        salience: float,
        flags: tuple[Flag, ...],
    ) -> Interval:
        """With the seconds of evenly spaced frames."""
        onset_s, apex_s, offset_s = (frame / fps for frame in frames)
        return cls(*frames, strength, kind, onset_s, apex_s, offset_s, salience, flags)


@dataclass(frozen=True)
class Event:
    """Something that moves a face, or hides it, and is no expression; frames are 0-based, both in.

    Attributes:
        kind: A `blink`; a glance (`gaze`); `speech`; a `turn` of the head; `hidden` by a hand or an object; a `cut` of
            the film; `no face`.
    """

    kind: EventKind
    first_frame: int
    last_frame: int
    first_s: float = 0.0
    last_s: float = 0.0

    def meets(self, first: int, last: int) -> bool:
        """Whether it shares a frame with a stretch."""
        return self.first_frame <= last and self.last_frame >= first


def merged(events: Iterable[Event]) -> list[Event]:
    """In time order, those of one kind that touch made one.

    >>> [(each.first_frame, each.last_frame) for each in merged([Event("blink", 3, 5), Event("blink", 4, 9)])]
    [(3, 9)]
    """
    open_ones: dict[EventKind, Event] = {}
    found: list[Event] = []
    for each in sorted(events, key=lambda event: event.first_frame):
        last = open_ones.get(each.kind)
        if last is not None and each.first_frame <= last.last_frame + 1:
            open_ones[each.kind] = replace(last, last_frame=max(last.last_frame, each.last_frame))
            continue
        found += [] if last is None else [last]
        open_ones[each.kind] = each
    return sorted([*found, *open_ones.values()], key=lambda event: (event.first_frame, event.last_frame))


def events_in_words(events: Iterable[Event]) -> str:
    """How many there are of each kind.

    >>> events_in_words([Event("blink", 3, 5), Event("turn", 8, 20), Event("blink", 30, 34)])
    '2 blink, 1 turn'
    """
    return ", ".join(f"{count} {kind}" for kind, count in Counter(each.kind for each in events).most_common())


@dataclass(frozen=True)
class Timeline:
    """How much the skin of the face moves over a video, for drawing.

    Attributes:
        seconds: (points,) from the first frame, ascending; at most `TIMELINE_POINTS`.
        energy: (points,) the strongest motion within each point's share of the video, pixels of a 224 pixel crop; NaN
            where there is no face.
    """

    seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    energy: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Spotting:
    """What was found in one video.

    Attributes:
        video: The path that was given.
        fps: Frames a second that times are counted by.
        frames: How many were seen.
        faces: The largest number of faces seen in one frame.
        looked_at, with_face: In how many frames a face was looked for, and found.
        intervals: Expressions in time order.
        events: What else happened, in time order.
        warnings: What the reader of the result should know.
        timeline: The course of motion.
        error: Why there is no result; None where there is one.
        forced: The strongest motion, where it was asked for and nothing was spotted.
        person: The number of the face, from 1; None where the largest one was followed.
        others_in_view: How many more faces were in view at once at most, which this result says nothing of.
        where: Where the face is.
    """

    video: str
    fps: float
    frames: int
    faces: int = 0
    looked_at: int = 0
    with_face: int = 0
    intervals: list[Interval] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline)
    error: str | None = None
    forced: Interval | None = None
    person: int | None = None
    others_in_view: int = 0
    where: Whereabouts = field(default_factory=Whereabouts, repr=False)

    @property
    def name(self) -> str:
        """The video's, and the person's where several were followed."""
        return Path(self.video).name + ("" if self.person is None else f", person {self.person}")

    @property
    def best(self) -> Interval | None:
        """The expression that stands out most; where none was spotted, the strongest motion, if that was asked for."""
        return max(self.intervals, key=lambda each: each.salience, default=self.forced)

    def as_json(self) -> JsonObject:
        """JSON values without the timeline and where the face is; `error` is there only where something failed."""
        values = asdict(replace(self, timeline=Timeline(), where=Whereabouts()))
        left_out = {"timeline", "forced", "where", *(() if self.error else ("error",))}
        return {key: value for key, value in values.items() if key not in left_out}
