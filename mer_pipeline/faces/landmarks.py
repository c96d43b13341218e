"""Stage `detect`: the face box and landmarks of a frame.

A detector is a `FaceFinder`: see `face_mesh`, `mediapipe` and `dlib`, and `detectors` for how one is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

POINTS = 478  # Face Mesh with refined irises

Scheme = Literal["mesh", "dlib68", "picture"]


class _Points(NamedTuple):
    """How many points a scheme has, which outline the eyes (two corners, upper lid, lower lid), and the irises."""

    points: int
    eyes: tuple[tuple[int, ...], ...]
    irises: tuple[int, ...] = ()


_SCHEMES: dict[Scheme, _Points] = {
    "mesh": _Points(POINTS, ((33, 133, 160, 158, 153, 144), (362, 263, 385, 387, 373, 380)), (468, 473)),
    "dlib68": _Points(68, ((36, 39, 37, 38, 40, 41), (42, 45, 43, 44, 46, 47))),
    "picture": _Points(2, ()),
}

# Where the middles of the eyes lie in the unit square: 0.34 apart leaves room for brows above and the chin below.
EYES_UNIT_XY = np.array([(0.33, 0.37), (0.67, 0.37)])
_EYE_WIDTH = 0.16  # of a face in the unit square


@dataclass(frozen=True)
class FaceBox:
    """The upright rectangle around a face, in pixels of its frame."""

    box_xyxy: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box_xyxy
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"box_xyxy must have x0 < x1 and y0 < y1, got {self.box_xyxy}")

    @property
    def size_wh(self) -> tuple[float, float]:
        """Width and height in pixels."""
        x0, y0, x1, y1 = self.box_xyxy
        return x1 - x0, y1 - y0

    @property
    def area(self) -> float:
        """Area in square pixels."""
        width, height = self.size_wh
        return width * height

    def iou(self, other: FaceBox) -> float:
        """Intersection over union with another box, 0 to 1.

        >>> FaceBox((0, 0, 2, 2)).iou(FaceBox((1, 0, 3, 2)))
        0.3333333333333333
        """
        ax0, ay0, ax1, ay1 = self.box_xyxy
        bx0, by0, bx1, by1 = other.box_xyxy
        shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True)
class Landmarks:
    """The points of one face in one frame.

    Attributes:
        points_xy: (n, 2) float64, pixels. By scheme: `mesh`, the 478 points of MediaPipe's Face Mesh in its numbering
            (468 to 477 are the irises); `dlib68`, the 68 points of iBUG 300-W in theirs, counted from 0; `picture`,
            the upper left and the lower right corner of a picture that is all face.
        scheme: What the points are.
        score: How sure the detector is that there is a whole face (a logit: some 35 for a bare one, 15 and less under a
            hand); NaN where it does not say.
        depth: (n,) how far each point lies behind the middle of the head, in pixels; None where it is not estimated.
    """

    points_xy: npt.NDArray[np.float64]
    scheme: Scheme = "mesh"
    score: float = float("nan")
    depth: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        points = _SCHEMES[self.scheme].points
        if self.points_xy.shape != (points, 2):
            raise ValueError(f"points_xy must have shape ({points}, 2), got {self.points_xy.shape}")

    @property
    def box(self) -> FaceBox:
        """The smallest upright rectangle that holds all points."""
        (x0, y0), (x1, y1) = self.points_xy.min(0), self.points_xy.max(0)
        return FaceBox((float(x0), float(y0), float(x1), float(y1)))

    @property
    def eyes_xy(self) -> npt.NDArray[np.float64]:
        """(2, 2) the middles of the eyes, the left one of the picture first: halfway between an eye's corners.

        Corners, not lids or pupils: they stay where they are when a person blinks or looks aside.
        """
        return np.asarray(self.eye_openings_xy[:, :2].mean(1))

    @property
    def eye_openings_xy(self) -> npt.NDArray[np.float64]:
        """(2, 6, 2) the outlines of the eyes, the left one of the picture first; each begins with its two corners."""
        openings = _SCHEMES[self.scheme].eyes
        if openings:
            return np.asarray(self.points_xy[np.array(openings)])
        low, high = self.points_xy
        middle, side = (low + high) / 2, float((high - low).max())
        across, up = np.array([0.5 * _EYE_WIDTH, 0]), np.array([0, 0.3 * _EYE_WIDTH])
        outline = np.array([-across, across, -up - across / 2, -up + across / 2, up + across / 2, up - across / 2])
        return np.asarray(middle + side * (EYES_UNIT_XY[:, None] - 0.5 + outline))

    @property
    def eye_opening(self) -> float:
        """Height of the eyes over their width, the mean of both (Soukupova and Cech, CVWW 2016): 0.25 to 0.4 open."""
        eyes = self.eye_openings_xy
        heights = np.linalg.norm(eyes[:, 2:4] - eyes[:, 5:3:-1], axis=-1).mean(-1)
        return float((heights / np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1)).mean())

    @property
    def gaze(self) -> float:
        """Where the irises are along the line of an eye's corners, in widths of the eye from its middle; else NaN."""
        irises = _SCHEMES[self.scheme].irises
        if not irises:
            return float("nan")
        corners = self.eye_openings_xy[:, :2]
        across = corners[:, 1] - corners[:, 0]
        aside = self.points_xy[list(irises)] - corners.mean(1)
        # The first corner of one eye is its outer one, of the other its inner one: both lines run to the right.
        return float(((aside * across).sum(-1) / (across**2).sum(-1)).mean())

    @property
    def pitch_yaw(self) -> tuple[float, float]:
        """How far the head is turned down, and to the left of the picture, in radians; NaN without depth.

        Of the axes from one outer corner of the eyes to the other and from the top of the forehead to the chin; the
        angles are those of R = Rx Ry Rz with x to the right, y down, and z away from the camera, as OpenFace has them.
        """
        if self.depth is None or self.scheme != "mesh":
            return float("nan"), float("nan")
        right, left, top, chin = np.column_stack([self.points_xy, self.depth])[[33, 263, 10, 152]]
        across = (left - right) / np.linalg.norm(left - right)
        down = chin - top - ((chin - top) @ across) * across
        away = np.cross(across, down / np.linalg.norm(down))
        return float(np.arctan2(-away[1], away[2])), float(np.arcsin(np.clip(away[0], -1, 1)))

    @property
    def outline_xy(self) -> npt.NDArray[np.float64]:
        """(m, 2) points whose convex hull is the face."""
        if self.scheme != "picture":
            return self.points_xy
        (x0, y0), (x1, y1) = self.points_xy
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


class FaceFinder(Protocol):
    """Finds the faces in a frame; for one process and one thread."""

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> list[Landmarks]:
        """Every face in a (H, W, 3) RGB frame, largest first."""


def largest_first(faces: Iterable[Landmarks]) -> list[Landmarks]:
    """The faces that have an area."""
    kept = [face for face in faces if np.ptp(face.points_xy, axis=0).min() > 0]
    return sorted(kept, key=lambda face: -face.box.area)


def whole_picture(rgb: npt.NDArray[np.uint8]) -> list[Landmarks]:
    """The face of a picture that is already cropped: all of it, its longer side filling the unit square.

    >>> whole_picture(np.zeros((100, 100, 3), np.uint8))[0].eyes_xy.tolist()
    [[32.5, 36.5], [66.5, 36.5]]
    """
    height, width = rgb.shape[:2]
    return [Landmarks(np.array([(-0.5, -0.5), (width - 0.5, height - 0.5)]), "picture")]
