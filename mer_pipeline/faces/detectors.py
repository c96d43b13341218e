"""Which face detector a chain uses: the table of them, chosen by name, checked at once, opened with the first frame.

A new detector is a module with what finds the faces of a frame (`FaceFinder`), and a row here.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    from mer_pipeline.faces.face_mesh.models import FaceModels
    from mer_pipeline.faces.landmarks import FaceFinder

DEFAULT = "face-mesh"
# The name of the default when MediaPipe 0.10.21 ran the same models. What that found is in older caches, under this
# name as its identity; as a choice it is another name of `DEFAULT`.
FORMER = "mediapipe"

# Libraries and models are imported by the row that is opened: a command line that names a detector loads none.


def _models(task: Path | None) -> FaceModels:
    from mer_pipeline.faces.face_mesh.models import read_models, read_task

    return read_models() if task is None else read_task(task)


@contextmanager
def _face_mesh(task: Path | None) -> Iterator[FaceFinder]:
    from mer_pipeline.faces.face_mesh import FaceMesh

    with FaceMesh(models=_models(task)) as mesh:
        yield mesh


def _check_face_mesh(task: Path | None) -> None:
    from mer_pipeline.faces.face_mesh.networks import FaceNetworks

    models = _models(task)
    if task is not None:
        FaceNetworks(models)


def _identity_of_face_mesh(task: Path | None) -> tuple[Any, ...]:
    import cv2

    litert = importlib.metadata.version("ai-edge-litert")
    return *_models(task).identity, f"litert {litert}", f"opencv {cv2.__version__}"


@contextmanager
def _mediapipe(task: Path | None) -> Iterator[FaceFinder]:
    from mer_pipeline.faces.mediapipe import MediapipeFaces

    with closing(MediapipeFaces(_models(task))) as faces:
        yield faces


def _check_mediapipe(task: Path | None) -> None:
    from mer_pipeline.faces.mediapipe import check_mediapipe

    check_mediapipe()
    _check_face_mesh(task)


def _identity_of_mediapipe(task: Path | None) -> tuple[Any, ...]:
    return *_models(task).identity, f"mediapipe {importlib.metadata.version('mediapipe')}"


@contextmanager
def _dlib(predictor: Path | None) -> Iterator[FaceFinder]:
    from mer_pipeline.faces.dlib import DlibFaces, check_predictor

    yield DlibFaces(check_predictor(predictor))


def _check_dlib(predictor: Path | None) -> None:
    from mer_pipeline.faces.dlib import check_predictor

    check_predictor(predictor)


@contextmanager
def _whole_picture(_file: Path | None) -> Iterator[FaceFinder]:
    from mer_pipeline.faces.landmarks import whole_picture

    yield whole_picture


def _identity_of_file(file: Path | None) -> tuple[Any, ...]:
    if file is None:
        return ()
    # Imported here because it loads what decodes videos.
    from mer_pipeline.video import fingerprint

    return (tuple(fingerprint(file)),)


@dataclass(frozen=True)
class DetectorKind:
    """A row of the table.

    Attributes:
        words: What it is, for the help of commands.
        open: Loads the models; takes the user's file, and gives what finds faces.
        option: Names the user's file: `--predictor` or `--face-model`; empty where the detector takes none.
        variable: The environment variable that names it where the option does not.
        check: Refuses at once what could not be opened; takes the user's file.
        identity: What beside the name distinguishes its results, as JSON values; takes the user's file.
    """

    words: str
    open: Callable[[Path | None], AbstractContextManager[FaceFinder]]
    option: str = ""
    variable: str = ""
    check: Callable[[Path | None], None] = lambda _file: None
    identity: Callable[[Path | None], tuple[Any, ...]] = _identity_of_file


DETECTORS: Mapping[str, DetectorKind] = {
    DEFAULT: DetectorKind(
        "MediaPipe's Face Mesh", _face_mesh, "--face-model", check=_check_face_mesh, identity=_identity_of_face_mesh
    ),
    "mediapipe-tasks": DetectorKind(
        "the same through MediaPipe's package", _mediapipe, "--face-model",
        check=_check_mediapipe, identity=_identity_of_mediapipe,
    ),
    "dlib": DetectorKind("dlib with a predictor of 68 points", _dlib, "--predictor", "MER_DLIB_PREDICTOR", _check_dlib),
    "none": DetectorKind("pictures that are already cropped to the face", _whole_picture),
}  # fmt: skip


@dataclass(frozen=True)
class Detector:
    """A choice of face detector.

    Attributes:
        name: A key of `DETECTORS`; or `FORMER`, for what is in an older cache, which finds no more faces.
        file: The user's file, for a detector that takes one.
    """

    name: str = DEFAULT
    file: Path | None = None

    @cached_property
    def identity(self) -> tuple[Any, ...]:
        """What distinguishes the results of two choices, as JSON values.

        Raises:
            MerError: The models are absent or damaged.
        """
        return self.name, *(() if self.name == FORMER else DETECTORS[self.name].identity(self.file))

    @contextmanager
    def open(self) -> Iterator[FaceFinder]:
        """Load the models.

        Raises:
            MerError: They are absent or damaged, or the user's file is no such file.
        """
        if self.name == FORMER:
            raise MerError("MediaPipe 0.10.21 found no face here", fix=f"--detector {DEFAULT} searches all clips anew")
        with DETECTORS[self.name].open(self.file) as find_faces:
            yield find_faces


def choose_detector(
    name: str = DEFAULT,
    predictor: Path | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    face_model: Path | None = None,
) -> Detector:
    """Check a choice of the user.

    Args:
        name: A key of `DETECTORS`, or `FORMER` for the default.
        predictor: For dlib; None takes the file that its environment variable names.
        environment: Variables; None for those of the process.
        face_model: A `.task` file in the place of the models of `mer setup`.

    Raises:
        MerError: No such detector, or what it needs is absent.
    """
    name = DEFAULT if name == FORMER else name
    kind = DETECTORS.get(name)
    if kind is None:
        raise MerError(f"no detector is called {name!r}", fix=f"choose one of {', '.join(DETECTORS)}")
    given = {"--predictor": predictor, "--face-model": face_model}
    for option, file in given.items():
        if file is not None and option != kind.option:
            owners = " or ".join(other for other, row in DETECTORS.items() if row.option == option)
            raise MerError(f"{option} belongs to --detector {owners}, not to {name}", fix="leave one of them out")
    named = (os.environ if environment is None else environment).get(kind.variable) if kind.variable else None
    file = given.get(kind.option) or (Path(named) if named else None)
    kind.check(file)
    return Detector(name, file)
