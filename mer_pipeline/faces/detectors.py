"""Which face detector a chain uses: the table of them, chosen by name, checked at once, opened with the first frame.

A new detector is a module with what finds the faces of a frame (`FaceFinder`), and a row here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    from mer_pipeline.faces.landmarks import FaceFinder

# Libraries and models are imported by the row that is opened: a command line that names a detector loads none.


@contextmanager
def _mediapipe(_predictor: Path | None) -> Iterator[FaceFinder]:
    from mer_pipeline.faces.face_mesh import FaceMesh

    with FaceMesh() as mesh:
        yield mesh


@contextmanager
def _dlib(predictor: Path | None) -> Iterator[FaceFinder]:
    from mer_pipeline.faces.dlib import DlibFaces, check_predictor

    yield DlibFaces(check_predictor(predictor))


@contextmanager
def _whole_picture(_predictor: Path | None) -> Iterator[FaceFinder]:
    from mer_pipeline.faces.landmarks import whole_picture

    yield whole_picture


def _check_dlib(predictor: Path | None) -> Path:
    from mer_pipeline.faces.dlib import check_predictor

    return check_predictor(predictor)


@dataclass(frozen=True)
class DetectorKind:
    """A row of the table.

    Attributes:
        words: What it is, for the help of commands.
        open: Loads the models; takes the predictor's file, and gives what finds faces.
        variable: The environment variable that names the predictor's file; empty where the detector needs none.
        check: Refuses a predictor's file that cannot be used, before anything is loaded.
    """

    words: str
    open: Callable[[Path | None], AbstractContextManager[FaceFinder]]
    variable: str = ""
    check: Callable[[Path | None], Path] | None = None


DETECTORS: Mapping[str, DetectorKind] = {
    "mediapipe": DetectorKind("MediaPipe Face Mesh", _mediapipe),
    "dlib": DetectorKind("dlib with a predictor of 68 points", _dlib, "MER_DLIB_PREDICTOR", _check_dlib),
    "none": DetectorKind("pictures that are already cropped to the face", _whole_picture),
}


@dataclass(frozen=True)
class Detector:
    """A choice of face detector.

    Attributes:
        name: A key of `DETECTORS`.
        predictor: The predictor's file, for a detector that needs one.
    """

    name: str = "mediapipe"
    predictor: Path | None = None

    @property
    def identity(self) -> tuple[Any, ...]:
        """What distinguishes the results of two choices, as JSON values."""
        if self.predictor is None:
            return (self.name,)
        # Imported here because it loads what decodes videos.
        from mer_pipeline.video import fingerprint

        return self.name, tuple(fingerprint(self.predictor))

    @contextmanager
    def open(self) -> Iterator[FaceFinder]:
        """Load the models.

        Raises:
            MerError: The predictor file is none.
        """
        with DETECTORS[self.name].open(self.predictor) as find_faces:
            yield find_faces


def choose_detector(
    name: str = "mediapipe", predictor: Path | None = None, environment: Mapping[str, str] | None = None
) -> Detector:
    """Check a choice of the user; nothing is loaded.

    Args:
        name: A key of `DETECTORS`.
        predictor: For a detector that needs one; None takes the file that its environment variable names.
        environment: Variables; None for those of the process.

    Raises:
        MerError: No such detector, or what it needs is absent.
    """
    kind = DETECTORS.get(name)
    if kind is None:
        raise MerError(f"no detector is called {name!r}", fix=f"choose one of {', '.join(DETECTORS)}")
    if kind.check is not None:
        named = (os.environ if environment is None else environment).get(kind.variable)
        return Detector(name, kind.check(predictor or (Path(named) if named else None)))
    if predictor is not None:
        owners = ", ".join(other for other, row in DETECTORS.items() if row.check)
        raise MerError(f"--predictor belongs to --detector {owners}, not to {name}", fix="leave one of them out")
    return Detector(name)
