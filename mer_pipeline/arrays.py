"""Names for the arrays that rooms hand to each other, whose shapes stand in the docstrings of what takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB, or (H, W) grey
FloatImage = npt.NDArray[np.float32]  # (H, W), or (..., H, W)
Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Pictures = npt.NDArray[Any]  # (F, C, size, size) of any type: the frames of one clip as a network is shown them


def quantile(values: Matrix, share: float) -> float:
    """What a share of the values lies below: `numpy.quantile`, without what that takes to start on few of them.

    >>> quantile(np.array([3.0, 1.0, 2.0, 10.0]), 0.5)
    2.5
    """
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    near = np.partition(values, (low, high))
    return float(near[low] + (near[high] - near[low]) * (place - low))
