"""Patterns of motion over the face: one motion (x, y) for each cell, (CELLS * CELLS, 2), and what can be said of it."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from mer_pipeline.arrays import Mask, Matrix
from mer_pipeline.faces.registration import CELLS

# Boxes of cells (rows, columns; ends out) in the canonical face: brows, lids and cheeks, nose, mouth, chin.
_REGIONS = (
    (1, 5, 3, 8), (1, 5, 8, 13), (4, 9, 3, 7), (4, 9, 9, 13), (5, 10, 6, 10), (9, 13, 3, 8), (9, 13, 8, 13),
    (12, 16, 5, 11),
)  # fmt: skip
# What they are on, sides being the person's.
REGION_NAMES = ("brow_right", "brow_left", "cheek_right", "cheek_left", "nose", "mouth_right", "mouth_left", "chin")
_EYES = ((5, 7, 3, 7), (5, 7, 9, 13))
_AROUND_EYES = ((3, 9, 2, 14),)
_MOUTH_ROW = 9
# The share of a pattern that a smooth field (second order in x and y) explains: turns 0.75 and more, expressions 0.45
# and less on synthetic faces.
_SMOOTH_SHARE = 0.62


def stands_out(bend_px: Matrix, trust: Matrix, usual_px: Matrix) -> Matrix:
    """(k,) the region that stands out most: the root of its mean energy, in units of what is usual."""
    weights, whole = _weighed(trust.tobytes())
    if not whole.size:
        return np.zeros(len(bend_px))
    x, y = bend_px[..., 0], bend_px[..., 1]
    energy = (x * x + y * y) / usual_px**2
    return np.asarray(np.sqrt((energy @ weights / whole).max(1)))


def region_means(motion_px: Matrix, trust: Matrix) -> Matrix:
    """(regions, 2) the mean motion x, y of each of `REGION_NAMES`; NaN where none of its skin is followed.

    Args:
        motion_px: (CELLS * CELLS, 2).
        trust: (CELLS * CELLS,) as in `Tracks`.
    """
    weights = _regions() * trust
    whole = weights.sum(1, keepdims=True)
    return np.asarray(np.where(whole > 0, weights @ motion_px / np.maximum(whole, 1e-9), np.nan))


def coherence(pattern: Matrix, trust: Matrix) -> float:
    """Correlation of the motion of neighbouring cells, -1 to 1."""
    moved = (pattern * np.sqrt(trust)[:, None]).reshape(CELLS, CELLS, 2)
    beside = float((moved[1:] * moved[:-1]).sum() + (moved[:, 1:] * moved[:, :-1]).sum())
    return beside / max(2 * float((moved**2).sum()), 1e-9)


def is_smooth(pattern: Matrix, trust: Matrix) -> bool:
    """Whether a field of second order over the whole face explains most of a pattern."""
    root = np.sqrt(trust)
    moved = pattern * root[:, None]
    return float(((_smooth_basis(root).T @ moved) ** 2).sum()) > _SMOOTH_SHARE * float((moved**2).sum())


@functools.lru_cache(maxsize=1)
def around_eyes() -> Mask:
    """(CELLS * CELLS,) the cells that lids and gaze draw on."""
    return np.asarray(_boxes(_AROUND_EYES).any(0))


def without_eyes(trust: Matrix) -> Matrix:
    """Trust without the cells around the eyes."""
    return np.where(around_eyes(), 0.0, trust)


def lids_lead(pattern: Matrix, trust: Matrix) -> bool:
    """Whether the lids move more than any skin does."""
    eyes = _lids() & (trust == 0)
    lengths = np.hypot(*pattern.T)
    return bool(eyes.any()) and float(np.sqrt((lengths[eyes] ** 2).mean())) >= float(lengths[trust > 0].max())


@functools.lru_cache(maxsize=1)
def _lids() -> Mask:
    return np.asarray(_boxes(_EYES).any(0))


def of_mouth(pattern: Matrix, trust: Matrix) -> bool:
    """Whether most of a pattern's energy lies below the nose."""
    energy = (pattern**2).sum(-1) * trust
    return bool(float(energy[_MOUTH_ROW * CELLS :].sum()) > 0.5 * float(energy.sum()))


def region_px(pattern: Matrix, trust: Matrix) -> float:
    """How far the region that moves most has moved: the root of its mean square, in pixels of a 224 pixel crop."""
    return float(stands_out(pattern[None], trust, np.ones(len(trust)))[0])


def matched(pattern: Matrix, trust: Matrix, usual_px: Matrix, most_px: float = np.inf) -> Matrix:
    """What motion is multiplied with, cell by cell, to read how far a pattern is developed; (CELLS * CELLS, 2).

    Cells count by what they show beyond the usual: noise would only blur the course. What seems to move farther than
    `most_px` has not been followed, it has changed (teeth in a mouth that opens).
    """
    lengths = np.hypot(*pattern.T) * (trust > 0)
    beyond = np.maximum(0, 1 - (1.5 * usual_px / np.maximum(lengths, 1e-9)) ** 2) * (lengths <= most_px)
    weighted = pattern * (trust / usual_px**2 * beyond)[:, None]
    return np.asarray(weighted / max(float((weighted * pattern).sum()), 1e-9))


def blind_to_turns(weights: Matrix, pattern: Matrix, trust: Matrix) -> Matrix:
    """What motion is multiplied with, without its part that is a smooth field over the face; (CELLS * CELLS, 2).

    The head turns slowly, and its turn is such a field: read without it, the course of an expression comes back to
    rest while the head does not.

    Args:
        weights: As `matched` gives them: zero where the trust is.
        pattern: (CELLS * CELLS, 2) whose height stays 1.
        trust: (CELLS * CELLS,) as in `Tracks`.
    """
    basis = _smooth_basis((trust > 0).astype(np.float64))
    left = weights - basis @ (basis.T @ weights)
    height = float((left * pattern).sum())
    return left / height if height > 0 else weights


def low_pass(moves: Matrix, sigma: float) -> Matrix:
    """Along the first axis; sigma in frames."""
    rows = 2 * round(3 * sigma) + 1
    if rows < 3 or not len(moves):
        return moves
    flat = moves.reshape(len(moves), -1)
    smooth = cv2.GaussianBlur(flat, (1, rows), sigma, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.float64).reshape(moves.shape)


def _boxes(boxes: tuple[tuple[int, int, int, int], ...]) -> Mask:
    """(boxes, CELLS * CELLS)."""
    masks = np.zeros((len(boxes), CELLS, CELLS), bool)
    for mask, (top, bottom, left, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return masks.reshape(len(boxes), -1)


@functools.lru_cache(maxsize=1)
def _regions() -> Matrix:
    return _boxes(_REGIONS).astype(np.float64)


@functools.lru_cache(maxsize=16)
def _weighed(trust: bytes) -> tuple[Matrix, Matrix]:
    """(CELLS * CELLS, n) weights of the cells in the regions that are seen, and their sums."""
    weights = _regions() * np.frombuffer(trust)
    whole = weights.sum(1)
    return weights[whole > 2].T, whole[whole > 2]


def _smooth_basis(weights: Matrix) -> Matrix:
    """(CELLS * CELLS, 6) what spans weights times every polynomial of x and y up to the second order."""
    return _spanning(weights.tobytes())


@functools.lru_cache(maxsize=16)
def _spanning(weights: bytes) -> Matrix:
    at = (np.arange(CELLS) - (CELLS - 1) / 2) / (CELLS / 2)
    x, y = (grid.ravel() for grid in np.meshgrid(at, at))
    fields = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1)
    return np.asarray(np.linalg.qr(fields * np.frombuffer(weights)[:, None])[0])
