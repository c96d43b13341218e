"""Where an expression begins, peaks and ends, from the motion of the skin.

The skin of one expression moves along one pattern: each cell of the face has a direction, and all follow one course in
time. So the pattern is read at the peak, and every frame is projected on it (a matched filter): noise, which has no
direction, averages out over the face, and movements with another pattern are discounted. Eyes are left out beforehand,
so that a blink is no expression.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Matrix
from mer_pipeline.spotting.course import flank, interval
from mer_pipeline.spotting.patterns import low_pass
from mer_pipeline.spotting.tracking import Tracks

# Half of the longest micro-expression, and the frames around it that say what rest is.
_AROUND_S = 0.5
_HOP_S = 0.25
# Standard deviation of the smoothing in time, in seconds, and at most in frames.
_SMOOTH_S, _SMOOTH_FRAMES = 0.01, 1.5
_ROUNDS = 3
# Frames at either end of a window that say where the skin is there.
_ENDS = 3
# In standard deviations of the noise.
_STANDS_OUT = 10.0


@dataclass(frozen=True)
class ClipInterval:
    """An expression, in 0-based frames of the clip.

    Attributes:
        salience: Height of the peak over the noise of the course.
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int
    salience: float


def spot(
    tracks: Tracks, fps: float, *, onset_frame: int | None = None, apex_frame: int | None = None
) -> ClipInterval | None:
    """The expression that stands out most.

    Returns:
        None where no stretch of two frames shows a face.
    """
    around = max(4, round(_AROUND_S * fps))
    best: ClipInterval | None = None
    for first, last in _stretches(tracks):
        if onset_frame is not None or apex_frame is not None:
            found = _within(tracks, first, last, fps, onset_frame, apex_frame)
            best = found if best is None or found.salience > best.salience else best
            continue
        hop = max(1, round(_HOP_S * fps))
        for begin in range(first, max(first + 1, last - around + 1), hop):
            found = _within(tracks, begin, min(begin + 2 * around, last), fps)
            # The same frames whatever window it was seen in: look again with the peak in the middle.
            for _ in range(_ROUNDS):
                middle = found.apex_frame - tracks.start
                centred = _within(tracks, max(first, middle - around), min(last, middle + around), fps)
                settled = centred.apex_frame == found.apex_frame
                found = centred
                if settled:
                    break
            best = found if best is None or found.salience > best.salience else best
    return best


def _stretches(tracks: Tracks) -> list[tuple[int, int]]:
    """First and last + 1 of every unbroken segment of two frames or more, relative to the start."""
    cuts = np.flatnonzero(np.diff(tracks.segment)) + 1
    edges = [0, *cuts.tolist(), len(tracks.segment)]
    return [(a, b) for a, b in itertools.pairwise(edges) if b - a > 1 and tracks.segment[a] >= 0]


def _within(
    tracks: Tracks, first: int, last: int, fps: float, onset_frame: int | None = None, apex_frame: int | None = None
) -> ClipInterval:
    """The strongest expression of frames first..last-1 (relative to the start of the tracks)."""
    begin = tracks.start + first
    top = None if apex_frame is None else int(np.clip(apex_frame - begin, 0, last - first - 1))
    course = _course(tracks.motion_px[first:last], tracks.trust[tracks.segment[first]], fps, top)
    onset, apex, offset = (begin + at for at in interval(course, top))
    if apex_frame is not None:
        apex = apex_frame
    if onset_frame is not None:
        onset, apex = onset_frame, max(apex, onset_frame)
    height = float(course.max())
    stands_out = height - max(float(course[:_ENDS].mean()), float(course[-_ENDS:].mean()))
    return ClipInterval(min(onset, apex), apex, max(offset, apex), max(stands_out, 0.25 * height) / _noise(course))


def _course(motion_px: npt.NDArray[np.float32], trust: Matrix, fps: float, top: int | None) -> Matrix:
    """How far the strongest pattern of motion is developed in every frame, (frames,): the length of all its motions.

    Args:
        motion_px: (frames, cells, 2).
        trust: (cells,).
        fps: Frames a second.
        top: The frame that shows the pattern; None for the one in which the skin has moved most.
    """
    used = trust > 0
    moves = motion_px[:, used].reshape(len(motion_px), -1).astype(np.float64)
    moves = low_pass(moves, min(_SMOOTH_FRAMES, _SMOOTH_S * fps)) * np.sqrt(np.repeat(trust[used], 2))
    if top is not None:
        return _projected(moves, top, fixed=True)
    course = _projected(moves, _farthest(moves))
    if int(np.argmax(course)) in (0, 1, len(moves) - 2, len(moves) - 1):
        # The skin has moved most at an end: a trend, unless nothing else stands out.
        line = np.linspace(0, 1, len(moves))[:, None]
        level = moves - (1 - line) * moves[:_ENDS].mean(0) - line * moves[-_ENDS:].mean(0)
        other = _projected(level, int(np.argmax((level**2).sum(1))))
        course = other if other.max() > _STANDS_OUT * _noise(other) else course
    return course


def _farthest(moves: Matrix) -> int:
    return int(np.argmax(((moves - moves[:_ENDS].mean(0)) ** 2).sum(1)))


def _projected(moves: Matrix, apex: int, fixed: bool = False) -> Matrix:
    """Every frame's share of the pattern that the frames around the apex show, from rest; (frames,).

    Args:
        moves: (frames, coordinates).
        apex: Where the pattern is looked for first.
        fixed: The pattern is that of the apex, not of the frames which it is strongest in.
    """
    rest, weight = moves[:_ENDS].mean(0), np.zeros(len(moves))
    weight[max(0, apex - 1) : apex + 2] = 1
    course = np.zeros(len(moves))
    for _ in range(_ROUNDS):
        pattern = weight @ (moves - rest)
        course = (moves - rest) @ pattern / max(float(np.linalg.norm(pattern)), 1e-9)
        top = apex if fixed else int(np.argmax(course))
        foot, _height = flank(course[: top + 1])
        # All frames before the movement say what rest is, except the very first: compared with itself, it has no noise.
        quiet = moves[1 : max(_ENDS, int(foot)) + 1]
        rest = quiet.mean(0) if len(quiet) else moves[0]
        if not fixed:
            weight = np.maximum(course - 0.5 * course[top], 0)
    return course


def _noise(course: Matrix) -> float:
    """Standard deviation of what changes from frame to frame, from second differences (var = 6 sigma^2)."""
    rough = np.abs(np.diff(course, 2))
    return float(1.4826 * np.median(rough) / np.sqrt(6)) + 1e-3 if rough.size else 1e-3
