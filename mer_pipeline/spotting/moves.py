"""A stretch of tracks, made ready to be compared with itself at other times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Matrix
from mer_pipeline.spotting.patterns import low_pass

_SMOOTH_S = 0.012


@dataclass(frozen=True)
class Moves:
    """How the skin moves in an unbroken stretch of frames.

    Attributes:
        px: (frames, CELLS * CELLS, 2) as in `Tracks`, smoothed in time.
        trust: (CELLS * CELLS,) as in `Tracks`.
        fps: Frames a second.
        sums: (frames + 1, CELLS * CELLS, 2) running sums; means over some frames are read from them.
        judged: The frames (the last one out) that are judged. What is farther away matters only where it can reach
            into them.
    """

    px: Matrix
    trust: Matrix
    fps: float
    sums: Matrix
    judged: tuple[int, int]

    @classmethod
    def of(
        cls,
        motion_px: npt.NDArray[np.float32],
        trust: Matrix,
        fps: float,
        judged: tuple[int, int] | None = None,
    ) -> Moves:
        """Of (frames, CELLS * CELLS, 2) motion as in `Tracks`; all of it is judged unless some frames are given."""
        px = low_pass(motion_px.astype(np.float64), _SMOOTH_S * fps)
        sums = np.zeros((len(px) + 1, *px.shape[1:]))
        np.cumsum(px, 0, out=sums[1:])
        return cls(px, trust, fps, sums, (0, len(px)) if judged is None else judged)

    def __len__(self) -> int:
        return len(self.px)

    def mean(self, at: range, begin: int, end: int) -> Matrix:
        """(len(at), CELLS * CELLS, 2) means from each frame + `begin` to before it + `end`.

        The ends stand for what is beyond.
        """
        frames = np.array(at)
        first = np.clip(frames + begin, 0, len(self) - 1)
        last = np.clip(frames + end, first + 1, len(self))
        found = np.empty((len(at), *self.px.shape[1:]))
        # Most stretches are known whole: their rows of the sums need no copy.
        low, high = (int(each) for each in np.searchsorted(frames, (-begin, len(self) - end + 1)))
        if low < high:
            before, after = (self.sums[each[low] : each[high - 1] + 1 : at.step] for each in (first, last))
            np.subtract(after, before, out=found[low:high])
            found[low:high] /= end - begin
        for some in (slice(0, low), slice(max(low, high), None)):
            found[some] = (self.sums[last[some]] - self.sums[first[some]]) / (last - first)[some, None, None]
        return found

    def reaches(self, at: npt.NDArray[np.int64], around: int) -> npt.NDArray[np.bool_]:
        """Whether frames lie so near to those that are judged."""
        first, last = self.judged
        return np.asarray((at >= first - around) & (at < last + around))
