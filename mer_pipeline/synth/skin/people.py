"""Faces at rest and how they are cropped: many at once, each described by a few numbers.

Places on a face are in distances between the pupils from the point between them, `out` or `left` to the side (the
person's left is the picture's right) and `down`; places in a crop are in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mer_pipeline.arrays import Matrix


@dataclass(frozen=True)
class Crops:
    """Between what the crops of the faces vary.

    Attributes:
        pupils: Least and greatest distance between the pupils.
        eyes: How far below the crop's upper edge they are.
        aspect: By how much the crop's height was squeezed or stretched to make it square.
        centre: Standard deviation of the middle of the face from that of the crop, sideways.
        roll: Standard deviation of the turn in the picture plane, in radians.
    """

    pupils: tuple[float, float] = (0.40, 0.62)
    eyes: tuple[float, float] = (0.08, 0.34)
    aspect: tuple[float, float] = (0.78, 1.06)
    centre: float = 0.02
    roll: float = 0.03


@dataclass(frozen=True)
class Faces:
    """Faces and their crops; every field has one value a face.

    Attributes:
        wide, high: Relative width and height of the face.
        brow_down, mouth_down: How much lower the brows, and everything from the upper lip down, are than usual.
        mouth_wide: By how much the mouth is wider than usual, relative.
        turned: By how much the person's left half looks wider and the other narrower, relative.
        pupils, eye_x, eye_y, aspect, roll: Of the crop; see `Crops`.
    """

    wide: Matrix
    high: Matrix
    brow_down: Matrix
    mouth_down: Matrix
    mouth_wide: Matrix
    turned: Matrix
    pupils: Matrix
    eye_x: Matrix
    eye_y: Matrix
    aspect: Matrix
    roll: Matrix

    def __len__(self) -> int:
        return len(self.pupils)

    def shaped(self, usual: Matrix) -> Matrix:
        """Where points of the usual face, (points, 2) left and down, are on each: (faces, points, 2)."""
        left, down = usual[:, 0], usual[:, 1]
        low = 1 / (1 + np.exp(-(down - 0.75) / 0.1))
        brow = 1 / (1 + np.exp((down + 0.15) / 0.05))
        x = (
            left
            * self.wide[:, None]
            * (1 + low * self.mouth_wide[:, None])
            * (1 + np.sign(left) * self.turned[:, None])
        )
        y = down * self.high[:, None] + low * self.mouth_down[:, None] + brow * self.brow_down[:, None]
        return np.stack([x, y], -1)

    def to_crop(self, face: int, usual: Matrix) -> Matrix:
        """Where points of the usual face are in the crop of one face, (points, 2) x and y in 0..1."""
        x, y = self._one(face).shaped(usual)[0].T
        cosine, sine = np.cos(self.roll[face]), np.sin(self.roll[face])
        x, y = cosine * x - sine * y, sine * x + cosine * y
        scale = self.pupils[face]
        return np.stack([self.eye_x[face] + x * scale, self.eye_y[face] + y * scale * self.aspect[face]], -1)

    def repeated(self, times: int) -> Faces:
        """The first face, so many times."""
        return Faces(**{name: np.repeat(values[:1], times) for name, values in vars(self).items()})

    def _one(self, face: int) -> Faces:
        return Faces(**{name: values[face : face + 1] for name, values in vars(self).items()})


def draw_faces(rng: np.random.Generator, count: int, crops: Crops) -> Faces:
    """People as they come: about a twentieth wider, higher, or of other proportions than the usual face."""

    def around(middle: float, spread: float) -> Matrix:
        return rng.normal(middle, spread, count)

    return Faces(
        wide=np.exp(around(0, 0.06)),
        high=np.exp(around(0, 0.06)),
        brow_down=around(0, 0.03),
        mouth_down=around(0, 0.045),
        mouth_wide=around(0, 0.08),
        turned=around(0, 0.06),
        pupils=rng.uniform(*crops.pupils, count),
        eye_x=around(0.5, crops.centre),
        eye_y=rng.uniform(*crops.eyes, count),
        aspect=rng.uniform(*crops.aspect, count),
        roll=around(0, crops.roll),
    )
