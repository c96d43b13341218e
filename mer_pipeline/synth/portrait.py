"""The photograph that every subject is drawn from, brought to one size around its face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Image, Matrix
from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.synth import imaging as pictures
from mer_pipeline.video import read_image

FACE_HEIGHT_PX = 480.0  # forehead to chin in a Portrait: twice its size in the frames
SIZE_WH = (2000, 1600)  # room for the frame around a face of any position and size
CENTER_XY = (1000.0, 820.0)
SMALLEST_FACE_PX = 48.0  # a smaller face has no brows and lids to move


@dataclass(frozen=True)
class Portrait:
    """A face at a known size and place.

    Attributes:
        rgb: (1600, 2000, 3) uint8; the face is 480 px high and centred at `CENTER_XY`.
        points_xy: (478, 2) float64, Face Mesh points in pixels of `rgb`.
        person: (1600, 2000) float32, 1 on the person and 0 on the background, with soft edges.
    """

    rgb: Image
    points_xy: Matrix
    person: FloatImage

    def __post_init__(self) -> None:
        width, height = SIZE_WH
        if self.rgb.shape != (height, width, 3) or self.person.shape != (height, width):
            raise ValueError(f"rgb and person must be {width}x{height}, got {self.rgb.shape}, {self.person.shape}")


def load_portraits(face: Path | None) -> tuple[Portrait, Portrait]:
    """The portrait and its mirror image.

    Args:
        face: A photograph; None takes the public-domain portrait of an astronaut that scikit-image ships.

    Raises:
        MerError: The photograph cannot be read or shows no face, or scikit-image is absent.
    """
    rgb = _astronaut() if face is None else read_image(face)
    with FaceMesh(max_faces=1) as mesh:
        found = mesh(rgb)
        if not found:
            raise MerError("no face found", where=face, fix="give a photo of one frontal face, well lit")
        if found[0].box.size_wh[1] < SMALLEST_FACE_PX:
            raise MerError(
                f"the face is only {found[0].box.size_wh[1]:.0f} px high",
                where=face,
                fix=f"give a photo whose face is at least {SMALLEST_FACE_PX:.0f} px high, better 250 px",
            )
        centred = _centre(rgb, found[0])
        person = _person_mask(centred)
        pictures = ((centred, person), (centred[:, ::-1], person[:, ::-1]))
        # The mirror image is searched anew: Face Mesh numbers its points by the person's left and right.
        portraits = [_locate(mesh, np.ascontiguousarray(p), np.ascontiguousarray(m), face) for p, m in pictures]
    return portraits[0], portraits[1]


def _locate(mesh: FaceMesh, rgb: Image, person: FloatImage, face: Path | None) -> Portrait:
    # Half size: the detector expects a face that does not fill thousands of pixels.
    found = mesh(pictures.resize(rgb, (SIZE_WH[0] // 2, SIZE_WH[1] // 2)))
    if not found:
        raise MerError("the face is lost after scaling", where=face, fix="give a photo of one frontal face, well lit")
    return Portrait(rgb, (found[0].points_xy + 0.5) * 2 - 0.5, person)


def _astronaut() -> Image:
    try:
        from skimage import data
    except ImportError:
        raise MerError(
            "the built-in portrait needs scikit-image, which is not installed",
            fix="run: pip install 'mer-pipeline[demo]', or give a photo of your own",
        ) from None
    photo: Any = data.astronaut  # without type information
    return np.asarray(photo(), np.uint8)


def _centre(rgb: Image, face: Landmarks) -> Image:
    """Scale and move the photo so that its face has the size and place of a Portrait; soften beyond its edges."""
    x0, y0, x1, y1 = face.box.box_xyxy
    scale = FACE_HEIGHT_PX / (y1 - y0)
    if scale > 1.5:
        rgb = pictures.denoise(rgb)  # enlarging would make blots of the grain
    elif scale < 0.5:
        rgb = pictures.blur(rgb, 0.4 / scale)  # the warp below samples single points
    if scale > 1:
        # Enlarged by a resize first: the warp places its samples on 1/32 px of its source, which would show as steps.
        size_wh = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        x_scale, y_scale = size_wh[0] / rgb.shape[1], size_wh[1] / rgb.shape[0]
        rgb = pictures.resize(rgb, size_wh, cv2.INTER_CUBIC)
        center_xy = ((x0 + x1 + 1) / 2 * x_scale - 0.5, (y0 + y1 + 1) / 2 * y_scale - 0.5)
        to_center = np.array([[1, 0, CENTER_XY[0] - center_xy[0]], [0, 1, CENTER_XY[1] - center_xy[1]]])
    else:
        center_xy = ((x0 + x1) / 2, (y0 + y1) / 2)
        to_center = np.array(
            [[scale, 0, CENTER_XY[0] - scale * center_xy[0]], [0, scale, CENTER_XY[1] - scale * center_xy[1]]]
        )
    picture = pictures.warp(rgb, to_center, SIZE_WH)
    shown = np.ones(rgb.shape[:2], np.float32)
    inside = pictures.warp(shown, to_center, SIZE_WH, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    softer = pictures.blur(picture, max(1.0, 0.6 * scale))
    sharp = np.rint(np.clip(picture * np.float32(1.35) - softer * np.float32(0.35), 0, 255)).astype(np.uint8)
    return _soften_outside(sharp, inside)


def _soften_outside(picture: Image, inside: FloatImage) -> Image:
    """Blur what the photo does not show, so that its mirrored border does not look like a second face."""
    if inside.min() > 0.5:
        return picture
    small = pictures.resize(picture, (SIZE_WH[0] // 8, SIZE_WH[1] // 8))
    blurred = pictures.resize(pictures.blur(small, 12), SIZE_WH, cv2.INTER_CUBIC)
    well_inside = np.asarray(cv2.erode(inside, np.ones((41, 41), np.uint8)), np.float32)
    weight = pictures.blur(well_inside, 14)[..., None]
    return np.asarray(np.rint(picture * weight + blurred * (1 - weight)), np.uint8)


def _person_mask(picture: Image) -> FloatImage:
    """Who stands before the background, by GrabCut from where a head and shoulders around the face must be."""
    shrink = 8
    width, height = SIZE_WH[0] // shrink, SIZE_WH[1] // shrink
    small = pictures.resize(picture, (width, height))
    x, y = np.meshgrid(np.arange(width) - CENTER_XY[0] / shrink, np.arange(height) - CENTER_XY[1] / shrink)
    x, y = x * shrink / FACE_HEIGHT_PX, y * shrink / FACE_HEIGHT_PX  # in heights of the face, from its middle
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels[(np.hypot(x / 0.95, y / 1.1) < 1) | (y > 0.45)] = cv2.GC_PR_FGD
    labels[np.hypot(x / 0.38, y / 0.5) < 1] = cv2.GC_FGD
    person = pictures.grab_cut(small, labels, rounds=4).astype(np.uint8)
    # Shrunk a little: a rim of the old backdrop would glow before a darker one.
    tight = cv2.erode(cv2.medianBlur(person, 5), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return pictures.resize(pictures.blur(np.asarray(tight, np.float32), 1.0), SIZE_WH, cv2.INTER_LINEAR)
