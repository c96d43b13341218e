"""Every expression of a stretch of tracks: where the skin leaves rest and comes back.

At each moment the skin is compared with where it is a little earlier and later (second difference in time), on scales
from a tenth of a second to two seconds: what drifts slowly cancels, what comes and goes stands out. The difference is
in units of what each cell usually shows on that scale, so that a mouth that talks all the time counts little, and the
region of the face (brows, eyes, nose, mouth, chin) that stands out most speaks for the frame. Each peak gives a
pattern; the course of that pattern in time (a matched filter, as for single clips) gives onset, apex and offset.

Rejected are courses that do not come back (a step, a drift), patterns as smooth over the whole face as a turn of the
head is, and movements of the lids alone (blinks).

The family is that of the training-free spotters by regional optical flow, for example He, "Research on Micro-Expression
Spotting Method Based on Optical Flow Features" (ACM Multimedia 2021, MEGC).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Mask, Matrix
from mer_pipeline.faces.registration import CELLS
from mer_pipeline.spotting.clip import interval

SCALES_S = (0.1, 0.16, 0.25, 0.4, 0.63, 1.0, 1.6)
# The longest expression that is spotted, and the frames that must be known on both sides of an apex to judge it.
LONGEST_MICRO_S, LONGEST_S, MARGIN_S = 0.5, 4.0, 4.5
_SMOOTH_S = 0.012
# A scale is looked at this many times in its own length; rests and tops are averaged over this share of it to both
# sides.
_STEPS, _REST_SHARE, _TOP_SHARE = 6, 0.15, 0.08
# How far a region stands out of what it usually shows, and how far the skin moves at least, in pixels of a 224 pixel
# crop.
_STANDS_OUT = 2.9
_LEAST_PX = 0.25
_LEAST_USUAL_PX = 0.04
# Skin hangs together and noise does not, above all that of compression, whose key frames change the picture once a
# second. At least this much of standing out times the correlation of neighbouring cells: on synthetic faces expressions
# reach 0.8 and more, false alarms by compression 0.5 and less.
_COHERENT = 0.65
# After the peak the course must fall by this share of its height on the side where it falls less.
_COMES_BACK = 0.55
_SHORTEST_S, _FEW_FRAMES = 0.05, 2
# The share of a pattern that a smooth field (second order in x and y) explains: turns 0.75 and more, expressions 0.45
# and less on synthetic faces.
_SMOOTH_SHARE = 0.62
_OVERLAP = 0.3
_REST_S = 0.6
_BLOCK_S = 1.0
_RESTLESS = 0.35
# Faces relax no faster than this part of the time in which they tensed; what ends suddenly is a hand, or a cut.
_SUDDEN = 0.25
# Skin that moves farther is no micro-expression, or is none at all: motion is measured in cells of 14 pixels, and what
# moves farther than one is a hand before the face, or a head that was lost.
_MOST_MICRO_PX, _MOST_PX = 8.0, 14.0
# Boxes of cells (rows, columns; ends out) in the canonical face: brows, lids and cheeks, nose, mouth, chin.
_REGIONS = (
    (1, 5, 3, 8), (1, 5, 8, 13), (4, 9, 3, 7), (4, 9, 9, 13), (5, 10, 6, 10), (9, 13, 3, 8), (9, 13, 8, 13),
    (12, 16, 5, 11),
)  # fmt: skip
_EYES = ((5, 7, 3, 7), (5, 7, 9, 13))
_AROUND_EYES = ((3, 9, 2, 14),)


@dataclass(frozen=True)
class Candidate:
    """A movement that comes and goes.

    Attributes:
        onset, apex, offset: Frames, relative to the start of the tracks.
        strength: How far the cell that moves most is from rest at the apex, in pixels of a 224 pixel crop.
        salience: How far its region stands out of what it usually shows.
        gross: Whether it is a turn of the head or a hand before the face, no expression; it hides what is under it.
    """

    onset: int
    apex: int
    offset: int
    strength: float
    salience: float
    gross: bool = False

    def overlaps(self, other: Candidate) -> bool:
        """Whether one covers a good part of the other."""
        shared = min(self.offset, other.offset) - max(self.onset, other.onset)
        return shared > _OVERLAP * min(self.offset - self.onset, other.offset - other.onset)


@dataclass(frozen=True)
class _Scale:
    """The second difference of all tracks at one scale.

    Attributes:
        lag: In frames.
        at: (k,) frames.
        bend_px: (k, CELLS * CELLS, 2) skin minus the mean of the rests before and after.
    """

    lag: int
    at: npt.NDArray[np.int64]
    bend_px: Matrix

    @property
    def usual_px(self) -> Matrix:
        """(CELLS * CELLS,) median length."""
        return np.asarray(np.median(np.hypot(*np.moveaxis(self.bend_px, -1, 0)), 0))


class NoiseFloor:
    """What each cell shows on each scale when nothing happens: the median of the last minute."""

    def __init__(self, kept: int = 30) -> None:
        self._kept = kept
        self._seen: list[Matrix] = []

    def update(self, scales: list[_Scale]) -> Matrix:
        """(scales, CELLS * CELLS) pixels, with a new stretch taken in."""
        self._seen = [*self._seen, np.array([scale.usual_px for scale in scales])][-self._kept :]
        return np.asarray(np.maximum(np.median(self._seen, 0), _LEAST_USUAL_PX))


def find_intervals(motion_px: npt.NDArray[np.float32], trust: Matrix, fps: float, usual: NoiseFloor) -> list[Candidate]:
    """Every expression of an unbroken stretch, in time order.

    Args:
        motion_px: (frames, CELLS * CELLS, 2) as in `Tracks`.
        trust: (CELLS * CELLS,) as in `Tracks`.
        fps: Frames a second.
        usual: What was seen before, and takes this stretch in.
    """
    if len(motion_px) < 2 * _FEW_FRAMES + 1:
        return []
    moves = _low_pass(motion_px.astype(np.float64), _SMOOTH_S * fps)
    # Means over some frames are read from running sums.
    sums = np.concatenate([np.zeros((1, *moves.shape[1:])), np.cumsum(moves, 0)])
    scales = [_bend(sums, lag) for lag in _lags(fps)]
    floor = usual.update(scales)
    found = []
    for scale, least in zip(scales, floor, strict=True):
        for peak in _peaks(scale, trust, least):
            judged = _judge(moves, trust, fps, scale, peak, least)
            found += [] if judged is None else [judged]
    return _without_overlaps(found)


def energy(motion_px: npt.NDArray[np.float32], trust: Matrix, fps: float) -> Matrix:
    """How far the region that moves most is from rest in each frame, (frames,) pixels; for drawing.

    Rest is the median of a few seconds, so that an expression does not raise it.
    """
    n, block = len(motion_px), max(1, round(_BLOCK_S * fps))
    blocks = [np.median(motion_px[at : at + block], 0) for at in range(0, n, block)]
    rests = np.array([np.median(blocks[max(0, at - 2) : at + 3], 0) for at in range(len(blocks))])
    place = np.clip((np.arange(n) + 0.5) / block - 0.5, 0, len(rests) - 1)
    low = place.astype(int)
    part = (place - low)[:, None, None]
    rest = (1 - part) * rests[low] + part * rests[np.minimum(low + 1, len(rests) - 1)]
    return stands_out(motion_px - rest, trust, np.ones(len(trust)))


def _low_pass(moves: Matrix, sigma: float) -> Matrix:
    """Along time; (frames, CELLS * CELLS, 2)."""
    rows = 2 * round(3 * sigma) + 1
    if rows < 3:
        return moves
    flat = moves.reshape(len(moves), -1)
    smooth = cv2.GaussianBlur(flat, (1, rows), sigma, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.float64).reshape(moves.shape)


def _lags(fps: float) -> list[int]:
    """The scales in frames; those that the frame rate can distinguish."""
    return sorted({max(_FEW_FRAMES, round(scale * fps)) for scale in SCALES_S})


def _bend(sums: Matrix, lag: int) -> _Scale:
    n = len(sums) - 1
    at = np.arange(0, n, max(1, lag // _STEPS))

    def mean(frames: npt.NDArray[np.int64], around: int) -> Matrix:
        first, last = np.clip(frames - around, 0, n - 1), np.clip(frames + around, 0, n - 1) + 1
        return np.asarray((sums[last] - sums[first]) / (last - first)[:, None, None])

    around_rest, around_top = round(_REST_SHARE * lag), round(_TOP_SHARE * lag)
    rests = 0.5 * (mean(at - lag, around_rest) + mean(at + lag, around_rest))
    return _Scale(lag, at, mean(at, around_top) - rests)


def _peaks(scale: _Scale, trust: Matrix, usual_px: Matrix) -> list[int]:
    """Where a region stands out more than half a lag earlier and later; indices into the scale."""
    height = stands_out(scale.bend_px, trust, usual_px)
    around = max(1, scale.lag // (2 * max(1, scale.lag // _STEPS)))
    window = np.ones((2 * around + 1, 1), np.uint8)
    highest = cv2.dilate(height[:, None], window, borderType=cv2.BORDER_REPLICATE)[:, 0]
    return [int(at) for at in np.flatnonzero((height >= highest) & (height >= _STANDS_OUT))]


def stands_out(bend_px: Matrix, trust: Matrix, usual_px: Matrix) -> Matrix:
    """(k,) the region that stands out most: the root of its mean energy, in units of what is usual."""
    energy = (bend_px**2).sum(-1) / usual_px**2
    weights = _regions() * trust
    enough = weights.sum(1) > 2
    means = energy @ weights[enough].T / weights[enough].sum(1)
    return np.sqrt(means.max(1)) if enough.any() else np.zeros(len(bend_px))


def _judge(moves: Matrix, trust: Matrix, fps: float, scale: _Scale, peak: int, usual_px: Matrix) -> Candidate | None:
    """The expression at a peak, or None where it is no expression."""
    pattern, at = scale.bend_px[peak], int(scale.at[peak])
    trust = _without_lids(pattern, trust)
    salience = float(stands_out(pattern[None], trust, usual_px)[0])
    lengths = np.hypot(*pattern.T) * (trust > 0)
    if salience < _STANDS_OUT or lengths.max() < _LEAST_PX or salience * _coherence(pattern, trust) < _COHERENT:
        return None
    reach = round(max(3 * scale.lag, 1.2 * fps))
    first, last = max(0, at - reach), min(len(moves), at + reach + 1)
    # Cells count by what they show beyond the usual: noise would only blur the course.
    weight = trust / usual_px**2 * np.maximum(0, 1 - (1.5 * usual_px / np.maximum(lengths, 1e-9)) ** 2)
    filter_ = pattern * weight[:, None]
    course = (moves[first:last] * filter_).sum((1, 2)) / max(float((filter_ * pattern).sum()), 1e-9)
    found = _measured(course, at - first, scale.lag, fps, float(lengths.max()), salience)
    if found is None:
        return None
    onset, apex, offset = (first + frame for frame in (found.onset, found.apex, found.offset))
    from_rest = moves[apex] - 0.5 * (moves[onset] + moves[offset])
    most = _MOST_MICRO_PX if is_micro(offset - onset, fps) else _MOST_PX
    gross = found.strength > most or _is_smooth(pattern, trust) or _is_smooth(from_rest, trust)
    return replace(found, onset=onset, apex=apex, offset=offset, gross=gross)


def is_micro(frames: int, fps: float) -> bool:
    """Whether an expression is a micro-expression: from rest to rest at most half a second, give or take a frame.

    >>> is_micro(16, 30), is_micro(17, 30)
    (True, False)
    """
    return frames - 1 <= LONGEST_MICRO_S * fps


def _measured(course: Matrix, near: int, lag: int, fps: float, strength: float, salience: float) -> Candidate | None:
    """Read a course (1 is the pattern's own height) around a peak."""
    low, high = max(0, near - lag), min(len(course), near + lag + 1)
    top = low + int(np.argmax(course[low:high]))
    onset, apex, offset = interval(course, top)
    before, after = (float(part.min()) for part in (course[max(0, onset - lag) : top + 1], course[top : offset + lag]))
    rise, fall = float(course[top]) - before, float(course[top]) - after
    if min(rise, fall) < _COMES_BACK * max(rise, fall, 0.5):
        return None
    length = offset - onset
    if length < max(_FEW_FRAMES, _SHORTEST_S * fps) or length > LONGEST_S * fps:
        return None
    if offset - apex < _SUDDEN * (apex - onset):
        return None
    # The rest between two expressions bends the other way; beyond it the course comes up again on both sides.
    reach = round(max(length, _REST_S * fps))
    beyond = course[max(0, onset - reach) : onset], course[offset + 1 : offset + 1 + reach]
    comes_up = [bool(part.size) and float(part.max()) > course[top] - 0.4 * min(rise, fall) for part in beyond]
    if all(comes_up):
        return None
    # Rest is where the course is nearly always; a face that talks, or a pattern that is always there, has none.
    outside = np.concatenate([course[:onset], course[offset + 1 :]])
    rest = float(course[top]) - min(rise, fall)
    if outside.size and float(np.median(np.abs(outside - rest))) > _RESTLESS * min(rise, fall):
        return None
    return Candidate(onset, apex, offset, strength * min(rise, fall), salience)


def _coherence(pattern: Matrix, trust: Matrix) -> float:
    """Correlation of the motion of neighbouring cells, -1 to 1."""
    moved = (pattern * np.sqrt(trust)[:, None]).reshape(CELLS, CELLS, 2)
    beside = float((moved[1:] * moved[:-1]).sum() + (moved[:, 1:] * moved[:, :-1]).sum())
    return beside / max(2 * float((moved**2).sum()), 1e-9)


def _is_smooth(pattern: Matrix, trust: Matrix) -> bool:
    """Whether a field of second order over the whole face explains most of a pattern."""
    used = trust > 0
    root = np.sqrt(trust[used])[:, None]
    basis = np.linalg.qr(_smooth_fields()[used] * root)[0]
    moved = pattern[used] * root
    return float(((basis.T @ moved) ** 2).sum()) > _SMOOTH_SHARE * float((moved**2).sum())


def _without_lids(pattern: Matrix, trust: Matrix) -> Matrix:
    """Trust without the cells around the eyes where lids move more than any skin: a blink draws on them."""
    eyes = _boxes(_EYES).any(0) & (trust == 0)
    lengths = np.hypot(*pattern.T)
    lids = float(np.sqrt((lengths[eyes] ** 2).mean())) if eyes.any() else 0.0
    if lids < float(lengths[trust > 0].max()):
        return trust
    return np.where(_boxes(_AROUND_EYES).any(0), 0.0, trust)


def _without_overlaps(found: Iterable[Candidate]) -> list[Candidate]:
    """Of those that overlap the one that stands out most; what is gross is left out in the end."""
    kept: list[Candidate] = []
    for each in sorted(found, key=lambda each: -each.salience):
        if not any(each.overlaps(other) for other in kept):
            kept.append(each)
    return sorted((each for each in kept if not each.gross), key=lambda each: each.onset)


def _boxes(boxes: tuple[tuple[int, int, int, int], ...]) -> Mask:
    """(boxes, CELLS * CELLS)."""
    masks = np.zeros((len(boxes), CELLS, CELLS), bool)
    for mask, (top, bottom, left, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return masks.reshape(len(boxes), -1)


@functools.lru_cache(maxsize=1)
def _regions() -> Matrix:
    return _boxes(_REGIONS).astype(np.float64)


@functools.lru_cache(maxsize=1)
def _smooth_fields() -> Matrix:
    """(CELLS * CELLS, 6) polynomials of x and y up to the second order."""
    at = (np.arange(CELLS) - (CELLS - 1) / 2) / (CELLS / 2)
    x, y = (grid.ravel() for grid in np.meshgrid(at, at))
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1)
