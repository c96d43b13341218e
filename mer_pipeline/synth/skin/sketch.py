"""Grey pictures of faces that never were: brows, eyes, nose, mouth, folds, hair and skin, drawn from random numbers.

They need not please: a solver of optical flow has to find on them what it finds on a face, edges where a face has
edges, and skin that shows little of its motion between them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Matrix
from mer_pipeline.synth.skin.drawn import smooth_noise
from mer_pipeline.synth.skin.people import Faces

_FINE = 4  # bits of a pixel that OpenCV draws to
_Point = tuple[float, float]


class _Pen:
    """Draws on one face in its own places: left and down from between the pupils, in distances between these."""

    def __init__(self, place: Callable[[Matrix], Matrix], size: int, unit_px: float) -> None:
        self.place, self.size, self.unit_px = place, size, unit_px

    def area(self, picture: FloatImage, outline: Matrix, value: float) -> None:
        """Fill an outline."""
        cv2.fillPoly(picture, [self._pixels(outline)], (value,), cv2.LINE_AA, _FINE)

    def line(self, picture: FloatImage, points: Matrix, value: float, width: float) -> None:
        """Draw through points."""
        thick = max(1, round(width * self.unit_px))
        cv2.polylines(picture, [self._pixels(points)], False, (value,), thick, cv2.LINE_AA, _FINE)

    def mask(self, *outlines: Matrix) -> FloatImage:
        """1 inside the outlines, 0 outside."""
        picture = np.zeros((self.size, self.size), np.float32)
        for outline in outlines:
            self.area(picture, outline, 1.0)
        return picture

    def soft(self, picture: FloatImage, width: float) -> FloatImage:
        """Blurred over a width on the face."""
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), width * self.unit_px), np.float32)

    def _pixels(self, points: Matrix) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        return np.asarray(np.rint((self.place(points) * self.size - 0.5) * 2**_FINE), np.int32)


def _oval(center: _Point, radii: _Point) -> Matrix:
    turn = np.linspace(0, 2 * np.pi, 32)
    return np.stack([center[0] + radii[0] * np.cos(turn), center[1] + radii[1] * np.sin(turn)], 1)


def _arc(start: _Point, pull: _Point, end: _Point) -> Matrix:
    """A quadratic curve from `start` to `end`, drawn towards `pull`."""
    at = np.linspace(0, 1, 9)[:, None]
    return np.asarray((1 - at) ** 2 * np.array(start) + 2 * at * (1 - at) * np.array(pull) + at**2 * np.array(end))


def sketch(rng: np.random.Generator, faces: Faces, face: int, size: int) -> FloatImage:
    """Draw one face at rest.

    Returns:
        (size, size) float32, grey levels 0 to 255.
    """
    pen = _Pen(lambda points: faces.to_crop(face, points), size, float(faces.pupils[face]) * size)
    skin = float(rng.uniform(60, 205))
    hair = float(rng.uniform(10, 120)) * min(1.0, skin / 120 + 0.2)
    picture = np.full((size, size), skin, np.float32) * (1 + _shading(rng, pen))
    _brows(rng, pen, picture, hair)
    for side in (-1, 1):
        _eye(rng, pen, picture, skin, side)
        _folds(rng, pen, picture, skin, side)
    _forehead(rng, pen, picture, skin)
    width = _mouth(rng, pen, picture, skin)
    if rng.random() < 0.25:
        picture = _beard(rng, pen, picture, hair, width)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.35, 1))), np.float32)
    for _ in range(int(rng.integers(0, 8))):
        pen.area(picture, _oval((rng.uniform(-0.9, 0.9), rng.uniform(-0.6, 1.6)), (0.02, 0.02)),
                 skin * rng.uniform(0.5, 0.9))  # fmt: skip
    grain = float(rng.uniform(0.002, 0.02)) * skin
    for width_px in (0.7, 1.6, 3.5):
        picture += grain * float(rng.uniform(0.4, 1.4)) * smooth_noise(rng, 1, size, width_px)[0]
    return _lit_before_background(rng, pen, picture, hair)


def _shading(rng: np.random.Generator, pen: _Pen) -> FloatImage:
    """Hollows darker and prominences lighter than the skin, relative."""
    relief = np.zeros((pen.size, pen.size), np.float32)
    for side in (-1, 1):
        pen.area(relief, _oval((side * 0.5, -0.02), (0.34, 0.2)), -rng.uniform(0.02, 0.22))
        pen.area(relief, _oval((side * 0.22, 0.2), (0.08, 0.3)), -rng.uniform(0, 0.15))
        pen.area(relief, _oval((side * 0.7, 0.5), (0.2, 0.15)), rng.uniform(0, 0.15))
        pen.area(relief, _oval((side * 0.95, 0.7), (0.2, 0.6)), -rng.uniform(0, 0.3))
    pen.area(relief, _oval((0, 1.33), (0.3, 0.06)), -rng.uniform(0, 0.25))
    pen.area(relief, _oval((0, 0.6), (0.14, 0.12)), rng.uniform(0, 0.25))
    return pen.soft(relief, 0.07)


def _brows(rng: np.random.Generator, pen: _Pen, picture: FloatImage, hair: float) -> None:
    height, thickness = rng.normal(-0.3, 0.03), rng.uniform(0.03, 0.09)
    for side in (-1, 1):
        upper = _arc((side * 0.2, height + 0.05), (side * 0.55, height - 0.12), (side * 0.92, height + 0.1))
        thinner = np.linspace(0.5, 1, len(upper))[:, None]
        pen.area(picture, np.vstack([upper, upper[::-1] + (0, thickness) * thinner]), hair * rng.uniform(0.7, 1.1))


def _eye(rng: np.random.Generator, pen: _Pen, picture: FloatImage, skin: float, side: int) -> None:
    opening = rng.uniform(0.035, 0.085)
    upper = _arc((side * 0.27, 0.02), (side * 0.5, -2 * opening), (side * 0.73, 0))
    lower = _arc((side * 0.73, 0), (side * 0.5, 1.4 * opening), (side * 0.27, 0.02))
    white = np.vstack([upper, lower])
    pen.area(picture, white, min(240.0, skin * rng.uniform(1, 1.4)))
    iris = pen.mask(white) * pen.mask(_oval((side * 0.5 + rng.normal(0, 0.01), 0), (0.09, 0.09)))
    picture += iris * (rng.uniform(10, 70) - picture)
    pen.line(picture, upper, skin * rng.uniform(0.15, 0.5), 0.03)
    pen.line(picture, lower, skin * rng.uniform(0.5, 0.85), 0.015)
    pen.line(picture, upper - (0, rng.uniform(0.05, 0.1)), skin * rng.uniform(0.6, 0.95), 0.015)


def _folds(rng: np.random.Generator, pen: _Pen, picture: FloatImage, skin: float, side: int) -> None:
    """Nostril and wing of the nose, the fold beside the mouth, the bag under the eye, the corner of the mouth."""
    pen.area(picture, _oval((side * 0.13, 0.66), (0.06, 0.025)), skin * rng.uniform(0.2, 0.6))
    wing = _arc((side * 0.26, 0.5), (side * 0.34, 0.62), (side * 0.22, 0.68))
    pen.line(picture, wing, skin * rng.uniform(0.6, 0.9), 0.02)
    if rng.random() < 0.8:
        fold = _arc((side * 0.33, 0.55), (side * 0.52, 0.75), (side * 0.55, 1))
        pen.line(picture, fold, skin * rng.uniform(0.75, 1), 0.025)
    if rng.random() < 0.6:
        bag = _arc((side * 0.3, 0.13), (side * 0.5, 0.27), (side * 0.72, 0.13))
        pen.line(picture, bag, skin * rng.uniform(0.8, 1.02), 0.02)
    pen.area(picture, _oval((side * 0.43, 1.05), (0.04, 0.03)), skin * rng.uniform(0.4, 0.9))


def _forehead(rng: np.random.Generator, pen: _Pen, picture: FloatImage, skin: float) -> None:
    for _ in range(int(rng.integers(0, 4))):
        down = rng.uniform(-0.8, -0.5)
        wrinkle = _arc((-0.5, down), (0, down + rng.normal(0, 0.05)), (0.5, down))
        pen.line(picture, wrinkle, skin * rng.uniform(0.85, 1), 0.015)


def _mouth(rng: np.random.Generator, pen: _Pen, picture: FloatImage, skin: float) -> float:
    """The lips; half of the mouth's width."""
    half, above, below = rng.uniform(0.38, 0.48), rng.uniform(0.04, 0.1), rng.uniform(0.07, 0.15)
    down, tone = rng.normal(1.05, 0.02), skin * rng.uniform(0.55, 1)
    corners: tuple[_Point, _Point] = ((-half, down), (half, down))
    slit = _arc(corners[0], (0, down + 0.02), corners[1])
    pen.area(picture, np.vstack([_arc(corners[0], (0, down - 2 * above), corners[1]), slit[::-1]]), tone * 0.92)
    pen.area(picture, np.vstack([_arc(corners[0], (0, down + 2 * below), corners[1]), slit[::-1]]), tone)
    pen.line(picture, slit, skin * rng.uniform(0.25, 0.6), 0.025)
    return float(half)


def _beard(rng: np.random.Generator, pen: _Pen, picture: FloatImage, hair: float, half_mouth: float) -> FloatImage:
    shape = pen.mask(_oval((0, 1.35), (0.85, 0.5))) * (1 - pen.mask(_oval((0, 1.06), (half_mouth, 0.13))))
    covered = pen.soft(shape, 0.05) * float(rng.uniform(0.1, 0.6))
    stubble = hair + 8 * smooth_noise(rng, 1, pen.size, 1)[0]
    return np.asarray(picture + covered * (stubble - picture), np.float32)


def _lit_before_background(rng: np.random.Generator, pen: _Pen, picture: FloatImage, hair: float) -> FloatImage:
    """Light from one side, and hair and wall around the face."""
    size = pen.size
    place = (np.arange(size) / size - 0.5).astype(np.float32)
    direction, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    picture = picture * (1 + strength * np.add.outer(np.sin(direction) * place, np.cos(direction) * place))
    face = pen.soft(pen.mask(_oval((0, 0.55), (1.18 + rng.normal(0, 0.05), 1.38 + rng.normal(0, 0.06)))), 0.03)
    wall = rng.uniform(10, 230) + rng.uniform(0, 10) * smooth_noise(rng, 1, size, 6)[0]
    hairline = pen.place(np.array([[0.0, -1.0]]))[0, 1] * size
    above = np.broadcast_to((np.arange(size) < hairline).astype(np.float32)[:, None], (size, size)).copy()
    above = pen.soft(above, 0.05)
    behind = wall + above * (hair + 6 * smooth_noise(rng, 1, size, 1.2)[0] - wall)
    return np.asarray(np.clip(behind + face * (picture - behind), 0, 255), np.float32)
