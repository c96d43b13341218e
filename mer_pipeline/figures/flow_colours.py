"""Flow as colour: hue says whereto, saturation how far; white is still."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image


def colour_flow(flow: npt.NDArray[np.float32], full_px: float) -> Image:
    """A flow field as a picture.

    Args:
        flow: (2, H, W), u and v in pixels.
        full_px: The length that has full saturation; longer motion is no more colourful.

    Returns:
        (H, W, 3) uint8 RGB: right is red, and hue goes round by way of down, which is yellow-green.
    """
    u, v = np.asarray(flow[0], np.float32), np.asarray(flow[1], np.float32)
    hue = (np.degrees(np.arctan2(v, u)) % 360).astype(np.float32)
    saturation = np.minimum(np.hypot(u, v) / full_px, 1).astype(np.float32)
    rgb = cv2.cvtColor(np.stack([hue, saturation, np.ones_like(hue)], -1), cv2.COLOR_HSV2RGB)
    return np.rint(rgb * 255).astype(np.uint8)


def colour_wheel(size: int) -> Image:
    """The legend of `colour_flow`: every direction, still in the middle and full at the rim; (size, size, 3) RGB."""
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / (size / 2)
    x, y = np.meshgrid(axis, axis)
    wheel = colour_flow(np.stack([x, y]), 1.0)
    wheel[np.hypot(x, y) > 1] = 255
    return wheel


def round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 5 and 7.5 times a power of ten, so that a scale reads well.

    >>> round_up(0.31), round_up(1.2), round_up(0.0)
    (0.5, 1.5, 0.01)
    """
    power = 10.0 ** math.floor(math.log10(max(value, 0.01)))
    return round(
        next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * power >= max(value, 0.01) * (1 - 1e-9)), 6
    )
