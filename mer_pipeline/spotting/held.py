"""Expressions that are held: the skin leaves rest and stays away longer than a movement that comes and goes.

Where the skin has moved is seen from what it was before and what it is after (first difference in time). Rest is what
it was before. The course of that pattern says how long it is held: until it falls below half, or the film ends, the
face is lost, or something hides it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Mask, Matrix
from mer_pipeline.spotting.course import flank
from mer_pipeline.spotting.intervals import COHERENT, FOLLOWED_PX, MOST_PX, NoiseFloor, typical
from mer_pipeline.spotting.moves import Moves
from mer_pipeline.spotting.patterns import (
    coherence,
    is_smooth,
    matched,
    of_mouth,
    region_px,
    stands_out,
    without_eyes,
)
from mer_pipeline.spotting.signs import Cause, Signs

# Rises of these lengths are distinguished; the skin is averaged over this time before and after.
_RISES_S, _AVERAGED_S = (0.1, 0.3, 0.6), 0.2
# As for movements that come and go; standing out is asked more of, since nothing comes back to confirm it.
_STANDS_OUT, _LEAST_PX = 3.2, 0.8
# It is over where the course falls below this part of its height.
_OVER = 0.45
_WAY_BACK = 0.3
# Two rises nearer than this are one; a rise so soon after another's end is its return.
_APART_S = 0.4
# A rise hides others near it, and what hides it may be farther away: so far they are looked for.
_REACH_S = 2.0
_BEFORE_S, _AFTER_S = 1.0, 0.3


@dataclass(frozen=True)
class Rise:
    """Where the skin leaves a place and stays away.

    Attributes:
        at: Its middle; a frame relative to the start of the tracks.
        length: In frames, roughly.
        pattern: (CELLS * CELLS, 2) how far the skin has moved, in pixels of a 224 pixel crop.
        usual_px: (CELLS * CELLS,) how far it usually moves in that time.
        salience: How far its region stands out of that.
        cause: What it is if it is no expression.
    """

    at: int
    length: int
    pattern: Matrix
    usual_px: Matrix
    salience: float
    cause: Cause | None


@dataclass
class Held:
    """An expression that is followed until it is over; frames are those of the film.

    Attributes:
        onset, apex: Frames.
        rest: (CELLS * CELLS, 2) where the skin was before.
        filter: (CELLS * CELLS, 2) what motion from rest is multiplied with; see `matched`.
        height: Of its course at the apex.
        strength: Of the region that moved most, in pixels of a 224 pixel crop.
        salience: That of its rise.
        seen: The frame up to which it was followed.
        offset: Its end, once it is known.
        cut: Whether it was not seen to end.
    """

    onset: int
    apex: int
    rest: Matrix
    filter: Matrix
    height: float
    strength: float
    salience: float
    seen: int
    offset: int | None = None
    cut: bool = False

    def follow(self, motion_px: npt.NDArray[np.float32], first: int, until: int) -> bool:
        """Follow it through rows of motion; whether it is over.

        Args:
            motion_px: (frames, CELLS * CELLS, 2).
            first: The film's frame of the first row.
            until: The frame before which to stop.
        """
        begin = max(self.seen, self.apex)
        course = ((motion_px[begin - first : until - first] - self.rest) * self.filter).sum((1, 2))
        under = np.flatnonzero(course < _OVER * self.height)
        self.seen = max(self.seen, until)
        if not under.size:
            return False
        self.offset = begin + int(under[0])
        return True

    def is_return(self, rise: Rise) -> bool:
        """Whether a rise is this expression's own way back."""
        return float((rise.pattern * self.filter).sum()) < -_WAY_BACK * self.height

    def end(self, last: int) -> None:
        """It was last seen in a frame, and not seen to end."""
        self.offset, self.cut = max(self.apex, last), True


def find_rises(moves: Moves, usual: NoiseFloor, signs: Signs) -> list[Rise]:
    """Every rise of an unbroken stretch, in time order; those with a cause belong to no expression.

    Args:
        moves: The stretch. Rises far from the frames that are judged are left out.
        usual: What was seen before, and takes this stretch in.
        signs: What is known beside the motion.
    """
    found, taken = [], [(lag, _step(moves, lag)) for lag in (max(1, round(rise * moves.fps)) for rise in _RISES_S)]
    now = typical(moved for _, moved in taken)
    # A face that has become calm is compared with its own calm, not with the minute before.
    floor = np.minimum(usual.update(now), NoiseFloor(1, usual.doubt).update(now))
    trust, eyeless = moves.trust, without_eyes(moves.trust)
    for (lag, moved), least in zip(taken, floor, strict=True):
        blinks = np.zeros(len(moved), bool)
        for cause, (a, b) in signs.causes:
            blinks[max(0, a - lag) : b + lag + 1] |= cause == "blink"
        for at, height in _peaks(moves, moved, blinks, lag, least):
            pattern = moved[at]
            used = np.where(np.hypot(*pattern.T) <= FOLLOWED_PX, eyeless if blinks[at] else trust, 0.0)
            salience, px = float(stands_out(pattern[None], used, least)[0]), region_px(pattern, trust)
            usable = np.where(used > 0, least, np.inf)
            if px > MOST_PX or signs.is_hidden(at - lag, at + lag):
                found.append(Rise(at, lag, pattern, usable, height, "hidden"))
            elif salience >= _STANDS_OUT and px >= _LEAST_PX and salience * coherence(pattern, used) >= COHERENT:
                what: Cause | None = "turn" if is_smooth(pattern, trust) else None
                spoken = any(cause == "speech" for cause, _ in signs.within(at - lag, at + lag))
                what = "speech" if spoken and of_mouth(pattern, trust) else what
                found.append(Rise(at, lag, pattern, usable, salience, what))
    return _apart(found, moves.fps)


def _step(moves: Moves, lag: int) -> Matrix:
    """(frames, CELLS * CELLS, 2) the skin after a rise of so many frames minus the skin before."""
    at, half, width = range(len(moves)), lag // 2, max(2, round(_AVERAGED_S * moves.fps))
    moved = moves.mean(at, half, half + width)
    moved -= moves.mean(at, -half - width + 1, -half + 1)
    return moved


def begin(rise: Rise, motion_px: npt.NDArray[np.float32], first: int, fps: float) -> Held | None:
    """Begin to follow a rise; None where it does not rise from rest.

    Args:
        rise: Relative to the first row.
        motion_px: (frames, CELLS * CELLS, 2).
        first: The film's frame of the first row.
        fps: Frames a second.
    """
    around = rise.length // 2
    before = motion_px[max(0, rise.at - around - round(_AVERAGED_S * fps)) : max(1, rise.at - around)]
    rest = before.mean(0).astype(np.float64)
    used = np.isfinite(rise.usual_px)
    trust, usual = used.astype(np.float64), np.where(used, rise.usual_px, 1.0)
    weights = matched(rise.pattern, trust, usual, FOLLOWED_PX)
    start = max(0, rise.at - round(_BEFORE_S * fps))
    course = ((motion_px[start : rise.at + around + round(_AFTER_S * fps) + 1] - rest) * weights).sum((1, 2))
    top = rise.at - start + int(np.argmax(course[rise.at - start :]))
    height = float(course[top])
    if height <= 0 or not weights.any():
        return None
    foot, early = flank(course[: top + 1])
    onset = int(np.clip(round(foot), 0, top))
    apex = int(np.clip(round(early), onset, top))
    place = first + start
    strength = region_px(rise.pattern, trust)
    return Held(place + onset, place + apex, rest, weights, height, strength, rise.salience, place + apex)


def _peaks(moves: Moves, moved: Matrix, blinks: Mask, lag: int, usual_px: Matrix) -> Iterable[tuple[int, float]]:
    """Where a region stands out more than within a lag earlier and later, and how far."""
    around = max(2, lag)
    near = np.flatnonzero(moves.reaches(np.arange(len(moves)), round(_REACH_S * moves.fps)))
    first, last = (int(near[0]), int(near[-1]) + 1) if near.size else (0, 0)
    height = stands_out(moved[first:last], moves.trust, usual_px)
    shut = np.flatnonzero(blinks[first:last])
    height[shut] = stands_out(moved[first:last][shut], without_eyes(moves.trust), usual_px)
    for at in np.flatnonzero(height >= _STANDS_OUT):
        if height[at] >= height[max(0, at - around) : at + around + 1].max():
            yield first + int(at), float(height[at])


def _apart(found: list[Rise], fps: float) -> list[Rise]:
    """Of those that are near each other the one that stands out most."""
    kept: list[Rise] = []
    for rise in sorted(found, key=lambda each: -each.salience):
        if all(abs(rise.at - other.at) > _APART_S * fps + 0.5 * max(rise.length, other.length) for other in kept):
            kept.append(rise)
    return sorted(kept, key=lambda each: each.at)
