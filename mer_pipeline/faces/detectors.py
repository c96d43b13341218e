"""Which face finder a chain uses: named by the user, checked at once, opened only when a frame is looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mer_pipeline.errors import MerError
from mer_pipeline.faces.dlib import DlibFaces, check_predictor
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.faces.landmarks import FaceFinder, whole_picture
from mer_pipeline.video import fingerprint

Name = Literal["mediapipe", "dlib", "none"]
NAMES: tuple[Name, ...] = get_args(Name)
PREDICTOR_VARIABLE = "MER_DLIB_PREDICTOR"


@dataclass(frozen=True)
class Detector:
    """A choice of face finder.

    Attributes:
        name: `mediapipe`, `dlib`, or `none` where pictures are already cropped to the face.
        predictor: The file of dlib's 68 points; None for the others.
    """

    name: Name = "mediapipe"
    predictor: Path | None = None

    @property
    def identity(self) -> list[Any]:
        """What tells results of two choices apart, as JSON values."""
        return [self.name] if self.predictor is None else [self.name, fingerprint(self.predictor)]

    @contextmanager
    def open(self) -> Iterator[FaceFinder]:
        """Load the models.

        Raises:
            MerError: The predictor file is none.
        """
        if self.name == "mediapipe":
            with FaceMesh() as mesh:
                yield mesh
        else:
            yield whole_picture if self.predictor is None else DlibFaces(self.predictor)


def choose_detector(
    name: str = "mediapipe", predictor: Path | None = None, environment: Mapping[str, str] | None = None
) -> Detector:
    """Check a choice of the user; nothing is loaded.

    Args:
        name: One of `NAMES`.
        predictor: For dlib; None takes the file that the environment variable MER_DLIB_PREDICTOR names.
        environment: Variables; None for those of the process.

    Raises:
        MerError: No such detector, or dlib or its predictor is absent.
    """
    if name not in NAMES:
        raise MerError(f"no detector is called {name!r}", fix=f"choose one of {', '.join(NAMES)}")
    if name == "dlib":
        named = (os.environ if environment is None else environment).get(PREDICTOR_VARIABLE)
        return Detector("dlib", check_predictor(predictor or (Path(named) if named else None)))
    if predictor is not None:
        raise MerError(f"--predictor belongs to --detector dlib, not to {name}", fix="leave one of them out")
    return Detector("mediapipe" if name == "mediapipe" else "none")
