"""The motion of an expression made larger, so that an eye can see it.

Every frame of an expression is compared with its onset, each with the face brought to one place, so that the head's own
motion stays as it was; its pixels are then carried on along the way that the skin went from the onset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image, Matrix

# Of the face's crop in which motion is measured, and how much more than the face it shows on each side.
_SIDE_PX, _MARGIN = 256, 0.15
# Of an expression, at its end: what is left of its motion there is taken back by then, so that nothing jumps.
_FADE = 0.25
_SMOOTH_PX = 4.0
Field: TypeAlias = npt.NDArray[np.float32]
ExpressionSpan: TypeAlias = tuple[int, int, bool]


class Magnifier:
    """Makes the motion of one face's expressions larger, frame by frame in their order.

    Args:
        times: How many times larger.
        spans: First and last frame of each expression, and whether it is over there.
    """

    def __init__(self, times: float, spans: Sequence[ExpressionSpan]) -> None:
        self._times, self._spans = times, spans
        self._solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._span: ExpressionSpan | None = None
        self._onset: Image | None = None

    def magnified(self, index: int, image: Image, to_unit: Matrix) -> Image:
        """A frame as it shall be drawn.

        Args:
            index: Of the frame.
            image: (H, W, 3) uint8 RGB; left as it is.
            to_unit: (2, 3) from pixels of the frame to the unit square of the face.
        """
        span = next((span for span in self._spans if span[0] <= index <= span[1]), None)
        if span != self._span:
            self._span, self._onset = span, None
        if span is None:
            return image
        into = _SIDE_PX / (1 + 2 * _MARGIN) * (to_unit + [[0, 0, _MARGIN]] * 2)
        face = cv2.cvtColor(cv2.warpAffine(image, into, (_SIDE_PX, _SIDE_PX)), cv2.COLOR_RGB2GRAY)
        if self._onset is None:
            self._onset = np.asarray(face, np.uint8)
            return image
        # Back to the onset, from where the skin is now; what the whole face did is the head's.
        back = np.asarray(self._solver.calc(face, self._onset, None), np.float32)  # type: ignore[call-overload]
        back = cv2.GaussianBlur(back - np.median(back, axis=(0, 1)), (0, 0), _SMOOTH_PX) * _edges()
        first, last, over = span
        left = min(1.0, (last - index) / max(1.0, _FADE * (last - first))) if over else 1.0
        back = _carried(back * (self._times - 1) * left)
        # Shifts in pixels of the frame, where the frame has the face.
        out = np.linalg.inv(np.vstack([into, [0, 0, 1]]))[:2]
        height, width = image.shape[:2]
        shifts = cv2.warpAffine((back @ out[:, :2].T).astype(np.float32), out, (width, height))
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        moved = cv2.remap(
            image, x + shifts[..., 0], y + shifts[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, np.uint8)


def _carried(back: Field) -> Field:
    """The way back to a pixel, by where it has gone to: w(y) = back(y + w(y)), in three steps."""
    y, x = np.mgrid[:_SIDE_PX, :_SIDE_PX].astype(np.float32)
    way = back
    for _ in range(3):
        way = np.asarray(cv2.remap(back, x + way[..., 0], y + way[..., 1], cv2.INTER_LINEAR), np.float32)
    return way


def _edges() -> Field:
    """(side, side, 1) 1 inside, 0 at the border, so that the picture is not torn there."""
    ramp = np.clip((np.arange(_SIDE_PX) + 0.5) / (_SIDE_PX * _MARGIN), 0, 1)
    one = np.minimum(ramp, ramp[::-1])
    return np.asarray((one[:, None] * one[None])[..., None], np.float32)
