"""When a movement begins, peaks and ends, read from its course in time.

The first and last frames of a movement cannot be seen: it starts and ends at rest. They are extrapolated from the
steep part of the course, where time can be read exactly.
"""

from __future__ import annotations

import numpy as np

from mer_pipeline.arrays import Matrix, quantile

# A flank is read where it passes these parts of its height. The foot lies this many times as far below the middle as
# the low part does, 2.44 for a raised cosine and 2.89 for a movement of minimum jerk (Flash and Hogan, J. Neurosci.
# 1985); the top above the middle against the high part, 1.69 and 1.98. Either choice changes a frame or less.
_LOW, _MIDDLE, _HIGH = 0.2, 0.5, 0.9
_FROM_LOW, _FROM_HIGH = 2.65, 1.85
# The part of a rising course that is taken for rest until its foot is known, and then the frames before the foot.
_QUIET_SHARE = 0.15
_BEFORE = 12


def interval(course: Matrix, top: int | None = None) -> tuple[int, int, int]:
    """Onset, apex and offset of a peak of a course.

    Args:
        course: (frames,) how far a movement is developed.
        top: The peak's frame; None for the highest one.

    >>> interval(np.array([0, 0, 0, 1, 3, 5, 3, 1, 0, 0], float))
    (2, 5, 8)
    """
    top, last = int(np.argmax(course)) if top is None else top, len(course) - 1
    foot, early = flank(course[: top + 1])
    end, late = (last - at for at in flank(course[top:][::-1]))
    # Either flank says where the height was reached. A flank that the clip cuts off says nothing.
    flanks = [at for at, cut in ((early, top < 2), (late, top > last - 2)) if not cut]
    apex = sum(flanks) / len(flanks) if flanks else float(top)
    onset, offset = min(max(round(foot), 0), top), min(max(round(end), top), last)
    return onset, min(max(round(apex), onset), offset), offset


def flank(rise: Matrix) -> tuple[float, float]:
    """Where a rising course left rest and where it reaches its height, in frames; its last value is the peak."""
    top = len(rise) - 1
    if top < 1:
        return float(top), float(top)
    back = rise[-2::-1]
    floor = quantile(rise, _QUIET_SHARE)
    foot = early = 0.0
    for _ in range(2):
        height = float(rise[-1]) - floor
        if height <= 0:
            return float(top), float(top)
        low, middle, high = (_passes(rise, back, floor + part * height) for part in (_LOW, _MIDDLE, _HIGH))
        foot, early = middle - _FROM_LOW * (middle - low), middle + _FROM_HIGH * (high - middle)
        # Rest is what the course was shortly before it rose, wherever it had been drawn to by a slow trend.
        before = rise[max(0, int(foot) - _BEFORE) : max(1, int(foot) + 1)]
        floor = quantile(before, 0.5) if len(before) > 2 else floor
    return max(foot, 0.0), early


def _passes(rise: Matrix, back: Matrix, level: float) -> float:
    """Where a course rises through a level for the last time, between frames; `back` is all but its last, backwards."""
    since = int((back <= level).argmax())
    if not back[since] <= level:
        return 0.0
    at = len(back) - 1 - since
    here, step = float(rise[at]), float(rise[at + 1]) - float(rise[at])
    return at + min(max((level - here) / max(step, 1e-12), 0.0), 1.0)
