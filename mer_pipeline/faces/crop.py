"""Stage `crop`: the canonical face of every needed frame as uint8 RGB of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.faces.align import AlignedFace, warp


def crop(frames: Mapping[int, Image], aligned: Sequence[AlignedFace], size: int) -> Image:
    """Cut the face out of every aligned frame; (frames, size, size, 3) uint8 RGB in the order of `aligned`."""
    return np.stack([warp(frames[face.frame], face.to_unit, size) for face in aligned])
