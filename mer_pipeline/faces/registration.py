"""How skin and head moved between two pictures of one face, by small cells of the canonical face.

The face is divided into cells. The motion of each is the least-squares solution of the brightness difference (Lucas and
Kanade, IJCAI 1981), with the mean of both pictures' gradients, which cancels the second-order error, and an offset of
its own, so that shades are no motion. The head's motion is the similarity (shift, turn, growth) that most cells agree
on: iteratively reweighted least squares with the weights of Geman and McClure (1987), which leave out the cells that an
expression moves, wherever in the face they are. No region has to be declared still beforehand.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Matrix, quantile

CELLS = 16  # cells along a side of the unit square; one is 14 pixels of a 224 pixel crop
# Standard deviation of the difference of two frames of a camera, in grey levels before any blur.
_NOISE_LEVELS = 1.5
# How well a similarity describes skin that no muscle moves, in pixels of a 224 pixel crop: without it, the few cells
# with strong edges (brows, nostrils) would decide alone.
_SKIN_PX = 0.03
# Residuals in standard deviations at which a cell begins to be left out.
_TOLERANCE = 1.0
_REWEIGHTINGS = 12
_REFINEMENTS = 2
# Where texture is weak, motion is shrunk towards none: one pixel is what a cell is expected to move.
_SHRINKING = _NOISE_LEVELS**2 / 1.0**2
_REGULAR = 1e-9 * np.eye(4)


@dataclass(frozen=True)
class CellMotion:
    """What one comparison found.

    A symmetric matrix of 2 x 2 is three numbers here, xx, xy and yy: what is asked of every cell of every frame is
    written out, since a call of numpy takes as long as what it does for so few cells.

    Attributes:
        normal: (3, CELLS * CELLS) sums of products of the gradients.
        right: (2, CELLS * CELLS) sums of gradient times difference, negated: normal @ motion = right.
        size: Side of the compared pictures in pixels.
    """

    normal: Matrix
    right: Matrix
    size: int

    def motion_px(self, head: Matrix | None = None) -> Matrix:
        """Motion (x, y) of each cell, (CELLS * CELLS, 2) pixels, shrunk where texture is weak.

        Args:
            head: (4,) a motion of the head that is taken off; see `head`.
        """
        right = self.right
        if head is not None:
            right = right - _times(self.normal, (head @ _design(self.size)).reshape(2, -1))
        return _shrunk_motion(self.normal, right).T

    def head(self, trust: Matrix, start: Matrix | None = None) -> tuple[Matrix, Matrix]:
        """The similarity that most cells agree on.

        Args:
            trust: (CELLS * CELLS,) prior weight of each cell, 0 to 1.
            start: (CELLS * CELLS,) weights of an earlier solution, which need few steps; None to begin anew.

        Returns:
            (4,) shift x, shift y (pixels), growth, turn (radians) about the middle of the picture; and the
            (CELLS * CELLS,) weights.
        """
        used = np.flatnonzero(trust)
        trust, normal, right = trust[used], self.normal.take(used, 1), self.right.take(used, 1)
        design = _design(self.size).reshape(4, 2, -1).take(used, 2)
        motion = _shrunk_motion(normal, right)
        inverse = _certainty(normal, (_SKIN_PX * self.size / 224) ** 2)
        pull = inverse[:2] * design[:, :1] + inverse[1:] * design[:, 1:]
        # Both sides of the normal equations are one product.
        design = design.reshape(4, -1)
        sides = np.vstack([design, motion.reshape(1, -1)]).T
        weight = trust if start is None else start[used]
        scale = np.inf
        for step in range(_REWEIGHTINGS if start is None else _REFINEMENTS):
            equations = (pull * weight).reshape(4, -1) @ sides
            head = np.asarray(np.linalg.solve(equations[:, :4] + _REGULAR, equations[:, 4]), np.float64)
            away = motion - (head @ design).reshape(2, -1)
            error = (away * _times(inverse, away)).sum(0)
            spread = 1.5 * quantile(error, 0.5)
            # From coarse to fine: the first solutions may still be drawn by the expression.
            coarse = spread if step == 0 or start is not None else min(0.5 * scale, spread)
            scale = max(_TOLERANCE**2, coarse)
            weight = trust / (1 + error / scale) ** 2
        weights = np.zeros(CELLS * CELLS)
        weights[used] = weight
        return head, weights


class Template:
    """A picture of the face that others are compared with.

    Args:
        grey: (size, size) the smoothed face, size a multiple of `CELLS`.
        trust: (CELLS * CELLS,) prior weight of each cell.
    """

    def __init__(self, grey: FloatImage, trust: Matrix) -> None:
        self.grey, self.trust = grey, trust
        self._gradient_xy = _gradient(grey)
        # Room for what two pictures are multiplied to: new memory of this size takes longer than what is put there.
        self._room = np.empty((8, *grey.shape), np.float32)
        self._mean, square = self._means(grey, (grey, grey))
        self._variance = square - self._mean**2

    def compare(self, grey: FloatImage) -> CellMotion:
        """The motion of every cell from the template to another picture of the same size."""
        size = len(grey)
        light = float(self.trust @ self._means(grey)[0]) / max(float(self.trust @ self._mean), 1e-6)
        grey = grey / np.float32(max(light, 1e-3))
        x, y = (np.float32(0.5) * (a + b) for a, b in zip(self._gradient_xy, _gradient(grey), strict=True))
        d = grey - self.grey
        means = self._means(x, y, d, (x, x), (x, y), (y, y), (x, d), (y, d))
        normal = means[3:6] - means[[0, 0, 1]] * means[[0, 1, 1]]
        right = means[:2] * means[2] - means[6:]
        pixels = (size / CELLS) ** 2
        return CellMotion(pixels * normal, pixels * right, size)

    def likeness(self, grey: FloatImage, weight: Matrix) -> float:
        """Correlation of both pictures' detail over the weighted cells, -1 to 1."""
        mean, product, square = self._means(grey, (self.grey, grey), (grey, grey))
        together, other = product - self._mean * mean, square - mean**2
        # A picture without detail is like nothing: rounding alone gives it a variance of about 0.001.
        least = 0.01 * float(weight.sum()) + 1e-9
        energies = max(float(weight @ self._variance), least), max(float(weight @ other), least)
        return float(weight @ together) / math.sqrt(energies[0] * energies[1])

    def _means(self, *pictures: FloatImage | tuple[FloatImage, FloatImage]) -> Matrix:
        """(pictures, CELLS * CELLS) the mean of each, or of the product of two, over every cell."""
        room = self._room[: len(pictures)]
        for to, picture in zip(room, pictures, strict=True):
            if isinstance(picture, tuple):
                np.multiply(*picture, out=to)
            else:
                to[:] = picture
        stacked = room.reshape(-1, room.shape[-1])
        small = cv2.resize(stacked, (CELLS, len(room) * CELLS), interpolation=cv2.INTER_AREA)
        return small.astype(np.float64).reshape(len(room), -1)


def similarity(head: Matrix, size: int) -> Matrix:
    """(3, 3) matrix of a head's motion (shift x, shift y, growth, turn), in pixels of a size x size picture."""
    x, y, growth, turn = head.tolist()
    grown, middle = 1 + growth, (size - 1) / 2
    x, y = x + middle - (grown - turn) * middle, y + middle - (grown + turn) * middle
    return np.array([[grown, -turn, x], [turn, grown, y], [0, 0, 1]])


def cell_centres(size: int) -> Matrix:
    """(CELLS * CELLS, 2) x, y of the cells' middles in pixels of a size x size picture, row by row."""
    at = (np.arange(CELLS) + 0.5) * size / CELLS - 0.5
    x, y = np.meshgrid(at, at)
    return np.stack([x.ravel(), y.ravel()], -1)


@functools.lru_cache(maxsize=8)
def _design(size: int) -> Matrix:
    """(4, 2 * CELLS * CELLS): how shift x, shift y, growth and turn move each cell, first in x and then in y."""
    x, y = (cell_centres(size) - (size - 1) / 2).T
    one, none = np.ones_like(x), np.zeros_like(x)
    return np.stack([np.concatenate(each) for each in ((one, none), (none, one), (x, y), (-y, x))])


def _gradient(grey: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Central differences in x and y, per pixel."""
    kernel = np.array([[-0.5, 0, 0.5]], np.float32)
    x = cv2.filter2D(grey, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
    y = cv2.filter2D(grey, cv2.CV_32F, kernel.T, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _times(matrices: Matrix, vectors: Matrix) -> Matrix:
    """(3, n) symmetric matrices times (2, n) vectors."""
    return np.asarray(matrices[:2] * vectors[0] + matrices[1:] * vectors[1])


def _shrunk_motion(normal: Matrix, right: Matrix) -> Matrix:
    """(2, n) solutions of normal + `_SHRINKING`, (3, n), for `right`."""
    xx, xy, yy = normal[0] + _SHRINKING, normal[1], normal[2] + _SHRINKING
    return np.asarray(_times(np.stack([yy, -xy, xx]), right) / (xx * yy - xy * xy))


def _certainty(normal: Matrix, skin: float) -> Matrix:
    """(3, n) inverse covariances of the cells' motion, noise^2 normal^-1 + skin, without the inverse of a weak normal.

    That is (noise^2 + skin normal)^-1 normal, whose factors commute.
    """
    variance = _NOISE_LEVELS**2
    determinant = normal[0] * normal[2] - normal[1] ** 2
    whole = variance**2 + variance * skin * (normal[0] + normal[2]) + skin**2 * determinant
    found = variance * normal
    found[::2] += skin * determinant
    return np.asarray(found / whole)
