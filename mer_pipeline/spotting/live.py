"""Spotting in frames that arrive one by one, from a camera or a file: the one mechanism behind every command.

It keeps some seconds of tracks (2 kB a frame) and no pictures, so an hour needs no more memory than a minute.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.spotting.held import Held, begin, find_rises
from mer_pipeline.spotting.intervals import MARGIN_S, Candidate, NoiseFloor, energy, find_intervals, is_micro
from mer_pipeline.spotting.moves import Moves
from mer_pipeline.spotting.result import Event, Flag, Interval, Kind
from mer_pipeline.spotting.signs import Signs, bridged, read_signs
from mer_pipeline.spotting.tracking import FindFace, Seen, Tracked, Tracker

_USUAL_S = 60.0  # what a face does all the time is learnt from so much of it
HOP_S = 1.0  # what has gathered is judged as often: the same for a camera and a file, so that both find the same
_EDGE_FRAMES = 1
# Around an expression that was found, a rise is part of it.
_PART_S = 0.15


class LiveSpotter:
    """Spots expressions in frames that arrive one by one; files are spotted by it too.

    An expression is given back when `MARGIN_S` of what follows its apex are known, or the face is lost; one that is
    held, when it is over.

    Args:
        fps: Frames a second.
        look: Finds the face in a frame; not needed where all are given to `take`.
        doubt: How much more than usual must stand out; see `spotting.video.doubt_of`.
        on_energy: Called with the index of a first frame and, (frames,) from there, how far the skin is from rest.
        on_tracked: Called with each frame's index and its face.

    Attributes:
        events: What else happened so far, in the order in which it was found.
    """

    def __init__(
        self,
        fps: float,
        look: FindFace = lambda image: None,  # noqa: ARG005
        *,
        doubt: float = 1.0,
        on_energy: Callable[[int, npt.NDArray[np.float64]], None] = lambda first, energy: None,  # noqa: ARG005
        on_tracked: Callable[[int, Tracked], None] = lambda index, face: None,  # noqa: ARG005
    ) -> None:
        self.fps = fps
        self.events: list[Event] = []
        self._tracker = Tracker(fps, look)
        self._on_energy, self._on_tracked = on_energy, on_tracked
        self._hop, self._margin = max(1, round(HOP_S * fps)), max(1, round(MARGIN_S * fps))
        kept = max(1, round(_USUAL_S / HOP_S))
        self._usual, self._usual_rise = NoiseFloor(kept, doubt), NoiseFloor(kept, doubt)
        self._rows: list[npt.NDArray[np.float32]] = []
        self._seen: list[Seen] = []
        self._began = 0  # index of the first frame of the segment
        self._first = 0  # index of the first row
        self._judged = 0  # index of the first frame that is not judged yet
        self._face: Tracked | None = None
        self._gone: int | None = None  # index of the first frame without a face, after one with it
        self._last: list[Interval] = []
        self._held: Held | None = None
        self._over = 0  # index of the frame in which the last held expression was over

    @property
    def has_face(self) -> bool:
        """Whether the last frame shows a face."""
        return self._face is not None

    def push(self, index: int, image: Image) -> list[Interval]:
        """Take the next frame; gives back the expressions that have become certain.

        Args:
            index: Of the frame; where a camera left frames out, the skin is taken to have moved evenly.
            image: (H, W, 3) RGB.
        """
        return self.take(index, self._tracker.push(index, image))

    def take(self, index: int, face: Tracked | None) -> list[Interval]:
        """Take in where the face is in the next frame, where another tracker follows it; see `push`."""
        found: list[Interval] = []
        if self._face is not None and (face is None or face.segment != self._face.segment):
            found = self.finish()
            self._gone = index
        if face is None:
            return found
        self._on_tracked(index, face)
        row = face.motion_px.astype(np.float32)
        if self._face is None:
            self._begin(index)
        else:
            left_out = index - self._first - len(self._rows)
            last = self._rows[-1]
            self._rows += [last + np.float32(at / (left_out + 1)) * (row - last) for at in range(1, left_out + 1)]
            self._seen += [self._seen[-1]] * left_out
        self._face = face
        self._rows.append(row)
        self._seen.append(face.seen)
        while self._first + len(self._rows) >= self._judged + self._hop + self._margin:
            found += self._judge(self._judged + self._hop)
            keep = max(0, self._judged - self._margin - self._first)
            del self._rows[:keep], self._seen[:keep]
            self._first += keep
        return found

    def finish(self, end: int | None = None) -> list[Interval]:
        """The expressions of what has gathered, as if no frame followed; then it begins anew.

        Args:
            end: The number of frames, where the film is over.
        """
        if self._gone is not None and end is not None and self._gone < end:
            self.events.append(Event("no face", self._gone, end - 1))
        if self._face is None:
            return []
        last = self._first + len(self._rows) - 1
        found = self._judge(last + 1)
        if self._held is not None:
            self._held.end(last)
            found += self._closed([])
        self._rows, self._seen, self._face = [], [], None
        return found

    def _begin(self, index: int) -> None:
        if self._gone is not None:
            self.events.append(
                Event("cut", index, index) if self._gone == index else Event("no face", self._gone, index - 1)
            )
        self._began = self._first = self._judged = self._over = index
        self._gone, self._last = None, []

    def _judge(self, until: int) -> list[Interval]:
        """The expressions whose apex lies before a frame and was not judged before."""
        assert self._face is not None
        motion, trust, since, first = np.array(self._rows), self._face.trust, self._judged, self._first
        seen = np.array([(each.opening, each.gaze, each.score) for each in self._seen])
        signs = read_signs(motion, trust, seen, self.fps)
        motion = bridged(motion, signs, self.fps)
        moves = Moves.of(motion, trust, self.fps, (since - first, until - first))
        moved = find_intervals(moves, self._usual, signs)
        self._on_energy(since, energy(moves))
        self._judged = until
        events = [Event(cause, first + a, first + b) for cause, (a, b) in signs.causes]
        events += [Event(each.cause, first + each.onset, first + each.offset) for each in moved if each.cause]
        found = self._follow(motion, moves, signs, moved, events)
        expressions = [each for each in moved if each.is_expression]
        new = [self._interval(each, events) for each in expressions if since <= first + each.apex < until]
        # A plateau may have had its apex before this window's share in the last one, and have it within now.
        new = [each for each in new if not any(_same(each, other) for other in self._last)]
        self._last = new or self._last
        self.events += [each for each in events if since <= (each.first_frame + each.last_frame) // 2 < until]
        return new + found

    def _follow(
        self,
        motion: npt.NDArray[np.float32],
        moves: Moves,
        signs: Signs,
        moved: list[Candidate],
        events: list[Event],
    ) -> list[Interval]:
        """Held expressions: the one that is followed, and those that rise in these frames."""
        first, found = self._first, list[Interval]()
        since, until = (first + at for at in moves.judged)
        part = round(_PART_S * self.fps)
        known = [
            (each.onset - part, each.offset + part) for each in moved if each.is_expression or each.cause == "turn"
        ]
        for rise in find_rises(moves, self._usual_rise, signs):
            at = first + rise.at
            if not since <= at < until:
                continue
            if self._held is not None and self._held.follow(motion, first, at):
                found += self._closed(events)
            if self._held is not None and self._held.is_return(rise):
                continue
            explained = any(a <= rise.at <= b for a, b in known) or at < self._over + 2 * part
            if rise.cause is not None:
                around = max(first, at - rise.length), min(first + len(motion) - 1, at + rise.length)
                events += [] if explained else [Event(rise.cause, *around)]
                if rise.cause == "hidden" and self._held is not None:
                    self._held.end(at - rise.length)
                    found += self._closed(events)
            elif self._held is None and not explained:
                self._held = begin(rise, motion, first, self.fps)
        if self._held is not None and self._held.follow(motion, first, until):
            found += self._closed(events)
        return found

    def _closed(self, events: list[Event]) -> list[Interval]:
        """The held expression that is over, unless it was too short to be held."""
        held, self._held = self._held, None
        assert held is not None
        assert held.offset is not None
        self._over = held.offset
        if is_micro(held.offset - held.onset, self.fps):
            return []
        frames = held.onset, held.apex, held.offset
        events = [*self.events, *events]
        return [self._made(frames, "macro", events, held.strength, held.salience, cut=held.cut)]

    def _interval(self, found: Candidate, events: list[Event]) -> Interval:
        onset, apex, offset = (self._first + frame for frame in (found.onset, found.apex, found.offset))
        kind: Kind = "micro" if is_micro(offset - onset, self.fps) else "macro"
        return self._made((onset, apex, offset), kind, events, found.strength, found.salience)

    def _made(
        self,
        frames: tuple[int, int, int],
        kind: Kind,
        events: list[Event],
        strength: float,
        salience: float,
        *,
        cut: bool = False,
    ) -> Interval:
        onset, offset = frames[0], frames[2]
        flags: list[Flag] = [*sorted({each.kind for each in events if each.meets(onset, offset)})]
        if onset <= self._began + _EDGE_FRAMES:
            flags.append("not seen to begin")
        if cut or offset >= self._first + len(self._rows) - 1:
            flags.append("not seen to end")
        return Interval.at(frames, self.fps, kind, round(strength, 3), round(salience, 3), tuple(flags))


def _same(a: Interval, b: Interval) -> bool:
    """Whether two intervals share more than half of the shorter one."""
    shared = min(a.offset_frame, b.offset_frame) - max(a.onset_frame, b.onset_frame)
    return 2 * shared > min(a.offset_frame - a.onset_frame, b.offset_frame - b.onset_frame)
