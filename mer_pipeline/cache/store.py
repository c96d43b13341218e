"""Artefacts of the stages, each under a key that is a hash of everything it was computed from.

An artefact is one file: named arrays and a JSON header in the safetensors format, then 32 bytes of BLAKE2b over them.
Nothing is loaded with pickle, and a file whose checksum does not hold is never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from mer_pipeline.cache.atomic import DAMAGED as _DAMAGED
from mer_pipeline.cache.atomic import private_folder, write_atomically
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.reading import Json

_DIGEST_BYTES = 32


def key_of(stage: str, version: int, inputs: Any, parameters: Any) -> str:
    """The key of an artefact: a hash of the stage, its version, its inputs (JSON values or keys) and its parameters.

    >>> key_of("crop", 1, ["abc"], {"size": 224}) == key_of("crop", 1, ["abc"], {"size": 112})
    False
    """
    text = json.dumps([stage, version, inputs, parameters], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


@dataclass(frozen=True)
class Artefact:
    """What a stage computed.

    Attributes:
        arrays: Named arrays of any shape.
        facts: JSON values.
    """

    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def frames(self) -> list[int]:
        """The frames that its arrays are of."""
        return list(cast(Sequence[int], self.facts["frames"]))


class Store:
    """The artefacts below one folder; several processes may use it at once.

    Attributes:
        root: The folder; created with mode 0700.
        damaged: The files that were found damaged, set aside; the owner of the store reports them.
    """

    def __init__(self, root: Path) -> None:
        self.root = private_folder(root)
        self.damaged: list[Path] = []

    def path(self, stage: str, key: str) -> Path:
        """Where the artefact of a key lies."""
        return self.root / stage / key[:2] / key

    def get(self, stage: str, key: str) -> Artefact | None:
        """Read an artefact; None where there is none, or what is there is damaged or of another key, and set aside."""
        path = self.path(stage, key)
        try:
            # A folder, a pipe or a link to nowhere in its place is damage too.
            content = path.read_bytes() if path.is_file() or not os.path.lexists(path) else b""
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MerError(f"cannot be read ({error.strerror})", where=path, fix="check its permissions") from None
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() == digest:
            header_bytes = int.from_bytes(body[:8], "little")
            metadata = json.loads(body[8 : 8 + header_bytes])["__metadata__"]
            # Entries of older versions have their facts alone.
            entry = json.loads(metadata["entry"]) if "entry" in metadata else {"facts": json.loads(metadata["facts"])}
            if entry.get("key", key) == key:
                return Artefact(safetensors.numpy.load(body), entry["facts"])
        self._set_aside(path)
        return None

    def put(self, stage: str, key: str, artefact: Artefact) -> None:
        """Write an artefact under its key."""
        arrays = {name: np.ascontiguousarray(array) for name, array in artefact.arrays.items()}
        # One text, since the order of several is not the same in every process, and so would the bytes not be.
        entry = json.dumps({"key": key, "facts": dict(artefact.facts)})
        body = safetensors.numpy.save(arrays, metadata={"entry": entry})
        digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
        # A power cut may leave it empty; its checksum shows that, and it is computed again.
        write_atomically(self.path(stage, key), body + digest, sync=False)

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}{_DAMAGED}")
        try:
            if aside.is_dir() != path.is_dir() or path.is_dir():  # neither replaces the other
                aside = path.with_name(f"{path.name}-{secrets.token_hex(4)}{_DAMAGED}")
            path.replace(aside)
        except FileNotFoundError:  # another process found it damaged too
            return
        except OSError as error:
            what = f"damaged, and cannot be set aside ({error.strerror})"
            raise WriteError(what, where=path, fix="check permissions, or remove it") from None
        self.damaged.append(aside)
