"""The two models of Face Mesh: where they are kept, and what a file of them is checked for.

They are MediaPipe's, under the Apache licence 2.0, and no part of this package: `mer setup` puts them into the user's
data folder (`install`), or a user names a `.task` file of the same kind.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from mer_pipeline.errors import MerError
from mer_pipeline.reading import MOST_BYTES, listed, parse_json, read_bytes

DETECTOR, MESH, RECORD = "face_detector.tflite", "face_landmarks_detector.tflite", "face_mesh.json"
_SHOWN = 12  # digits of a sha256 in the identity of a model
_FIX = "run: mer setup"
# RuntimeError: encrypted, or packed otherwise.
_NO_ARCHIVE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class FaceModels:
    """Two TFLite models.

    Attributes:
        detector: Finds faces in a picture.
        mesh: Finds 478 points in a face.
        identity: The sha256 of what they were made from, shortened: the same models have the same one everywhere.
        source: The file or folder, for errors.
    """

    detector: bytes
    mesh: bytes
    identity: tuple[str, ...]
    source: Path


def models_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where `mer setup` keeps the models: `MER_MODELS`, or a folder in the user's data folder."""
    named = (os.environ if environment is None else environment).get("MER_MODELS")
    return Path(named).expanduser() if named else platformdirs.user_data_path("mer", appauthor=False) / "models"


def sha256(content: bytes) -> str:
    """Of some bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_record(folder: Path | None = None) -> dict[str, Any]:
    """What `mer setup` wrote down about the models: where they come from, what made them, and their sha256.

    Raises:
        MerError: There are none, or the record is damaged.
    """
    path = (folder or models_folder()) / RECORD
    try:
        record = parse_json(read_bytes(path))
        digests = (record["sha256"][DETECTOR], record["sha256"][MESH], *listed(record["identity"]))
        if not all(isinstance(each, str) for each in (*digests, record["source"], record["versions"]["mer"])):
            raise TypeError("a digest or a name that is no text")
    except FileNotFoundError:
        raise MerError("the models that find faces are not there", where=path.parent, fix=_FIX) from None
    except (MerError, ValueError, KeyError, TypeError, RecursionError):
        raise MerError("damaged or unreadable", where=path, fix=_FIX) from None
    return dict(record)


def read_models(folder: Path | None = None) -> FaceModels:
    """The models that `mer setup` made.

    Raises:
        MerError: They are absent or damaged.
    """
    folder = folder or models_folder()
    record = read_record(folder)
    contents = []
    for name in (DETECTOR, MESH):
        content = _read(folder / name, _FIX)
        if sha256(content) != record["sha256"][name]:
            raise MerError("is not what mer setup wrote", where=folder / name, fix=_FIX)
        contents.append(content)
    return FaceModels(contents[0], contents[1], short_identity(record["identity"]), folder)


def read_task(file: Path) -> FaceModels:
    """The models of a `.task` file as MediaPipe's Face Landmarker takes it: a zip archive of the two.

    Raises:
        MerError: It is none.
    """
    fix = "give a face_landmarker.task: a zip archive of " + f"{DETECTOR} and {MESH}"
    try:
        content, (detector, mesh) = read_archive(file, (DETECTOR, MESH), "not a zip archive, or a damaged one", fix)
    except KeyError as error:
        raise MerError(str(error.args[0]), where=file, fix=fix) from None
    return FaceModels(detector, mesh, short_identity([sha256(content)]), file)


def read_archive(file: Path, names: Iterable[str], damaged: str, fix: str) -> tuple[bytes, list[bytes]]:
    """A zip archive, and what some of its files hold; bounded, since a small archive may unpack to any size.

    Raises:
        KeyError: It has no such file.
        MerError: It is no archive, damaged or too large.
    """
    content = _read(file, fix)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [archive.getinfo(name) for name in names]
            if sum(member.file_size for member in members) > MOST_BYTES:
                raise MerError(f"larger than {MOST_BYTES >> 20} MiB when unpacked", where=file, fix=fix)
            return content, [archive.read(member) for member in members]
    except _NO_ARCHIVE:
        raise MerError(damaged, where=file, fix=fix) from None


def _read(file: Path, fix: str) -> bytes:
    try:
        return read_bytes(file)
    except FileNotFoundError as error:
        raise MerError(f"cannot be read ({error.strerror})", where=file, fix=fix) from None
    except MerError as error:
        raise MerError(error.what, where=file, fix=fix) from None


def short_identity(digests: list[str]) -> tuple[str, ...]:
    """The first digits of some sha256."""
    return tuple(digest[:_SHOWN] for digest in digests)
