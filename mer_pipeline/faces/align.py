"""Stage `align`: from pixels of a frame to the canonical face, without eating the motion.

Landmarks jitter by more than a micro-expression moves, so a clip gets ONE similarity transform, from the landmarks of
its onset. What the head itself moves afterwards is removed by a registration of the skin that no muscle moves (see
`registration`), never by fitting landmarks that an expression moves.

The canonical face is the unit square: (0, 0) its upper left corner, (1, 1) its lower right one, so that a crop of any
size is one scaling away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Image, Matrix
from mer_pipeline.choices import REGISTRATIONS, Registration
from mer_pipeline.faces.landmarks import EYES_UNIT_XY, Landmarks
from mer_pipeline.faces.registration import CELLS, Template, similarity

# Registration works on a grid of this many pixels: one is about one pixel of a 640x480 recording of a face.
_GRID = 224
# Standard deviation of the blur before gradients are taken, in pixels of the grid: sharp edges are not linear over one.
_BLUR_PX = 1.5
# A face so large that its scale is at most half of this is averaged in blocks, up to this scale, before it is blurred:
# the cost of a blur grows with the area and with its width.
_SHRUNK_SCALE = 0.5
_STEPS = 30
_CONVERGED_PX = 0.003
# A last step of this size is still a registration: cv2.warpAffine places its samples in steps of 1/32 pixel.
_SETTLED_PX = 0.03
# A head that moved farther than this between onset and apex did not drift: the registration found something else.
_MOST_DRIFT_PX = 0.1 * _GRID
_LEAST_CORRELATION = 0.8
# How far above the landmarks forehead and hairline reach, in the unit square: this far, or to this row if farther.
_FOREHEAD, _HAIRLINE = 0.08, 0.06
# How far around the opening of an eye its lids move in a blink, in widths of the eye (x, y).
_LIDS_XY = (0.1, 0.4)


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
    source, target = (points[:, 0] + 1j * points[:, 1] for points in (landmarks.eyes_xy, EYES_UNIT_XY))
    turn = (target[1] - target[0]) / (source[1] - source[0])
    shift = target[0] - turn * source[0]
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def warp(image: Image, to_unit: Matrix, size: int) -> Image:
    """Sample the unit square of a frame as a (size, size, channels) image: one interpolation from the source pixels."""
    image, matrix, scale = _around_face(image, to_unit, size)
    if scale < 0.75:
        # Large faces: without a low-pass the source's fine detail would fold into the crop as false motion.
        sigma = 0.5 * np.sqrt(1 / scale**2 - 1)
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return warped.astype(np.uint8, copy=False)


def smooth_face(image: Image, to_unit: Matrix, size: int) -> FloatImage:
    """The unit square of a frame in grey, (size, size) float32, smoothed for gradients.

    Args:
        image: (H, W, 3) RGB.
        to_unit: (2, 3) matrix from the frame to the unit square.
        size: Side of the result in pixels.
    """
    image, matrix, scale = _around_face(image, to_unit, size)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    sigma = _BLUR_PX / scale
    shrink = min(int(_SHRUNK_SCALE / scale), *grey.shape)  # little is left of a face that leaves the frame
    if shrink > 1:
        small, matrix = _shrunk(grey, matrix, shrink)
        # A mean over n pixels is a blur with the variance (n^2 - 1) / 12; what is missing follows.
        sigma, scale = math.sqrt(sigma**2 - (shrink**2 - 1) / 12) / shrink, scale * shrink
    else:
        small = grey.astype(np.float32)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma)
    flags = cv2.INTER_CUBIC if scale > 0.75 else cv2.INTER_LINEAR
    warped = cv2.warpAffine(blurred, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _shrunk(grey: Image, matrix: Matrix, times: int) -> tuple[FloatImage, Matrix]:
    """A picture with blocks of pixels averaged, and the warp from there.

    Whole rows are added first, and as the small integers that they are: half of the time of a resampling of floats.
    """
    height, width = (side // times for side in grey.shape)
    rows = grey[: height * times : times, : width * times].astype(np.uint16)
    for at in range(1, times):
        rows += grey[at : height * times : times, : width * times]
    blocks = rows[:, ::times].astype(np.float32)
    for at in range(1, times):
        blocks += rows[:, at::times]
    middle = matrix[:, :2].sum(1) * (times - 1) / 2
    return blocks * np.float32(1 / times**2), np.column_stack([matrix[:, :2] * times, matrix[:, 2] + middle])


def _around_face(image: Image, to_unit: Matrix, size: int) -> tuple[Image, Matrix, float]:
    """The part of a frame that a warp reads (what lies beyond need not be blurred), the warp from there, its scale."""
    matrix = unit_to_grid(size) @ _square(to_unit)
    (a, b, shift_x), (c, d, shift_y) = matrix.tolist()
    determinant = a * d - b * c
    scale = math.sqrt(abs(determinant))
    # Of the grid in the frame: its middle, and how far its corners are from there.
    right, down = size / 2 - 0.5 - shift_x, size / 2 - 0.5 - shift_y
    middle = (d * right - b * down) / determinant, (a * down - c * right) / determinant
    half, margin = size / 2 / abs(determinant), 16 + 4 / scale
    x0, x1 = _within(image.shape[1], middle[0], half * (abs(b) + abs(d)) + margin)
    y0, y1 = _within(image.shape[0], middle[1], half * (abs(a) + abs(c)) + margin)
    matrix[:, 2] += a * x0 + b * y0, c * x0 + d * y0
    return image[y0:y1, x0:x1], matrix, scale


def _within(side: int, middle: float, around: float) -> tuple[int, int]:
    """Where a stretch begins and ends in a side of a picture; at least one pixel is left of one that lies outside."""
    first = min(max(math.floor(middle - around), 0), side - 1)
    return first, min(max(math.ceil(middle + around), first + 1), side)


def unit_to_grid(size: int) -> Matrix:
    """(2, 3) matrix from the unit square to pixel coordinates of a size x size image; pixel centres are integers."""
    return np.array([[size, 0, -0.5], [0, size, -0.5]], np.float64)


def align(
    frames: dict[int, Image], onset_frame: int, landmarks: Landmarks, *, registration: Registration = "stable"
) -> list[AlignedFace]:
    """Place the canonical face in every frame of a clip.

    Args:
        frames: RGB frames by index; holds the onset.
        onset_frame: The frame that the landmarks belong to.
        landmarks: The face in the onset.
        registration: `stable` removes the head's motion since the onset; `none` leaves it in.

    Raises:
        ValueError: No such registration.
    """
    if registration not in REGISTRATIONS:
        raise ValueError(f"registration must be one of {REGISTRATIONS}, got {registration!r}")
    base = face_to_unit(landmarks)
    if registration == "none":
        return [AlignedFace(index, base) for index in sorted(frames)]
    template = Template(smooth_face(frames[onset_frame], base, _GRID), trusted_cells(landmarks, base))
    aligned = {onset_frame: AlignedFace(onset_frame, base)}
    for indices in (sorted(i for i in frames if i > onset_frame), sorted(i for i in frames if i < onset_frame)[::-1]):
        start = base  # a head that keeps moving is followed from frame to frame, away from the onset
        for index in indices:
            aligned[index] = _register(index, frames[index], base, template, start)
            start = aligned[index].to_unit
    return [aligned[index] for index in sorted(aligned)]


def trusted_cells(landmarks: Landmarks, to_unit: Matrix) -> Matrix:
    """How much of each cell is face, without the eyes that blink; (CELLS * CELLS,) 0 to 1."""
    fine = 8 * CELLS
    linear, shift = to_unit[:, :2].T, to_unit[:, 2]
    outline = landmarks.outline_xy @ linear + shift
    above = outline - (0, max(_FOREHEAD, float(outline[:, 1].min()) - _HAIRLINE))
    mask = np.zeros((fine, fine), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(np.vstack([outline, above]) * fine).astype(np.int32)), (1,))
    for opening in landmarks.eye_openings_xy @ linear + shift:
        margin = np.multiply(_LIDS_XY, np.ptp(opening[:, 0]))
        corners = np.array([opening.min(0) - margin, opening.max(0) + margin])
        (x0, y0), (x1, y1) = np.clip(np.rint(corners * fine).astype(int), 0, fine)
        mask[y0:y1, x0:x1] = 0
    share = cv2.resize(mask.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
    return np.where(share > 0.6, share, 0.0)


def _register(index: int, image: Image, base: Matrix, template: Template, start: Matrix) -> AlignedFace:
    """Find the head's motion since the onset and undo it, beginning at `start`; every step samples the frame anew."""
    to_grid, to_unit = _square(unit_to_grid(_GRID)), _square(start)
    from_grid = np.linalg.inv(to_grid)
    weight, step_px = None, np.inf
    for _ in range(_STEPS):
        grey = smooth_face(image, to_unit[:2], _GRID)
        if step_px < _CONVERGED_PX:
            break
        head, weight = template.compare(grey).head(template.trust, weight)
        step_px = float(np.abs(head * (1, 1, _GRID / 2, _GRID / 2)).max())
        # The step takes a point of the reference to where it is now; the canonical face is found by the way back.
        to_unit = from_grid @ np.linalg.inv(similarity(head, _GRID)) @ to_grid @ to_unit
    total = to_grid @ _square(base) @ np.linalg.inv(to_unit) @ from_grid
    middle = np.array([_GRID / 2, _GRID / 2])
    drift_px = float(np.linalg.norm(total[:2] @ [*middle, 1] - middle))
    alike = template.likeness(grey, template.trust)
    if step_px >= _SETTLED_PX or drift_px > _MOST_DRIFT_PX or not alike >= _LEAST_CORRELATION:
        return AlignedFace(index, base, registered=False)
    return AlignedFace(index, to_unit[:2], drift_px=drift_px)


def _square(matrix: npt.NDArray[Any]) -> Matrix:
    return np.vstack([matrix, [0, 0, 1]]).astype(np.float64)
