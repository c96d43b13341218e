"""The square that a frame is put on before Face Mesh is given parts of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Image
from mer_pipeline.faces.face_mesh.regions import Region
from mer_pipeline.faces.landmarks import Landmarks, largest_first

_BORDER = 0.35  # of the longer side


class Canvas:
    """A frame at the upper left of a black square, or with a border of its own edges around it.

    In a canvas that is no square MediaPipe places the points of a tilted head wrongly, and beyond the frame's edge the
    points depend on what is there: up to 43 px.

    Attributes:
        pad: Width of the border in pixels; 0 for none.
        side: Of the square, in pixels.
        whole: All of it, upright.
    """

    def __init__(self, rgb: Image, pad: int) -> None:
        self._rgb, self.pad = rgb, pad
        self.side = max(rgb.shape[:2]) + 2 * pad
        self.whole = Region((self.side / 2, self.side / 2), self.side)

    def crop(self, region: Region, size: int, border: int) -> Image:
        """The region as a (size, size, 3) picture."""
        square = region.center_xy, (region.side, region.side), math.degrees(region.angle)
        corners = np.asarray(cv2.boxPoints(square), np.float32)
        target = np.array([(0, size), (0, 0), (size, 0), (size, size)], np.float32)
        to_crop = cv2.getPerspectiveTransform(corners, target)
        source, flags = self._source(corners, border), cv2.INTER_LINEAR
        return np.asarray(cv2.warpPerspective(source, to_crop, (size, size), flags=flags, borderMode=border), np.uint8)

    def _source(self, corners: FloatImage, border: int) -> Image:
        """The canvas, or the frame alone where that gives the same pixels: a large frame takes longer than a face."""
        height, width = self._rgb.shape[:2]
        inside = corners.min() >= 1 and (corners < (width - 1, height - 1)).all()
        return self._rgb if not self.pad and (inside or border == cv2.BORDER_CONSTANT) else self.square

    @cached_property
    def square(self) -> Image:
        """All of it."""
        height, width = self._rgb.shape[:2]
        fill = cv2.BORDER_REPLICATE if self.pad else cv2.BORDER_CONSTANT
        rest = self.side - height - self.pad, self.side - width - self.pad
        return np.asarray(cv2.copyMakeBorder(self._rgb, self.pad, rest[0], self.pad, rest[1], fill), np.uint8)


def on_canvas(rgb: Image, find: Callable[[Canvas], Sequence[Landmarks]]) -> list[Landmarks]:
    """Every face of a frame, largest first.

    Args:
        rgb: (H, W, 3).
        find: Gives every face on a canvas, in its pixels.
    """
    # The detector was trained on faces with room around them; a tightly cropped face is found with a border.
    for pad in (0, round(_BORDER * max(rgb.shape[:2]))):
        canvas = Canvas(rgb, pad)
        if faces := largest_first(replace(face, points_xy=face.points_xy - pad) for face in find(canvas)):
            return faces
    return []
