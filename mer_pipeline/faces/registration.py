"""How skin and head moved between two pictures of one face, by small cells of the canonical face.

The face is divided into cells. The motion of each is the least-squares solution of the brightness difference (Lucas and
Kanade, IJCAI 1981), with the mean of both pictures' gradients, which cancels the second-order error, and an offset of
its own, so that shades are no motion. The head's motion is the similarity (shift, turn, growth) that most cells agree
on: iteratively reweighted least squares with the weights of Geman and McClure (1987), which leave out the cells that an
expression moves, wherever in the face they are. No region has to be declared still beforehand.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Matrix

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
_SHRINKING = _NOISE_LEVELS**2 / 1.0**2 * np.eye(2)


@dataclass(frozen=True)
class CellMotion:
    """What one comparison found.

    Attributes:
        normal: (CELLS * CELLS, 2, 2) sums of products of the gradients.
        right: (CELLS * CELLS, 2) sums of gradient times difference, negated: normal @ motion = right.
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
            right = right - (self.normal @ (_design(self.size) @ head)[..., None])[..., 0]
        return _solved(self.normal + _SHRINKING, right)

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
        trust, normal, right = trust[used], self.normal[used], self.right[used]
        design = _design(self.size)[used]
        skin = _SKIN_PX * self.size / 224
        # A cell's motion has the covariance noise^2 normal^-1 + skin^2; written without the inverse of a weak normal.
        inverse = _solved(_NOISE_LEVELS**2 * np.eye(2) + skin**2 * normal, normal)
        motion = _solved(normal + _SHRINKING, right)
        pull = inverse @ design
        projected = design.transpose(0, 2, 1) @ pull
        target = (pull * motion[..., None]).sum(1)
        weight = trust if start is None else start[used]
        scale = np.inf
        for step in range(_REWEIGHTINGS if start is None else _REFINEMENTS):
            head = np.linalg.solve(np.tensordot(weight, projected, 1) + 1e-9 * np.eye(4), weight @ target)
            away = motion - design @ head
            error = (away * (inverse @ away[..., None])[..., 0]).sum(1)
            spread = 1.5 * float(np.median(error))
            # From coarse to fine: the first solutions may still be drawn by the expression.
            coarse = spread if step == 0 or start is not None else min(0.5 * scale, spread)
            scale = max(_TOLERANCE**2, coarse)
            weight = trust / (1 + error / scale) ** 2
        weights = np.zeros(len(self.normal))
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
        self._means = _cells(grey)[0]

    def compare(self, grey: FloatImage) -> CellMotion:
        """The motion of every cell from the template to another picture of the same size."""
        size = len(grey)
        light = float(self.trust @ _cells(grey)[0]) / max(float(self.trust @ self._means), 1e-6)
        grey = grey / np.float32(max(light, 1e-3))
        x, y = (0.5 * (a + b) for a, b in zip(self._gradient_xy, _gradient(grey), strict=True))
        d = grey - self.grey
        mean_x, mean_y, mean_d = _cells(x, y, d)
        xx, xy, yy = _cells(x * x, x * y, y * y)
        xd, yd = _cells(x * d, y * d)
        pixels = (size / CELLS) ** 2
        normal = np.stack([xx - mean_x**2, xy - mean_x * mean_y, xy - mean_x * mean_y, yy - mean_y**2], -1)
        right = np.stack([mean_x * mean_d - xd, mean_y * mean_d - yd], -1)
        return CellMotion(pixels * normal.reshape(-1, 2, 2), pixels * right, size)

    def likeness(self, grey: FloatImage, weight: Matrix) -> float:
        """Correlation of both pictures' detail over the weighted cells, -1 to 1."""
        mean_a, mean_b = self._means, _cells(grey)[0]
        aa, ab, bb = _cells(self.grey * self.grey, self.grey * grey, grey * grey)
        aa, ab, bb = aa - mean_a**2, ab - mean_a * mean_b, bb - mean_b**2
        # A picture without detail is like nothing: rounding alone gives it a variance of about 0.001.
        least = 0.01 * float(weight.sum()) + 1e-9
        energies = np.maximum((weight @ aa, weight @ bb), least)
        return float(weight @ ab / np.sqrt(energies.prod()))


def similarity(head: Matrix, size: int) -> Matrix:
    """(3, 3) matrix of a head's motion (shift x, shift y, growth, turn), in pixels of a size x size picture."""
    growth, turn = head[2:]
    linear = np.array([[1 + growth, -turn], [turn, 1 + growth]])
    middle = np.full(2, (size - 1) / 2)
    return np.vstack([np.column_stack([linear, middle + head[:2] - linear @ middle]), [0, 0, 1]])


def cell_centres(size: int) -> Matrix:
    """(CELLS * CELLS, 2) x, y of the cells' middles in pixels of a size x size picture, row by row."""
    at = (np.arange(CELLS) + 0.5) * size / CELLS - 0.5
    x, y = np.meshgrid(at, at)
    return np.stack([x.ravel(), y.ravel()], -1)


@functools.lru_cache(maxsize=8)
def _design(size: int) -> Matrix:
    """(CELLS * CELLS, 2, 4): how shift x, shift y, growth and turn move each cell."""
    x, y = (cell_centres(size) - (size - 1) / 2).T
    one, none = np.ones_like(x), np.zeros_like(x)
    return np.stack([np.stack([one, none, x, -y], -1), np.stack([none, one, y, x], -1)], 1)


def _gradient(grey: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Central differences in x and y, per pixel."""
    kernel = np.array([[-0.5, 0, 0.5]], np.float32)
    x = cv2.filter2D(grey, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
    y = cv2.filter2D(grey, cv2.CV_32F, kernel.T, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _cells(*images: npt.NDArray[Any]) -> list[Matrix]:
    """The mean of each image over every cell, (CELLS * CELLS,) each."""
    return [cv2.resize(i, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(np.float64).ravel() for i in images]


def _solved(matrices: Matrix, right: Matrix) -> Matrix:
    """Solve (n, 2, 2) systems in closed form; `right` is (n, 2) or (n, 2, 2)."""
    (a, b), (c, d) = np.moveaxis(matrices, 0, -1)
    inverse = np.moveaxis(np.array([[d, -b], [-c, a]]) / (a * d - b * c), -1, 0)
    return np.asarray((inverse @ right[..., None])[..., 0] if right.ndim == 2 else inverse @ right)
