"""From flow to the coarse cells that the reader is given."""

from __future__ import annotations

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Pictures

SIDE = 28  # as published flow images
# The part of an aligned crop that these show: the pupils half a width apart and a quarter below the upper edge. Aligned
# crops have them 0.34 apart at 0.37 (`faces.landmarks`), since a network may want hair and chin.
_LEFT, _TOP, _WIDTH = 0.18, 0.21, 0.64


def to_side(flow: Pictures, aligned: bool) -> FloatImage:
    """Flow of any size as the reader's fields.

    Args:
        flow: (clips, 2 or more, S, S): u and v first, in any unit.
        aligned: Whether these are crops as the stages make them; published flow images are cut closely already.

    Returns:
        (clips, 2, 28, 28) float32.
    """
    top, left, width = window(flow.shape[-1], aligned)
    fields = np.asarray(flow[:, :2, top : top + width, left : left + width], np.float32)
    if fields.shape[-1] == SIDE:
        return fields
    small = [[cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for plane in field] for field in fields]
    return np.asarray(small, np.float32)


def window(size: int, aligned: bool) -> tuple[int, int, int]:
    """Top, left and side of the part of a square field that is read, in pixels; see `to_side`."""
    return (round(_TOP * size), round(_LEFT * size), round(_WIDTH * size)) if aligned else (0, 0, size)


def normalised(fields: FloatImage) -> FloatImage:
    """Each channel less its median, over its standard deviation: published images have lost both.

    Most of a face does not move, so the median is no motion, or the head's.
    """
    still = fields - np.median(fields, axis=(-2, -1), keepdims=True)
    return np.asarray(still / (still.std(axis=(-2, -1), keepdims=True) + 1e-6), np.float32)


def mirrored(fields: FloatImage) -> FloatImage:
    """The same face with its sides exchanged."""
    return np.asarray(fields[..., ::-1] * np.array([-1, 1], np.float32)[:, None, None], np.float32)


def cells(fields: FloatImage, count: int) -> FloatImage:
    """Means over `count` x `count` equal cells, each channel over their spread; (clips, 2, count, count)."""
    clips, channels, side, _ = fields.shape
    part = side // count
    means = fields.reshape(clips, channels, count, part, count, part).mean((3, 5))
    return np.asarray(means / (means.std(axis=(-2, -1), keepdims=True) + 1e-6), np.float32)
