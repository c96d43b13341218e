"""Where in a picture Face Mesh searches for the points of a face: from the face detector, or from the last frame.

The constants and the order of the steps are those of MediaPipe's graphs `face_detection_short_range` and
`face_landmark_front`; a change of any moves the landmarks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Matrix

_ROOM = 1.5  # the side of a region, in longer sides of its face
_ONE_FACE_IOU = 0.3  # boxes of the detector that overlap more are of one face
_SAME_REGION_IOU = 0.5
_EYES = [33, 263]  # points of the mesh: the outer corners


@dataclass(frozen=True)
class Region:
    """A square, turned so that the eyes are level.

    Attributes:
        center_xy: Its middle, in pixels.
        side: In pixels.
        angle: Of the line of the eyes, radians.
    """

    center_xy: tuple[float, float]
    side: float
    angle: float = 0.0

    @property
    def box_xyxy(self) -> npt.NDArray[np.float64]:
        """The square as if it were not turned, by which MediaPipe compares regions."""
        x, y, half = *self.center_xy, self.side / 2
        return np.array([x - half, y - half, x + half, y + half])

    def moved(self, x: float, y: float) -> Region:
        """By some pixels."""
        return Region((self.center_xy[0] + x, self.center_xy[1] + y), self.side, self.angle)

    def to_picture(self, points: Matrix) -> Matrix:
        """From the unit square of the region to pixels, (n, 2)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.asarray((points - 0.5) @ (self.side * np.array([(cos, sin), (-sin, cos)])) + self.center_xy)

    @classmethod
    def around(cls, low_xy: Matrix, high_xy: Matrix, eyes_xy: Matrix) -> Region:
        """Of the face between two corners, whose eyes are two points."""
        x, y = (low_xy + high_xy) / 2
        dx, dy = eyes_xy[1] - eyes_xy[0]
        return cls((float(x), float(y)), _ROOM * float((high_xy - low_xy).max()), math.atan2(dy, dx))

    @classmethod
    def of_mesh(cls, points_xy: Matrix) -> Region:
        """Where the face is searched for in the next frame; takes all 478 points."""
        return cls.around(points_xy.min(0), points_xy.max(0), points_xy[_EYES])


def detected(boxes: FloatImage, logits: FloatImage, anchors_xy: Matrix, side_px: int) -> list[Matrix]:
    """What the detector found, the likeliest first.

    Args:
        boxes: (anchors, 8, 2) as `FaceNetworks.boxes` gives them.
        logits: (anchors,) of a face.
        anchors_xy: (anchors, 2) in the unit square.
        side_px: Side of the detector's picture.

    Returns:
        Of each face (8, 2) in the unit square: the corners of its box and six points. Each is the mean of all boxes
        that overlap the likeliest one, weighted by their probabilities.
    """
    likely = np.flatnonzero(logits >= 0)  # a probability of at least 0.5
    likely = likely[np.argsort(-logits[likely], kind="stable")]
    values, anchors = boxes[likely].astype(np.float64) / side_px, anchors_xy[likely]
    middle, half = values[:, 0] + anchors, values[:, 1] / 2
    values = np.concatenate([np.stack([middle - half, middle + half], 1), values[:, 2:] + anchors[:, None]], 1)
    sensible = (half >= 0).all(1)
    values, weights = values[sensible], 1 / (1 + np.exp(-logits[likely][sensible].astype(np.float64)))
    faces = []
    while len(values):
        near = _iou(values[0, :2].reshape(4), values[:, :2].reshape(-1, 4)) > _ONE_FACE_IOU
        near[0] = True
        faces.append(np.asarray(np.average(values[near], 0, weights[near])))
        values, weights = values[~near], weights[~near]
    return faces


def distinct(regions: Iterable[Region]) -> list[Region]:
    """Without those that a later one overlaps."""
    kept: list[Region] = []
    for region in regions:
        kept = [each for each in kept if _iou(region.box_xyxy, each.box_xyxy[None])[0] <= _SAME_REGION_IOU]
        kept.append(region)
    return kept


def _iou(box: Matrix, others: Matrix) -> npt.NDArray[np.float64]:
    """Intersection over union of a box (4,) with others (n, 4); 0 where both are empty."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(size, 0, None).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
