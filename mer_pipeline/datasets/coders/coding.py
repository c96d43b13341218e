"""What somebody, or a program, marked in a film; and how a file with milliseconds keeps the frames.

A mark is written with the first whole millisecond at which its frame is shown, so that a player that is sent there
shows this frame, and with its frame numbers as text. Where a coder has moved the mark, its time no longer fits the
text, and counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

KINDS = ("micro", "macro")
# Tiers and behaviours; what a name begins with counts.
NAMES = {"micro": "micro-expression", "macro": "macro-expression", "apex": "apex", "aus": "AUs", "emotion": "emotion"}
EVENTS = ("blink", "gaze", "speech", "turn", "hidden", "cut", "no face")  # what moves a face and is no expression
_BEGINNINGS = {
    "micro": "micro", "macro": "macro", "apex": "apex", "au": "aus", "actionunit": "aus", "emotion": "emotion",
    "eyeblink": "blink", **{event.replace(" ", ""): event for event in EVENTS},
}  # fmt: skip
_ALONE = {"me": "micro", "mae": "macro"}
_FRAMES = re.compile(r"\bframes? (\d{1,9})(?:/(\d{1,9}))?(?:/(\d{1,9}))?")


@dataclass(frozen=True)
class Mark:
    """A stretch of a film; frames are 0-based, both in.

    Attributes:
        kind: `micro`, `macro`, `blink`, or another word for what is no expression.
        apex_frame: None where it is not marked.
        emotion, aus: As they are written; blank where they are not.
        seconds: When its onset, apex and offset are shown; None where frames are evenly spaced.
        note: What is doubtful.
    """

    kind: str
    onset_frame: int
    offset_frame: int
    apex_frame: int | None = None
    emotion: str = ""
    aus: str = ""
    seconds: tuple[float, float, float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        frames = [f for f in (self.onset_frame, self.apex_frame, self.offset_frame) if f is not None]
        if frames != sorted(frames) or frames[0] < 0:
            raise ValueError(f"expected 0 <= onset <= apex <= offset, got {self}")

    @property
    def span(self) -> tuple[int, int]:
        """Onset and offset."""
        return self.onset_frame, self.offset_frame

    @property
    def frames_text(self) -> str:
        """`frames 12/20/31`, without the apex where there is none."""
        shown = (self.onset_frame, self.apex_frame, self.offset_frame)
        return "frames " + "/".join(str(frame) for frame in shown if frame is not None)

    def at_s(self, fps: float) -> tuple[float, float, float]:
        """When onset, apex (or onset) and offset are shown."""
        apex = self.onset_frame if self.apex_frame is None else self.apex_frame
        return self.seconds or (self.onset_frame / fps, apex / fps, self.offset_frame / fps)


@dataclass(frozen=True)
class Coding:
    """All marks of one film.

    Attributes:
        film: Name or path of the film, as the file that was read states it.
        fps: Frames a second; None where it is not known.
        marks: In time order.
        frames: Of the film; None where it is not known.
        subject: Who is seen; blank where that is not said.
        warnings: What was not understood.
    """

    film: Path
    fps: float | None
    marks: tuple[Mark, ...] = ()
    frames: int | None = None
    subject: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def expressions(self) -> tuple[Mark, ...]:
        """The micro- and macro-expressions."""
        return tuple(mark for mark in self.marks if mark.kind in KINDS)

    @property
    def length(self) -> int:
        """How many frames the film has, as far as that is known."""
        return self.frames or max((mark.offset_frame + 1 for mark in self.marks), default=0)


@dataclass(frozen=True)
class Moment:
    """A stretch of a file of coders: what it is, its milliseconds, its text, and the frames a program counted."""

    kind: str
    start_ms: float
    stop_ms: float
    text: str = ""
    counted: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True)
class Clock:
    """Which frame is shown when.

    Attributes:
        fps: Frames a second; None where it is not known.
        times_s: (frames,) when each is shown, where the film says it.
    """

    fps: float | None
    times_s: npt.NDArray[np.float64] | None = None

    def frame(self, at_ms: float, noted: int | None, where: object, counted: int | None = None) -> int:
        """The frame of a time: the one that was noted where its time is this one, else the counted or the nearest one.

        Raises:
            MerError: The rate is not known, and no frame is noted or counted.
        """
        if noted is not None and self._fits(at_ms, noted):
            return noted
        if self.times_s is not None and len(self.times_s):
            nearest = int(abs(self.times_s - at_ms / 1000).argmin())
            counted = None if counted is None else min(counted, len(self.times_s) - 1)
        elif self.fps is not None:
            nearest = max(0, round(at_ms / 1000 * self.fps))
        elif counted is not None:
            return counted
        else:
            raise MerError("the rate of its film is not known", where=where, fix="put the film beside it")
        # A player may state a time between two frames; a time that was corrected by hand leaves the count behind.
        return counted if counted is not None and abs(counted - nearest) <= 1 else nearest

    def _fits(self, at_ms: float, frame: int) -> bool:
        if self.times_s is not None:
            if frame >= len(self.times_s):
                return False
            shown = float(self.times_s[frame])
        elif self.fps is None:
            return True
        else:
            shown = frame / self.fps
        return -0.06 <= at_ms - shown * 1000 < 1 - 1e-6  # written as whole milliseconds, rounded up


def to_ms(seconds: float) -> int:
    """The first whole millisecond at or after a time.

    >>> to_ms(1 / 29.97), to_ms(0.005)
    (34, 5)
    """
    return math.ceil(round(seconds * 10_000) / 10)


def kind_named(name: str) -> str | None:
    """What a tier or behaviour of this name holds; None where that is nothing that is known.

    >>> kind_named("Micro-expressions"), kind_named("AU@anna"), kind_named("ME"), kind_named("transcript")
    ('micro', 'aus', 'micro', None)
    """
    plain = re.sub(r"[\s_-]", "", name.partition("@")[0]).casefold()
    return _ALONE.get(plain) or next((kind for start, kind in _BEGINNINGS.items() if plain.startswith(start)), None)


def to_marks(moments: Iterable[Moment], clock: Clock, where: object) -> tuple[tuple[Mark, ...], list[str]]:
    """The marks of a film, each with the apex, emotion and Action Units that lie in it, and what is wrong.

    Raises:
        MerError: The rate of the film is not known, and no frames are noted.
    """
    by_kind: dict[str, list[Moment]] = {}
    for moment in moments:
        by_kind.setdefault(moment.kind, []).append(moment)
    expressions = [moment for kind in KINDS for moment in by_kind.get(kind, ())]
    texts = {(of, own): text for of in ("aus", "emotion") for own, text in _owned(by_kind.get(of, ()), expressions)}
    points = [(p, clock.frame(p.start_ms, _noted(p.text)[0], where, p.counted[0])) for p in by_kind.get("apex", ())]
    apexes = _apexes(points, expressions)
    marks, wrong = [], []
    for kind in (*KINDS, *EVENTS):
        for moment in by_kind.get(kind, ()):
            onset, apex, offset = _noted(moment.text)
            first = clock.frame(moment.start_ms, onset, where, moment.counted[0])
            last = max(first, clock.frame(moment.stop_ms, offset, where, moment.counted[1]))
            if offset == onset == first and moment.stop_ms - moment.start_ms <= 1:
                last = first  # one frame, which in an .eaf file cannot last 0 ms
            mark = Mark(kind, first, last)
            if kind in KINDS:
                frames = apexes.get(moment, [])
                own = [frame for frame in (*frames, apex) if frame is not None and first <= frame <= last]
                if len(frames) > 1:
                    wrong.append(f"{NAMES[kind]} {mark.frames_text}: {len(frames)} apexes; the first counts")
                aus, emotion = (texts.get((of, moment), "") for of in ("aus", "emotion"))
                mark = replace(mark, apex_frame=own[0] if own else None, aus=aus, emotion=emotion)
            marks.append(mark)
    return tuple(sorted(marks, key=lambda mark: (mark.onset_frame, mark.offset_frame))), wrong


def _noted(text: str) -> tuple[int | None, int | None, int | None]:
    """Onset, apex and offset that a text notes."""
    found = _FRAMES.search(text)
    if found is None:
        return None, None, None
    frames = [int(part) for part in found.groups() if part]
    return frames[0], frames[1] if len(frames) == 3 else None, frames[-1]


def _apexes(points: Sequence[tuple[Moment, int]], expressions: Sequence[Moment]) -> dict[Moment, list[int]]:
    """The frames of the apexes of each expression, where it has any; one expression may lie in another.

    An apex is of the expressions whose text notes it. Another, which a coder has set, is of the narrowest around it,
    first among those whose text does not settle theirs.
    """
    frames = {frame for _, frame in points}
    noted = {each: _noted(each.text) for each in expressions}
    settled = {each: text[0] is not None and (text[1] is None or text[1] in frames) for each, text in noted.items()}
    found: dict[Moment, list[int]] = {}
    for moment, frame in points:
        around = [each for each in expressions if each.start_ms <= moment.start_ms <= each.stop_ms]
        own = [each for each in around if noted[each][1] == frame]
        narrowest = sorted(around, key=lambda each: (settled[each], each.stop_ms - each.start_ms))[:1]
        for each in own or narrowest:
            found.setdefault(each, []).append(frame)
    return {each: sorted(set(own), key=lambda frame: (frame != noted[each][1], frame)) for each, own in found.items()}


def _owned(moments: Sequence[Moment], expressions: Sequence[Moment]) -> Iterator[tuple[Moment, str]]:
    """The expression that each text fits best, if they share any time: one may lie in another."""

    def fit(own: Moment, each: Moment) -> float:
        if (own.start_ms, own.stop_ms) == (each.start_ms, each.stop_ms):
            return 1.0  # also where both are one frame, and last no time
        shared = min(each.stop_ms, own.stop_ms) - max(each.start_ms, own.start_ms)
        return shared / max(1.0, max(each.stop_ms, own.stop_ms) - min(each.start_ms, own.start_ms))

    for each in moments:
        own = max(expressions, key=lambda one, each=each: fit(one, each), default=None)  # type: ignore[misc]
        if own is not None and fit(own, each) > 0:
            yield own, each.text.strip()
