"""Faces by MediaPipe Face Mesh with its bundled models."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.faces.landmarks import Landmarks


class FaceMesh:
    """Finds faces in single frames; use it as a context manager, for one process and one thread.

    >>> with FaceMesh() as mesh:
    ...     mesh(np.zeros((64, 64, 3), np.uint8))
    []
    """

    def __init__(self, max_faces: int = 4) -> None:
        os.environ.setdefault("GLOG_minloglevel", "3")
        with _native_stderr_silenced():
            # Imported here because it takes seconds and `mer --help` must not wait for it.
            import mediapipe

            self._mesh: Any = mediapipe.solutions.face_mesh.FaceMesh(
                static_image_mode=True, max_num_faces=max_faces, refine_landmarks=True, min_detection_confidence=0.5
            )
            self._mesh.process(np.zeros((64, 64, 3), np.uint8))  # the models load, and talk, on first use
        self._has_talked = False

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._mesh.close()

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> list[Landmarks]:
        """Every face in a (H, W, 3) RGB frame, largest first."""
        # The detector was trained on faces with room around them; a tightly cropped face is found with a border.
        return self._find(rgb, border=0.0) or self._find(rgb, border=0.35)

    def _find(self, rgb: npt.NDArray[np.uint8], border: float) -> list[Landmarks]:
        height, width = rgb.shape[:2]
        pad = round(border * max(height, width))
        # A square canvas: MediaPipe places the points of a non-square frame wrongly once the head is tilted.
        side = max(height, width) + 2 * pad
        framed = cv2.copyMakeBorder(
            rgb, pad, side - height - pad, pad, side - width - pad, cv2.BORDER_REPLICATE if pad else cv2.BORDER_CONSTANT
        )
        faces = []
        # The landmark model loads, and talks, with the first face that is found.
        with contextlib.nullcontext() if self._has_talked else _native_stderr_silenced():
            found = self._mesh.process(framed).multi_face_landmarks or ()
        self._has_talked |= bool(found)
        for face in found:
            points = np.array([(p.x, p.y) for p in face.landmark], np.float64) * side - pad
            if np.ptp(points, axis=0).min() > 0:
                faces.append(Landmarks(points))
        return sorted(faces, key=lambda face: -face.box.area)


@contextlib.contextmanager
def _native_stderr_silenced() -> Iterator[None]:
    """Drop what MediaPipe's native libraries write to file descriptor 2 while they load; they offer no switch."""
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
