"""Statistics of axes: angles that count modulo 180 degrees, worked out on doubled angles (Fisher 1993, section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

_SHUFFLES = 2000
_WELL_DEG = (10.0, 14.0, 20.0, 28.0)  # standard deviations that a well may have


def _doubled(angles_deg: Sequence[float]) -> npt.NDArray[np.complex128]:
    return np.asarray(np.exp(2j * np.deg2rad(np.asarray(angles_deg, np.float64))), np.complex128)


def axial_mean_deg(angles_deg: Sequence[float]) -> float:
    """The mean axis, in [0, 180).

    >>> round(axial_mean_deg([170.0, 10.0]) % 180, 6) % 180
    0.0
    """
    return math.degrees(float(np.angle(_doubled(angles_deg).mean()))) / 2 % 180


def axial_sd_deg(angles_deg: Sequence[float]) -> float:
    """Standard deviation about the mean axis: half that of the doubled angles; 52 at random, at most 81.

    >>> round(axial_sd_deg([45.0, 45.0, 45.0]), 6)
    0.0
    """
    length = min(float(abs(_doubled(angles_deg).mean())), 1.0)
    return min(math.degrees(math.sqrt(-2 * math.log(max(length, 0.018)))) / 2 + 0.0, 81.0)


def deviation_deg(angle_deg: float, axis_deg: float) -> float:
    """From an axis to an angle, in [-90, 90).

    >>> deviation_deg(170.0, 0.0)
    -10.0
    """
    return (angle_deg - axis_deg + 90) % 180 - 90


def p_against(angles_deg: Sequence[float], axis_deg: float) -> float | None:
    """Two-sided t-test of deviations from an axis, as FaceSleuth tests its angles against 90.

    Folds share most of their training clips, so that it is far too sure. None with fewer than three angles, or where
    all are equal.
    """
    mean = axial_mean_deg(angles_deg)  # about which deviations have no jump, as they have 90 degrees from an axis
    found = [deviation_deg(mean, axis_deg) + deviation_deg(angle, mean) for angle in angles_deg]
    if len(found) < 3 or max(found) - min(found) < 1e-6:
        return None
    return float(stats.ttest_1samp(found, 0.0).pvalue)


def share_of_start(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """How much of the spread of axes their group explains, and how often dealing groups at random explains as much.

    Args:
        groups: The axes that were learned from each start, in degrees.

    Returns:
        A share, 0 to 1 (of the spread 1 - R on doubled angles), and the p-value of a permutation test.
    """
    sizes, every = [len(group) for group in groups], np.concatenate([_doubled(group) for group in groups])
    rng = np.random.default_rng(0)
    found = _explained(every, sizes)
    shuffled = [_explained(rng.permutation(every), sizes) for _ in range(_SHUFFLES)]
    return found, (1 + sum(each >= found - 1e-12 for each in shuffled)) / (1 + _SHUFFLES)


@dataclass(frozen=True)
class Well:
    """Where a loss over axes is lowest.

    Attributes:
        at_deg: Its centre, in [0, 180).
        depth: Of the loss.
        share: Of the variance of the loss that the well explains.
        p: How often losses dealt to the axes at random have a well that explains as much.
    """

    at_deg: float
    depth: float
    share: float
    p: float


def well(angles_deg: Sequence[float], losses: Sequence[float], shuffles: int = _SHUFFLES) -> Well:
    """The well that fits a loss over axes best: a constant less a bump of the doubled angle (von Mises).

    All losses have a say in its centre, so that it can lie between axes that were tried, and one training that did
    not get under way does not move it far.

    Args:
        angles_deg: The axes, at least four; they need not be evenly spaced.
        losses: One each.
        shuffles: That `p` rests on; without any it is 1.

    Example:
        >>> float(round(well([0, 30, 60, 90, 120, 150], [0.7, 0.6, 0.3, 0.3, 0.6, 0.7]).at_deg))
        75.0
    """
    centres = np.arange(0, 180, 0.5)
    apart = np.cos(2 * np.deg2rad(np.asarray(angles_deg, np.float64) - centres[:, None])) - 1
    bumps = np.concatenate([np.exp(apart / (2 * math.radians(width)) ** 2) for width in _WELL_DEG])
    bumps -= bumps.mean(1, keepdims=True)
    squares = (bumps**2).sum(1)
    values = np.asarray(losses, np.float64)
    values = values - values.mean()
    rng = np.random.default_rng(0)
    dealt = np.stack([values, *(rng.permutation(values) for _ in range(shuffles))])
    depths = np.maximum(-(dealt @ bumps.T) / squares, 0)
    gains = (depths**2 * squares).max(1)
    best = int((depths[0] ** 2 * squares).argmax())
    total = float((values**2).sum())
    return Well(
        at_deg=float(centres[best % len(centres)]),
        depth=float(depths[0, best]),
        share=float(gains[0] / total) if total > 1e-12 else 0.0,
        p=float((1 + (gains[1:] >= gains[0] - 1e-12).sum()) / (1 + shuffles)),
    )


def _explained(every: npt.NDArray[np.complex128], sizes: Sequence[int]) -> float:
    total = 1 - abs(every.mean())
    parts = np.split(every, np.cumsum(sizes)[:-1])
    within = sum(len(part) * (1 - abs(part.mean())) for part in parts) / len(every)
    return float(1 - within / total) if total > 1e-12 else 0.0
