"""`mer setup`: gets the two models of Face Mesh, once.

They are in the wheel of mediapipe 0.10.21, the last that has them: in an installed one, in a file that the user has, or
in the one that pip gets. This is the one place that opens a connection, through pip, to the package index that the user
has set up.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.cache import write_atomically
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.face_mesh.models import (
    DETECTOR,
    MESH,
    RECORD,
    models_folder,
    read_archive,
    read_models,
    read_record,
    sha256,
)
from mer_pipeline.version import __version__

_VERSION = "0.10.21"
_PACKAGE = f"mediapipe=={_VERSION}"
# Where the models are in the package, and their sha256.
_FILES = {
    "mediapipe/modules/face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite": (
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4"
    ),
}
_FROM_FILE = "give the wheel of mediapipe 0.10.21 with: mer setup --from FILE.whl"


@dataclass(frozen=True)
class Installed:
    """The models that are there now.

    Attributes:
        folder: Where.
        source: What they were taken from.
        made: Whether that was done now.
    """

    folder: str
    source: str
    made: bool


def install(wheel: Path | None = None, folder: Path | None = None) -> Installed:
    """Put the models where `FaceMesh` finds them; those that are there are left as they are.

    Args:
        wheel: The wheel of mediapipe 0.10.21; they are then taken from it in any case. None takes an installed
            package, or asks pip for the wheel.
        folder: Where to; None for `models_folder()`.

    Raises:
        MerError: The wheel is damaged or another, or there is none and pip cannot get it.
        WriteError: The folder cannot be written.
    """
    folder = folder or models_folder()
    if wheel is None:
        try:
            read_models(folder)
            return Installed(str(folder), str(read_record(folder)["source"]), made=False)
        except MerError:
            pass  # absent, or damaged
    source, contents = _contents(wheel)
    # Imported here because it is slow, and needed once.
    from mer_pipeline.faces.face_mesh.rewrite import rewrite

    detector, mesh = contents
    models = {DETECTOR: detector, MESH: rewrite(mesh)}
    record = {
        "source": source,
        "identity": [sha256(content) for content in contents],
        "sha256": {name: sha256(content) for name, content in models.items()},
        "license": "Apache-2.0; from MediaPipe, Google LLC; changed: the landmark model has built-in operators only",
        "versions": {"mer": __version__, "ai-edge-litert": importlib.metadata.version("ai-edge-litert")},
    }
    try:
        for name, content in models.items():
            write_atomically(folder / name, content)
        write_atomically(folder / RECORD, json.dumps(record, indent=2).encode())
    except WriteError as error:
        raise WriteError(error.what, where=error.where, fix="name another folder in MER_MODELS") from None
    return Installed(str(folder), source, made=True)


def _contents(wheel: Path | None) -> tuple[str, list[bytes]]:
    """Where the models come from, and what their files hold."""
    if wheel is not None:
        return wheel.name, _from_wheel(wheel)
    for found in importlib.metadata.distributions(name="mediapipe"):
        paths = [Path(str(found.locate_file(name))) for name in _FILES]
        # Other versions may have these files with something else in them.
        if found.version == _VERSION and all(path.is_file() for path in paths):
            contents = [_checked(name, path.read_bytes(), path) for name, path in zip(_FILES, paths, strict=True)]
            return f"the installed mediapipe {found.version}", contents
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(Path(folder))
        return wheel.name, _from_wheel(wheel)


def _from_wheel(wheel: Path) -> list[bytes]:
    try:
        _, contents = read_archive(wheel, _FILES, "damaged, or not a wheel", _FROM_FILE)
    except KeyError:
        raise MerError("has no models of Face Mesh", where=wheel, fix=_FROM_FILE) from None
    return [_checked(name, content, f"{wheel}: {name}") for name, content in zip(_FILES, contents, strict=True)]


def _checked(name: str, content: bytes, where: object) -> bytes:
    if sha256(content) != _FILES[name]:
        raise MerError("not the file of mediapipe 0.10.21: its sha256 differs", where=where, fix=_FROM_FILE)
    return content


def _download(folder: Path) -> Path:
    """Let pip get the wheel; that for Linux, since the models are the same in all."""
    if importlib.util.find_spec("pip") is None:
        raise MerError("the models come in a package, and pip is not here to get it",
                       fix=f"run: {sys.executable} -m ensurepip, then mer setup; or {_FROM_FILE}")  # fmt: skip
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    which = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.12", "--implementation", "cp",
             "--platform", "manylinux_2_28_x86_64"]  # fmt: skip
    command = [sys.executable, "-m", "pip", "download", *quiet, *which, "--dest", str(folder), _PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise MerError(f"pip could not get {_PACKAGE} ({said[-1].removeprefix('ERROR: ')})",
                       fix=f"check the connection, or {_FROM_FILE}")  # fmt: skip
    return wheels[0]
