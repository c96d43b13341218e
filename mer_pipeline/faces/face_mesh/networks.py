"""The two networks of Face Mesh, run by LiteRT; their sizes are those of the files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage
from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh.models import FaceModels
from mer_pipeline.faces.landmarks import POINTS

_ANCHOR_VALUES = 16  # a box and six points
_ANCHORS = ((8, 2), (16, 6))  # pixels between cells, and how many anchors a cell has


class FaceNetworks:
    """Finds boxes in a picture, and points in a face.

    Attributes:
        detector_px: Side of the picture that `boxes` takes.
        anchors_xy: (anchors, 2) what its boxes and points count from, in the unit square.
        mesh_px: Side of the picture that `points` takes.
    """

    def __init__(self, models: FaceModels) -> None:
        """Load both.

        Raises:
            MerError: They are no such models.
        """
        self._detector = _Network(models.detector, "face detector", models.source)
        self._mesh = _Network(models.mesh, "landmark model", models.source)
        self.detector_px, self.mesh_px = self._detector.side_px, self._mesh.side_px
        self.anchors_xy = _anchors_xy(self.detector_px)
        anchors, found = len(self.anchors_xy), self._detector.sizes
        if sorted(found) != [anchors, anchors * _ANCHOR_VALUES]:
            raise self._detector.error(
                f"has outputs of {found} values, not of {anchors * _ANCHOR_VALUES} and {anchors}"
            )
        self._boxes, self._logits = found.index(anchors * _ANCHOR_VALUES), found.index(anchors)
        points = [at for at, size in enumerate(self._mesh.sizes) if size > 1]
        if len(points) != 1 or len(self._mesh.sizes) == 1:
            raise self._mesh.error(f"has {len(points)} outputs of landmarks and {self._mesh.sizes.count(1)} of flags; "
                                   "one of each is needed")  # fmt: skip
        (self._points,), self._flag = points, self._mesh.sizes.index(1)
        if self._mesh.sizes[self._points] != 3 * POINTS:
            raise self._mesh.error(f"finds {self._mesh.sizes[self._points] // 3} points, not {POINTS}")

    def boxes(self, picture: FloatImage) -> tuple[FloatImage, FloatImage]:
        """Of a (detector_px, detector_px, 3) picture in -1 to 1: (anchors, 8, 2) in its pixels, and (anchors,) logits.

        A box is its middle and its size; the points are right eye, left eye, nose, mouth, right ear, left ear.
        """
        outputs = self._detector(picture)
        return outputs[self._boxes].reshape(-1, _ANCHOR_VALUES // 2, 2), outputs[self._logits].reshape(-1)

    def points(self, picture: FloatImage) -> tuple[FloatImage, float]:
        """Of a (mesh_px, mesh_px, 3) picture in 0 to 1: (478, 3) in its pixels, and the logit of a face being there."""
        outputs = self._mesh(picture)
        return outputs[self._points].reshape(-1, 3), float(outputs[self._flag].reshape(-1)[0])


class _Network:
    """A TFLite model with one picture as its input; `sizes` are the numbers of values of its outputs."""

    def __init__(self, model: bytes, what: str, source: Path) -> None:
        # Imported here because `mer --help` must not wait for it.
        from ai_edge_litert.interpreter import Interpreter

        self._what, self._source = what, source
        try:
            with native_stderr_silenced():
                # One thread: as fast on these sizes, and the frames of a set are shared out among processes.
                self._run: Any = Interpreter(model_content=model, num_threads=1)
                self._run.allocate_tensors()
        except (ValueError, RuntimeError):
            raise self.error("is not a model that LiteRT can run") from None
        inputs, outputs = self._run.get_input_details(), self._run.get_output_details()
        shapes = [each["shape"].tolist() for each in inputs]
        side = shapes[0][1] if len(shapes) == 1 and len(shapes[0]) == 4 else 0
        if shapes != [[1, side, side, 3]]:
            raise self.error(f"takes {shapes}, not one square picture")
        if any(each["dtype"] != np.float32 for each in (*inputs, *outputs)):
            raise self.error("takes or gives numbers that are not float32: it is a quantised one")
        self.side_px: int = side
        self.sizes = [int(np.prod(each["shape"])) for each in outputs]
        self._input, self._outputs = inputs[0]["index"], [each["index"] for each in outputs]
        self(np.zeros((side, side, 3), np.float32))  # what cannot work is refused before any frame is decoded

    def __call__(self, picture: FloatImage) -> list[npt.NDArray[np.float32]]:
        self._run.set_tensor(self._input, picture[None])
        try:
            self._run.invoke()
        except RuntimeError:  # a model whose graph is sound, and whose numbers are not
            raise self.error("fails at work") from None
        outputs = [self._run.get_tensor(output) for output in self._outputs]
        if not all(np.isfinite(each).all() for each in outputs):
            raise self.error("gives values that are no numbers")
        return outputs

    def error(self, what: str) -> MerError:
        """That this model will not do."""
        return MerError(f"its {self._what} {what}", where=self._source, fix="use the models of: mer setup")


def _anchors_xy(side_px: int) -> npt.NDArray[np.float64]:
    """The middles of the cells of each grid, row by row, each as often as it has anchors."""
    grids = []
    for step, times in _ANCHORS:
        middles = (np.arange(side_px // step) + 0.5) / (side_px // step)
        grids.append(np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2).repeat(times, 0))
    return np.concatenate(grids)


@contextlib.contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Drop what native libraries write to file descriptor 2 while they load models; they offer no switch."""
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
