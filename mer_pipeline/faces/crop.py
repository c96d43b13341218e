"""Stage `crop`: the canonical face of every needed frame as uint8 RGB of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.faces.align import AlignedFace, warp


@dataclass(frozen=True)
class CropPair:
    """The two pictures that a network compares.

    Attributes:
        onset, apex: (size, size, 3) uint8 RGB.
    """

    onset: Image
    apex: Image

    def __post_init__(self) -> None:
        height, width, *channels = self.onset.shape
        if height != width or channels != [3] or self.onset.shape != self.apex.shape or self.onset.dtype != np.uint8:
            raise ValueError(
                f"expected two uint8 images of one shape (size, size, 3), got {self.onset.shape} and {self.apex.shape}"
            )


def crop(frames: Mapping[int, Image], aligned: Sequence[AlignedFace], size: int) -> Image:
    """Cut the face out of every aligned frame; (frames, size, size, 3) uint8 RGB in the order of `aligned`."""
    return np.stack([warp(frames[face.frame], face.to_unit, size) for face in aligned])
