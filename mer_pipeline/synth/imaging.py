"""OpenCV with element types: what goes in as uint8 or float32 comes out as such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Image, Mask, Matrix

Pixel = TypeVar("Pixel", np.uint8, np.float32, np.float64)
Frames = Iterator[Image]  # of one size, RGB, in order
_JPEG_QUALITY = 95
_cv: Any = cv2  # its own annotations know no element type and refuse None, () and scalars that it takes


def remap(picture: npt.NDArray[Pixel], map_xy: FloatImage, interpolation: int = cv2.INTER_CUBIC) -> npt.NDArray[Pixel]:
    """Sample a picture at the points of a (H, W, 2) map; beyond its border it is mirrored."""
    sampled: npt.NDArray[Pixel] = _cv.remap(picture, map_xy, None, interpolation, borderMode=cv2.BORDER_REFLECT_101)
    return sampled


def warp(
    picture: npt.NDArray[Pixel],
    affine: Matrix,
    size_wh: tuple[int, int],
    interpolation: int = cv2.INTER_CUBIC,
    border: int = cv2.BORDER_REFLECT_101,
) -> npt.NDArray[Pixel]:
    """Move a picture by a (2, 3) affine map from its pixels to those of the result."""
    warped: npt.NDArray[Pixel] = _cv.warpAffine(picture, affine, size_wh, flags=interpolation, borderMode=border)
    return warped


def resize(
    picture: npt.NDArray[Pixel], size_wh: tuple[int, int], interpolation: int = cv2.INTER_AREA
) -> npt.NDArray[Pixel]:
    """Bring a picture to a size."""
    resized: npt.NDArray[Pixel] = _cv.resize(picture, size_wh, interpolation=interpolation)
    return resized


def blur(picture: npt.NDArray[Pixel], sigma_px: float) -> npt.NDArray[Pixel]:
    """Gaussian blur."""
    blurred: npt.NDArray[Pixel] = _cv.GaussianBlur(picture, (0, 0), sigma_px)
    return blurred


def transform(points_xy: Matrix, affine: Matrix) -> Matrix:
    """Apply a (2, 3) affine map to points of any leading shape."""
    return np.asarray(points_xy @ affine[:, :2].T + affine[:, 2])


def soft_polygons(polygons_xy: Sequence[Matrix], size_wh: tuple[int, int], softness_px: float) -> FloatImage:
    """1 inside any of the polygons, 0 outside, blurred across their edges: (H, W) float32."""
    mask = np.zeros(size_wh[::-1], np.float32)
    for polygon_xy in polygons_xy:
        _cv.fillPoly(mask, [np.rint(polygon_xy).astype(np.int32)], 1.0)
    return blur(mask, softness_px)


def hull(points_xy: Matrix) -> Matrix:
    """The convex polygon around points."""
    return np.asarray(_cv.convexHull(points_xy.astype(np.float32))[:, 0], np.float64)


def grab_cut(rgb: Image, labels: Image, rounds: int) -> Mask:
    """Foreground by GrabCut from a labelling in cv2.GC_*; the same input gives the same mask."""
    labels = labels.copy()
    _cv.setRNGSeed(0)  # it starts from k-means
    _cv.grabCut(rgb, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def denoise(rgb: Image) -> Image:
    """Remove faint grain and keep edges, by non-local means."""
    clean: Image = _cv.fastNlMeansDenoisingColored(rgb, None, 2, 2, 5, 15)
    return clean


def encode(rgb: Image, suffix: str = ".jpg", grey: bool = False) -> bytes:
    """An RGB frame as the bytes of an image file, of one channel if grey."""
    picture = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
    options = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY) if suffix == ".jpg" else ()
    return cv2.imencode(suffix, picture, options)[1].tobytes()
