"""Faces by dlib: the HOG detector that it carries, and 68 points by a predictor file that the user brings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.errors import MerError
from mer_pipeline.faces.landmarks import Landmarks, largest_first

_POINTS = 68
_FIX = (
    "get shape_predictor_68_face_landmarks.dat from dlib.net/files and name it with --predictor or "
    "MER_DLIB_PREDICTOR; it was trained on iBUG 300-W, whose terms forbid commercial use"
)


def check_predictor(predictor: Path | None) -> Path:
    """The predictor file, if dlib and it are there; loads neither.

    Raises:
        MerError: One of them is not; says what it is and where to get it.
    """
    if importlib.util.find_spec("dlib") is None:
        raise MerError("--detector dlib needs dlib, which is not installed", fix="pip install 'mer-pipeline[dlib]'")
    if predictor is None:
        raise MerError(
            "--detector dlib needs a file that finds 68 points in a face, which dlib does not carry", fix=_FIX
        )
    if not predictor.is_file():
        raise MerError("no such file, and --detector dlib needs one that finds 68 points", where=predictor, fix=_FIX)
    return predictor


class DlibFaces:
    """Finds faces and their 68 points; for one process and one thread."""

    def __init__(self, predictor: Path) -> None:
        """Load the detector and the predictor.

        Raises:
            MerError: The file is no predictor of 68 points.
        """
        # Imported here because it is optional.
        import dlib

        self._detector: Any = dlib.get_frontal_face_detector()
        try:
            self._predictor: Any = dlib.shape_predictor(str(predictor))
        except RuntimeError:
            raise MerError("not a predictor that dlib can read", where=predictor, fix=_FIX) from None
        points = self._predictor(np.zeros((64, 64, 3), np.uint8), dlib.rectangle(8, 8, 56, 56)).num_parts
        if points != _POINTS:
            raise MerError(f"finds {points} points, not {_POINTS}", where=predictor, fix=_FIX)

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> list[Landmarks]:
        """Every face in a (H, W, 3) RGB frame, largest first."""
        # As with Face Mesh, a tightly cropped face is found with a border; one smaller than 80 px, enlarged.
        return self._find(rgb, 0.0, 0) or self._find(rgb, 0.35, 0) or self._find(rgb, 0.0, 1)

    def _find(self, rgb: npt.NDArray[np.uint8], border: float, doublings: int) -> list[Landmarks]:
        pad = round(border * max(rgb.shape[:2]))
        framed = cv2.copyMakeBorder(rgb, pad, pad, pad, pad, cv2.BORDER_REPLICATE) if pad else rgb
        framed = np.ascontiguousarray(framed)
        shapes = [self._predictor(framed, box) for box in self._detector(framed, doublings)]
        points = (np.array([(point.x, point.y) for point in shape.parts()], np.float64) - pad for shape in shapes)
        return largest_first(Landmarks(each, "dlib68") for each in points)
