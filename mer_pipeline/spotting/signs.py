"""What moves a face and is no expression: lids that fall, a glance aside, speech, a hand or an object before the face.

Lids and irises are read from landmarks, speech from the rhythm in which lips part and close, and what is hidden from
the detector's own doubt. (Turns of the head, and what moves farther than skin can, show in the pattern of a movement;
see `intervals`.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Mask, Matrix
from mer_pipeline.faces.registration import CELLS
from mer_pipeline.spotting.patterns import around_eyes, low_pass

Cause = Literal["blink", "gaze", "speech", "turn", "hidden"]
FrameSpan = tuple[int, int]  # first and last, both in

# A blink: the eyes' opening falls by this share, and by this much of the eyes' width, and is back within this time
# (0.1 to 0.4 s, Stern et al., Psychophysiology 1984; slow ones 0.5 s). It lasts while this share is missing.
_BLINK_SHARE, _BLINK_LEAST, _BLINK_S, _BLINK_ENDS = 0.25, 0.05, 0.6, 0.12
# The irises move by this much of the eyes' width within this time.
_GLANCE, _GLANCE_S = 0.06, 0.12
# What belongs to it before and after: landmarks are asked for as often.
_AROUND_S = 0.04
# Lips part and close this often in this time, each time by this many pixels of a 224 pixel crop; between two of these
# movements no more time passes than this. Syllables come at 2 to 8 Hz.
_TURNS, _TURNS_S, _PARTED_PX, _PAUSE_S = 5, 1.5, 1.0, 0.4
_LIPS_SMOOTH_S, _SYLLABLE_S = 0.02, 0.25
# The mouth's corner cells in the canonical face: (rows, columns) of upper lip, and of lower lip and chin.
_UPPER, _LOWER = (slice(9, 11), slice(6, 10)), (slice(12, 15), slice(6, 10))
# Below this score of the detector a good part of the face is not seen. A bare face scores 33 to 35, a laughing one 20
# to 28, one behind a hand 13 to 22: measured on one film.
LEAST_SCORE = 20.0


@dataclass(frozen=True)
class Signs:
    """What is known of a stretch of frames beside its motion; frames count from its first.

    Attributes:
        causes: What moves the face and is no expression, each with its first and last frame, in time order.
        score: (frames,) how sure the detector is of the face; NaN where it does not say.
    """

    causes: tuple[tuple[Cause, FrameSpan], ...]
    score: Matrix

    @classmethod
    def none(cls, frames: int) -> Signs:
        """Nothing is known."""
        return cls((), np.full(frames, np.nan))

    def within(self, first: int, last: int) -> list[tuple[Cause, FrameSpan]]:
        """The causes that share a frame with a stretch."""
        return [(cause, (a, b)) for cause, (a, b) in self.causes if a <= last and b >= first]

    def is_hidden(self, first: int, last: int) -> bool:
        """Whether a good part of the face is not seen in most frames of a stretch."""
        known = self.score[first : last + 1]
        return bool(known.size) and float(np.median(known)) < LEAST_SCORE  # NaN is not


def read_signs(motion_px: npt.NDArray[np.float32], trust: Matrix, seen: Matrix, fps: float) -> Signs:
    """Read a stretch of frames.

    Args:
        motion_px: (frames, CELLS * CELLS, 2) as in `Tracks`.
        trust: (CELLS * CELLS,) as in `Tracks`.
        seen: (frames, 3) opening of the eyes, gaze and score as in `Seen`.
        fps: Frames a second.
    """
    opening, gaze, score = seen.T
    eyes = blinks(opening, fps)
    causes: list[tuple[Cause, FrameSpan]] = [("blink", frames) for frames in eyes]
    causes += [("gaze", frames) for frames in glances(gaze, fps) if not _meets(frames, eyes)]
    causes += [("speech", frames) for frames in speech(motion_px, trust, fps)]
    return Signs(tuple(sorted(causes, key=lambda each: each[1])), score)


def bridged(motion_px: npt.NDArray[np.float32], signs: Signs, fps: float) -> npt.NDArray[np.float32]:
    """Motion without what blinks draw on: the skin around the eyes moves evenly from before each to after it.

    Args:
        motion_px: (frames, CELLS * CELLS, 2).
        signs: Of these frames.
        fps: Frames a second.
    """
    found, near = motion_px.copy(), around_eyes()
    margin = max(1, round(_AROUND_S * fps))
    for cause, (first, last) in signs.causes:
        before, after = max(0, first - margin), min(len(found) - 1, last + margin)
        if cause == "blink" and after > before:
            part = np.linspace(0, 1, after - before + 1, dtype=np.float32)[:, None, None]
            ends = found[before, near], found[after, near]
            found[before : after + 1, near] = (1 - part) * ends[0] + part * ends[1]
    return found


def blinks(opening: Matrix, fps: float) -> list[FrameSpan]:
    """Where the lids fall and rise again.

    Args:
        opening: (frames,) height of the eyes over their width.
        fps: Frames a second.

    >>> blinks(np.array([0.3] * 20 + [0.2, 0.05, 0.15, 0.25] + [0.3] * 20), 30.0)
    [(20, 23)]
    """
    if len(opening) < 3 or not np.isfinite(opening).all():
        return []
    # What the eyes are open without any dip that is shorter (a grey-value closing along time).
    window = np.ones((2 * max(1, round(_BLINK_S * fps / 2)) + 1, 1), np.uint8)
    curve = opening.astype(np.float32)[:, None]
    opened = cv2.morphologyEx(curve, cv2.MORPH_CLOSE, window, borderType=cv2.BORDER_REPLICATE)[:, 0].astype(np.float64)
    missing = opened - opening
    share = missing / np.maximum(opened, 1e-9)
    closed = (share > _BLINK_SHARE) & (missing > _BLINK_LEAST)
    return [span for span in _runs(share > _BLINK_ENDS) if closed[span[0] : span[1] + 1].any()]


def glances(gaze: Matrix, fps: float) -> list[FrameSpan]:
    """Where the irises jump.

    Args:
        gaze: (frames,) where they are in widths of the eye; NaN where that is not known.
        fps: Frames a second.

    >>> glances(np.array([0.0] * 30 + [0.05, 0.1] + [0.1] * 30), 100.0)
    [(16, 44)]
    """
    lag = max(1, round(_GLANCE_S * fps))
    if len(gaze) <= lag:
        return []
    jumps = np.flatnonzero(np.abs(gaze[lag:] - gaze[:-lag]) > _GLANCE)
    around = round(_AROUND_S * fps)
    moves = np.zeros(len(gaze), bool)
    for at in jumps:
        moves[max(0, at - around + 1) : at + lag + around] = True
    return list(_runs(moves))


def speech(motion_px: npt.NDArray[np.float32], trust: Matrix, fps: float) -> list[FrameSpan]:
    """Where lips part and close in the rhythm of syllables.

    Args:
        motion_px: (frames, CELLS * CELLS, 2).
        trust: (CELLS * CELLS,).
        fps: Frames a second.
    """
    upper, lower = (_cells(box) & (trust > 0) for box in (_UPPER, _LOWER))
    if not (upper.any() and lower.any()):
        return []
    parted = motion_px[:, lower, 1].mean(1) - motion_px[:, upper, 1].mean(1)
    turns = _turning_points(low_pass(parted.astype(np.float64)[:, None], _LIPS_SMOOTH_S * fps)[:, 0])
    found: list[FrameSpan] = []
    for run in _split(turns, _PAUSE_S * fps):
        dense = [at for at in range(len(run) - _TURNS + 1) if run[at + _TURNS - 1] - run[at] <= _TURNS_S * fps]
        if dense:
            around = round(_SYLLABLE_S * fps)  # the first and the last movement have one turn alone
            found.append((max(0, run[dense[0]] - around), min(len(parted) - 1, run[dense[-1] + _TURNS - 1] + around)))
    return found


def _turning_points(course: Matrix) -> list[int]:
    """Where a course turns round, each time after at least `_PARTED_PX`."""
    turns: list[int] = []
    top = low = 0
    rising: bool | None = None
    for at, value in enumerate(course):
        top, low = (at if value > course[top] else top), (at if value < course[low] else low)
        if rising is not False and course[top] - value >= _PARTED_PX:
            turns += [top] if rising else []
            rising, low = False, at
        elif rising is not True and value - course[low] >= _PARTED_PX:
            turns += [low] if rising is False else []
            rising, top = True, at
    return turns


def _split(at: Sequence[int], gap: float) -> Iterator[list[int]]:
    """Runs of frames that follow each other within a gap."""
    run: list[int] = []
    for frame in at:
        if run and frame - run[-1] > gap:
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


def _runs(mask: Mask) -> Iterator[FrameSpan]:
    """First and last of every stretch that is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from ((int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _meets(frames: FrameSpan, others: Sequence[FrameSpan]) -> bool:
    return any(a <= frames[1] and b >= frames[0] for a, b in others)


def _cells(box: tuple[slice, slice]) -> Mask:
    mask = np.zeros((CELLS, CELLS), bool)
    mask[box] = True
    return mask.ravel()
