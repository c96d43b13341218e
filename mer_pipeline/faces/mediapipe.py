"""Faces by MediaPipe's own package, through its Tasks: the models of `face_mesh` in another program.

As single images, also where they are a video: the landmarks of a video MediaPipe smooths, by a pixel and more.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import zipfile
from typing import Any

import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh.canvas import Canvas, on_canvas
from mer_pipeline.faces.face_mesh.models import DETECTOR, MESH, FaceModels
from mer_pipeline.faces.face_mesh.networks import native_stderr_silenced
from mer_pipeline.faces.landmarks import Landmarks

_MAX_FACES = 4


def check_mediapipe() -> None:
    """Refuse where there is no MediaPipe; nothing is loaded.

    Raises:
        MerError: It is absent.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise MerError(
            "--detector mediapipe-tasks needs mediapipe, which is not installed",
            fix="pip install 'mer-pipeline[mediapipe]', or choose --detector face-mesh: the same models without it",
        )


class MediapipeFaces:
    """Finds faces in single frames; for one process and one thread."""

    def __init__(self, models: FaceModels) -> None:
        """Load the models."""
        self._source = models.source
        with native_stderr_silenced():
            # Imported here because it is optional, and takes seconds.
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision

            self._image: Any = lambda rgb: mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)
            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=_as_task(models)),
                running_mode=vision.RunningMode.IMAGE,
                num_faces=_MAX_FACES,
            )
            self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)

    def __call__(self, rgb: Image) -> list[Landmarks]:
        """Every face in a (H, W, 3) RGB frame, largest first."""
        return on_canvas(rgb, self._find)

    def close(self) -> None:
        """Free the models."""
        with contextlib.suppress(RuntimeError):  # a graph that has failed says so once more
            self._landmarker.close()

    def _find(self, canvas: Canvas) -> list[Landmarks]:
        try:
            found = self._landmarker.detect(self._image(np.ascontiguousarray(canvas.square))).face_landmarks
        except RuntimeError:
            fix = "use the models of: mer setup"
            raise MerError("MediaPipe fails at work with its models", where=self._source, fix=fix) from None
        points = [np.array([(point.x, point.y, point.z) for point in face], np.float64) * canvas.side for face in found]
        return [Landmarks(each[:, :2], depth=each[:, 2]) for each in points]


def _as_task(models: FaceModels) -> bytes:
    """The models as a `.task` file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(DETECTOR, models.detector)
        archive.writestr(MESH, models.mesh)
    return content.getvalue()
