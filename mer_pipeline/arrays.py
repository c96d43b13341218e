"""Names for the arrays that rooms hand to each other; shapes stand in the docstrings of what takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB, or (H, W) grey
FloatImage = npt.NDArray[np.float32]  # (H, W), or (..., H, W)
Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Pictures = npt.NDArray[Any]  # (F, C, size, size) of any type: the frames of one clip as a network is shown them
