"""Every expression of a stretch of tracks: where the skin leaves rest and comes back.

At each moment the skin is compared with where it is a little earlier and later (second difference in time), on scales
from a tenth of a second to two seconds: what drifts slowly cancels, what comes and goes stands out. The difference is
in units of what each cell usually shows on that scale, so that a mouth that talks all the time counts little, and the
region of the face (brows, eyes, nose, mouth, chin) that stands out most speaks for the frame. Each peak gives a
pattern; the course of that pattern in time (a matched filter, as for single clips) gives onset, apex and offset.

Left out are courses that do not come back (a step, a drift; see `held`). Given with their cause, and no expressions,
are patterns as smooth over the whole face as a turn of the head is, movements of lids and gaze alone, of a mouth that
speaks, and what moves farther than skin does (a hand).

The family is that of the training-free spotters by regional optical flow, for example He, "Research on Micro-Expression
Spotting Method Based on Optical Flow Features" (ACM Multimedia 2021, MEGC).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Matrix, quantile
from mer_pipeline.spotting.course import interval
from mer_pipeline.spotting.moves import Moves
from mer_pipeline.spotting.patterns import (
    blind_to_turns,
    coherence,
    is_smooth,
    lids_lead,
    matched,
    of_mouth,
    region_px,
    stands_out,
    without_eyes,
)
from mer_pipeline.spotting.signs import Cause, Signs

SCALES_S = (0.1, 0.16, 0.25, 0.4, 0.63, 1.0, 1.6)
# The longest expression that is spotted, and the frames that must be known on both sides of an apex to judge it.
LONGEST_MICRO_S, LONGEST_S, MARGIN_S = 0.5, 4.0, 4.5
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
COHERENT = 0.65
# After the peak the course must fall by this share of its height on the side where it falls less.
_COMES_BACK = 0.55
_SHORTEST_S, _FEW_FRAMES = 0.05, 2
# A course is read twice: by the pattern's own cells, which what happens elsewhere (a hand) does not reach; and blind to
# turns of the head. Both disturbances only lengthen or hide it, so the second counts where it is so much shorter.
_MUCH_SHORTER = 0.7
_OVERLAP = 0.3
_REST_S = 0.6
_REACH_S = 1.2
_BLOCK_S = 1.0
_RESTLESS = 0.35
# Faces relax no faster than this part of the time in which they tensed; what ends suddenly is a hand, or a cut.
_SUDDEN = 0.25
# Skin that moves farther is no micro-expression; farther than a cell (14 pixels), it was not followed, it has changed
# (teeth appear).
_MOST_MICRO_PX, FOLLOWED_PX = 8.0, 14.0
# A region of the face moves no farther than this. Wide smiles reach 10 pixels, a hand that covers the mouth 12 to 29.
MOST_PX = 11.0
# Skin around the eyes comes to rest this much later than lids.
_AROUND_EYES_S = 0.06


@dataclass(frozen=True)
class Candidate:
    """A movement that comes and goes.

    Attributes:
        onset, apex, offset: Frames, relative to the start of the tracks.
        strength: How far the cell that moves most is from rest at the apex, in pixels of a 224 pixel crop.
        salience: How far its region stands out of what it usually shows.
        cause: What it is if it is no expression; it hides what is under it.
        too_strong: Whether it moves a cell farther than such a short expression can: part of a longer one, or of what
            no expression is.
    """

    onset: int
    apex: int
    offset: int
    strength: float
    salience: float
    cause: Cause | None = None
    too_strong: bool = False

    @property
    def frames(self) -> int:
        """Its length."""
        return self.offset - self.onset

    @property
    def is_expression(self) -> bool:
        """Whether nothing speaks against it."""
        return self.cause is None and not self.too_strong

    def overlaps(self, other: Candidate) -> bool:
        """Whether one covers a good part of the other."""
        shared = min(self.offset, other.offset) - max(self.onset, other.onset)
        return shared > _OVERLAP * min(self.frames, other.frames)


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


class NoiseFloor:
    """What each cell shows on each scale when nothing happens: the median of the last minute.

    Args:
        kept: So many stretches are remembered.
        doubt: How much more than that counts as nothing; see `spotting.video.doubt_of`.
    """

    def __init__(self, kept: int = 30, doubt: float = 1.0) -> None:
        self.doubt, self._kept = doubt, kept
        self._seen: list[Matrix] = []

    def update(self, typical_px: Matrix) -> Matrix:
        """(scales, CELLS * CELLS) pixels, with a new stretch taken in.

        Args:
            typical_px: (scales, CELLS * CELLS) of that stretch; see `typical`.
        """
        self._seen = [*self._seen, typical_px][-self._kept :]
        return np.asarray(self.doubt * np.maximum(np.median(self._seen, 0), _LEAST_USUAL_PX))


def typical(moved_px: Iterable[Matrix]) -> Matrix:
    """(scales, CELLS * CELLS) the median over time of how far the skin moved.

    Args:
        moved_px: For each scale, (k, CELLS * CELLS, 2).
    """
    # The middle ones of the squares are those of the lengths; with time last they are found several times as fast.
    squares = (np.einsum("kcx,kcx->ck", moved, moved, order="C") for moved in moved_px)
    return np.array([_median_root(each) for each in squares])


def _median_root(squares: Matrix) -> Matrix:
    """(n,) median of the roots of (n, k) squares."""
    middle = squares.shape[1] // 2
    parted = np.partition(squares, middle)  # for two places at once it takes four times as long
    high = parted[:, middle]
    low = high if squares.shape[1] % 2 else parted[:, :middle].max(1)
    return np.asarray(0.5 * (np.sqrt(low) + np.sqrt(high)))


def find_intervals(moves: Moves, usual: NoiseFloor, signs: Signs | None = None) -> list[Candidate]:
    """Every movement of an unbroken stretch that comes and goes, in time order; those with a cause are no expressions.

    Args:
        moves: The stretch. Movements that cannot reach into the frames that are judged may be left out.
        usual: What was seen before, and takes this stretch in.
        signs: What is known beside the motion.
    """
    if len(moves) < 2 * _FEW_FRAMES + 1:
        return []
    scales = [_bend(moves, lag) for lag in _lags(moves.fps)]
    floor = usual.update(typical(scale.bend_px for scale in scales))
    found, stretch = [], _Stretch(moves, Signs.none(len(moves)) if signs is None else signs)
    for scale, least in zip(scales, floor, strict=True):
        for peak in stretch.peaks(scale, least):
            judged = stretch.judge(scale, peak, least)
            found += [] if judged is None else [judged]
    return _without_overlaps(found)


def energy(moves: Moves) -> Matrix:
    """How far the region that moves most is from rest in each frame that is judged, in pixels; for drawing.

    Rest is the median of a few seconds, so that an expression does not raise it.
    """
    (first, last), block = moves.judged, max(1, round(_BLOCK_S * moves.fps))
    blocks = [np.median(moves.px[at : at + block], 0) for at in range(0, len(moves), block)]
    rests = np.array([np.median(blocks[max(0, at - 2) : at + 3], 0) for at in range(len(blocks))])
    place = np.clip((np.arange(first, last) + 0.5) / block - 0.5, 0, len(rests) - 1)
    low = place.astype(int)
    part = (place - low)[:, None, None]
    rest = (1 - part) * rests[low] + part * rests[np.minimum(low + 1, len(rests) - 1)]
    return stands_out(moves.px[first:last] - rest, moves.trust, np.ones(len(moves.trust)))


def _lags(fps: float) -> list[int]:
    """The scales in frames; those that the frame rate can distinguish."""
    return sorted({max(_FEW_FRAMES, round(scale * fps)) for scale in SCALES_S})


def _bend(moves: Moves, lag: int) -> _Scale:
    at = range(0, len(moves), max(1, lag // _STEPS))
    rest, top = round(_REST_SHARE * lag), round(_TOP_SHARE * lag)
    bend, rests = moves.mean(at, -top, top + 1), moves.mean(at, -lag - rest, -lag + rest + 1)
    rests += moves.mean(at, lag - rest, lag + rest + 1)
    rests *= 0.5
    bend -= rests
    return _Scale(lag, np.array(at), bend)


@dataclass(frozen=True)
class _Stretch:
    """What candidates are judged by."""

    moves: Moves
    signs: Signs

    def peaks(self, scale: _Scale, usual_px: Matrix) -> list[int]:
        """Where a region stands out more than half a lag earlier and later; indices into the scale."""
        near = np.flatnonzero(self.moves.reaches(scale.at, self._reach(scale)))
        if not near.size:
            return []
        height = stands_out(scale.bend_px[near[0] : near[-1] + 1], self.moves.trust, usual_px)
        around = max(1, scale.lag // (2 * max(1, scale.lag // _STEPS)))
        window = np.ones((2 * around + 1, 1), np.uint8)
        highest = cv2.dilate(height[:, None], window, borderType=cv2.BORDER_REPLICATE)[:, 0]
        return [int(near[at]) for at in np.flatnonzero((height >= highest) & (height >= _STANDS_OUT))]

    def _reach(self, scale: _Scale) -> int:
        """The frames before and after a peak in which its movement is looked for."""
        return round(max(3 * scale.lag, _REACH_S * self.moves.fps))

    def judge(self, scale: _Scale, peak: int, usual_px: Matrix) -> Candidate | None:
        """The movement at a peak, or None where nothing stands out and comes back."""
        pattern = scale.bend_px[peak]
        fps, trust = self.moves.fps, self.moves.trust
        eyeless = without_eyes(trust)
        found = self._measured(scale, peak, usual_px, eyeless if lids_lead(pattern, trust) else trust)
        if found is None:
            return None
        within = self.signs.within(found.onset, found.offset)
        if any(_covers(frames, found, round(_AROUND_EYES_S * fps)) for cause, frames in within if cause == "blink"):
            return replace(found, cause="blink")
        if any(cause == "gaze" for cause, _ in within):
            # What is left without the skin that a glance draws on.
            left = self._measured(scale, peak, usual_px, eyeless)
            if left is None:
                return replace(found, cause="gaze")
            found = left
        most = _MOST_MICRO_PX if is_micro(found.frames, fps) else FOLLOWED_PX
        return replace(found, cause=self._cause(found, pattern), too_strong=found.strength > most)

    def _cause(self, found: Candidate, pattern: Matrix) -> Cause | None:
        trust, px = self.moves.trust, self.moves.px
        if region_px(pattern, trust) > MOST_PX or self.signs.is_hidden(found.onset, found.offset):
            return "hidden"
        from_rest = px[found.apex] - 0.5 * (px[found.onset] + px[found.offset])
        if is_smooth(pattern, trust) or is_smooth(from_rest, trust):
            return "turn"
        spoken = any(cause == "speech" for cause, _ in self.signs.within(found.onset, found.offset))
        return "speech" if spoken and of_mouth(pattern, trust) else None

    def _measured(self, scale: _Scale, peak: int, usual_px: Matrix, trust: Matrix) -> Candidate | None:
        pattern, at = scale.bend_px[peak], int(scale.at[peak])
        salience = float(stands_out(pattern[None], trust, usual_px)[0])
        strength = float((np.hypot(*pattern.T) * (trust > 0)).max())
        if salience < _STANDS_OUT or strength < _LEAST_PX or salience * coherence(pattern, trust) < COHERENT:
            return None
        reach = self._reach(scale)
        first, last = max(0, at - reach), min(len(self.moves), at + reach + 1)
        weights = matched(pattern, trust, usual_px)
        reads = np.stack([weights.ravel(), blind_to_turns(weights, pattern, trust).ravel()])
        found = None
        for course in reads @ self.moves.px[first:last].reshape(last - first, -1).T:
            other = _measured(course, at - first, scale.lag, self.moves.fps, strength, salience)
            if found is None or (other is not None and other.frames < _MUCH_SHORTER * found.frames):
                found = other
        if found is None:
            return None
        return replace(found, onset=first + found.onset, apex=first + found.apex, offset=first + found.offset)


def _covers(frames: tuple[int, int], found: Candidate, around: int) -> bool:
    return frames[0] - around <= found.onset and found.offset <= frames[1] + around


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
    if outside.size and quantile(np.abs(outside - rest), 0.5) > _RESTLESS * min(rise, fall):
        return None
    return Candidate(onset, apex, offset, strength * min(rise, fall), salience)


def _without_overlaps(found: Iterable[Candidate]) -> list[Candidate]:
    """Of those that overlap the one that stands out most."""
    kept: list[Candidate] = []
    for each in sorted(found, key=lambda each: -each.salience):
        if not any(each.overlaps(other) for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda each: each.onset)
