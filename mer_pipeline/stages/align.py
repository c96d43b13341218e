"""Stage `align`: from pixels of a frame to the canonical face, without eating the motion.

Landmarks jitter by more than a micro-expression moves, so a clip gets ONE similarity transform, from the landmarks of
its onset. What the head itself moves afterwards is removed by a rigid registration of the stable regions (forehead and
nose bridge), never by fitting landmarks that an expression moves.

The canonical face is the unit square: (0, 0) its upper left corner, (1, 1) its lower right one, so that a crop of any
size is one scaling away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.stages.detect import Landmarks

VERSION = 1

Matrix = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
GreyImage = npt.NDArray[np.float32]

# Eye corners, not lids or pupils: they stay where they are when a person blinks or looks aside.
_EYE_CORNERS = ((33, 133), (362, 263))
# Where the middles of the eyes lie in the unit square: 0.34 apart leaves room for brows above and the chin below.
_EYES_XY = np.array([(0.33, 0.37), (0.67, 0.37)])
# Registration works on a grid of this many pixels: one is about one pixel of a 640x480 recording of a face.
_GRID = 224
_STEPS = 30
_CONVERGED_PX = 0.003
# A head that moved farther than this between onset and apex did not drift: the registration found something else.
_MOST_DRIFT_PX = 0.1 * _GRID
_LEAST_CORRELATION = 0.8
# Regions of the unit square that expressions move least, as (x0, y0, x1, y1): forehead above the brows, nose.
_STABLE_XYXY = ((0.22, 0.02, 0.78, 0.16), (0.41, 0.30, 0.59, 0.56))


@dataclass(frozen=True)
class AlignedFace:
    """Where the canonical face lies in one frame.

    Attributes:
        frame: 0-based index.
        to_unit: (2, 3) matrix from pixel coordinates of the frame to the unit square.
        drift_px: How far the head had moved since the onset, in pixels of a 224 x 224 crop; 0 for the onset itself.
        registered: False where registration did not converge, so that head drift remains.
    """

    frame: int
    to_unit: Matrix
    drift_px: float = 0.0
    registered: bool = True

    def __post_init__(self) -> None:
        if self.to_unit.shape != (2, 3):
            raise ValueError(f"to_unit must have shape (2, 3), got {self.to_unit.shape}")


def face_to_unit(landmarks: Landmarks) -> Matrix:
    """The similarity that brings the eyes to their canonical place; (2, 3), pixels to unit square."""
    eyes = np.array([landmarks.points_xy[list(corners)].mean(0) for corners in _EYE_CORNERS])
    source, target = (points[:, 0] + 1j * points[:, 1] for points in (eyes, _EYES_XY))
    turn = (target[1] - target[0]) / (source[1] - source[0])
    shift = target[0] - turn * source[0]
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def warp(image: Image, to_unit: Matrix, size: int) -> Image:
    """Sample the unit square of a frame as a (size, size, channels) image: one interpolation from the source pixels."""
    matrix = unit_to_grid(size) @ np.vstack([to_unit, [0, 0, 1]])
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.75:
        # Large faces: without a low-pass the source's fine detail would fold into the crop as false motion.
        sigma = 0.5 * np.sqrt(1 / scale**2 - 1)
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return warped.astype(np.uint8, copy=False)


def unit_to_grid(size: int) -> Matrix:
    """(2, 3) matrix from the unit square to pixel coordinates of a size x size image; pixel centres are integers."""
    return np.array([[size, 0, -0.5], [0, size, -0.5]], np.float64)


def align(frames: dict[int, Image], onset_frame: int, landmarks: Landmarks) -> list[AlignedFace]:
    """Place the canonical face in every frame of a clip.

    Args:
        frames: RGB frames by index; holds the onset.
        onset_frame: The frame that the landmarks belong to.
        landmarks: The face in the onset.
    """
    base = face_to_unit(landmarks)
    reference = _grey(frames[onset_frame], base)
    return [
        AlignedFace(index, base) if index == onset_frame else _register(index, image, base, reference)
        for index, image in sorted(frames.items())
    ]


def _register(index: int, image: Image, base: Matrix, reference: GreyImage) -> AlignedFace:
    """Find the rigid motion of the stable regions since the onset and undo it.

    Gauss-Newton on the brightness difference (Lucas and Kanade, IJCAI 1981) with the mean of both images' gradients,
    which cancels the second-order error; a gain and an offset take up changes of light. Every step samples the frame
    anew.
    """
    rows, columns = np.nonzero(_stable_mask())
    centre = np.array([_GRID / 2, _GRID / 2])
    to_grid, to_unit = _square(unit_to_grid(_GRID)), _square(base)
    step_px = np.inf
    for _ in range(_STEPS):
        grey = _grey(image, to_unit[:2])
        if step_px < _CONVERGED_PX:
            break
        shift_x, shift_y, theta = _rigid_step(reference, grey, rows, columns, centre)
        step_px = max(abs(shift_x), abs(shift_y), abs(theta) * _GRID / 2)
        # The step takes a point of the reference to where it is now; the canonical face is found by the way back.
        moved = np.linalg.inv(_rigid(shift_x, shift_y, theta, centre))
        to_unit = np.linalg.inv(to_grid) @ moved @ to_grid @ to_unit
    total = to_grid @ _square(base) @ np.linalg.inv(to_unit) @ np.linalg.inv(to_grid)
    drift_px = float(np.linalg.norm(total[:2] @ [*centre, 1] - centre))
    alike = _correlation(reference[rows, columns], grey[rows, columns])
    if step_px >= _CONVERGED_PX or drift_px > _MOST_DRIFT_PX or alike < _LEAST_CORRELATION:
        return AlignedFace(index, base, registered=False)
    return AlignedFace(index, to_unit[:2], drift_px=drift_px)


def _correlation(one: GreyImage, other: GreyImage) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum() + 1e-9))


def _rigid_step(
    reference: GreyImage, grey: GreyImage, rows: npt.NDArray[Any], columns: npt.NDArray[Any], centre: Matrix
) -> tuple[float, float, float]:
    """One least-squares step: how far `grey` is shifted (pixels) and turned (radians) against the reference."""
    mean = (reference + grey) / 2
    gradient_y, gradient_x = (g[rows, columns] for g in np.gradient(mean))
    turn = (columns - centre[0]) * gradient_y - (rows - centre[1]) * gradient_x
    design = np.stack([-gradient_x, -gradient_y, -turn, reference[rows, columns], np.ones_like(turn)], 1)
    difference = (grey - reference)[rows, columns].astype(np.float64)
    weight = np.ones_like(difference)
    for _ in range(2):  # the second solution leaves out hair, glare and wrinkles, which do not fit
        solution = np.linalg.lstsq(design * weight[:, None], difference * weight, rcond=None)[0]
        residual = np.abs(difference - design @ solution)
        weight = (residual <= 3 * 1.4826 * np.median(residual) + 1e-6).astype(np.float64)
    return float(solution[0]), float(solution[1]), float(solution[2])


def _rigid(shift_x: float, shift_y: float, theta: float, centre: Matrix) -> Matrix:
    """(3, 3) rotation about a centre, then a shift, in pixels of the registration grid."""
    rotation = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    return np.vstack(
        [np.column_stack([rotation, centre + np.array([shift_x, shift_y]) - rotation @ centre]), [0, 0, 1]]
    )


def _grey(image: Image, to_unit: Matrix) -> GreyImage:
    grey = np.asarray(cv2.cvtColor(warp(image, to_unit, _GRID), cv2.COLOR_RGB2GRAY), np.float32)
    # Gradients of sharp edges are no longer linear over a pixel.
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.5), np.float32)


def _stable_mask() -> Image:
    mask = np.zeros((_GRID, _GRID), np.uint8)
    for x0, y0, x1, y1 in _STABLE_XYXY:
        mask[round(y0 * _GRID) : round(y1 * _GRID), round(x0 * _GRID) : round(x1 * _GRID)] = 1
    return mask


def _square(matrix: npt.NDArray[Any]) -> Matrix:
    return np.vstack([matrix, [0, 0, 1]]).astype(np.float64)
