"""MediaPipe's Face Mesh without MediaPipe: its two models through LiteRT, with numpy and OpenCV around them.

`models` knows where the models are, `install` gets them, `rewrite` makes of one what LiteRT can run, `networks` runs
them, `canvas` is what they are shown, and `regions` is the geometry between the two.
"""

from __future__ import annotations

from types import TracebackType

import cv2
import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.faces.face_mesh.canvas import Canvas, on_canvas
from mer_pipeline.faces.face_mesh.models import FaceModels, read_models
from mer_pipeline.faces.face_mesh.networks import FaceNetworks
from mer_pipeline.faces.face_mesh.regions import Region, detected, distinct
from mer_pipeline.faces.landmarks import Landmarks


class FaceMesh:
    """Finds faces in frames; for one process and one thread.

    >>> with FaceMesh() as mesh:
    ...     mesh(np.zeros((64, 64, 3), np.uint8))
    []
    """

    def __init__(self, max_faces: int = 4, *, tracking: bool = False, models: FaceModels | None = None) -> None:
        """Load the models.

        Args:
            max_faces: How many faces are searched for.
            tracking: The frames are consecutive ones of a video: a face is searched for where it was in the frame
                before, and everywhere only while there are fewer than `max_faces`. Faster, but where a face is found
                then depends on all frames before.
            models: None for those of `mer setup`.

        Raises:
            MerError: The models are absent, damaged or others.
        """
        self._networks = FaceNetworks(models or read_models())
        self._max_faces, self._tracking = max_faces, tracking
        self._tracked: list[Region] = []

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def __call__(self, rgb: Image) -> list[Landmarks]:
        """Every face in a (H, W, 3) RGB frame, largest first."""
        return on_canvas(rgb, self._find)

    def _find(self, canvas: Canvas) -> list[Landmarks]:
        regions = [region.moved(canvas.pad, canvas.pad) for region in self._tracked]
        if len(regions) < self._max_faces:
            regions = distinct([*self._detect(canvas), *regions])
        found = [face for region in regions if (face := self._face(canvas, region)) is not None]
        if self._tracking:
            self._tracked = [Region.of_mesh(face.points_xy - canvas.pad) for face in found]
        return found

    def _detect(self, canvas: Canvas) -> list[Region]:
        networks = self._networks
        picture = canvas.crop(canvas.whole, networks.detector_px, cv2.BORDER_CONSTANT)
        values = picture.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
        found = detected(*networks.boxes(values), networks.anchors_xy, networks.detector_px)
        faces_xy = [canvas.side * face for face in found[: self._max_faces]]
        return [Region.around(face_xy[0], face_xy[1], face_xy[2:4]) for face_xy in faces_xy]

    def _face(self, canvas: Canvas, region: Region) -> Landmarks | None:
        """In pixels of the canvas, or None where there is no face."""
        if not region.side > 0:
            return None
        size = self._networks.mesh_px
        picture = canvas.crop(region, size, cv2.BORDER_REPLICATE)
        points, flag = self._networks.points(picture.astype(np.float32) * np.float32(1 / 255))
        if not flag > 0:
            return None
        of_region = points.astype(np.float64) / size
        return Landmarks(region.to_picture(of_region[:, :2]), score=flag, depth=of_region[:, 2] * region.side)
