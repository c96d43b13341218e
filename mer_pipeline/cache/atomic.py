"""Files that are whole or absent, and folders that only their owner may open."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mer_pipeline.errors import WriteError

DAMAGED = ".damaged"
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")
_LEFT_S = 3600


def private_folder(path: Path) -> Path:
    """Create a folder and its missing parents with mode 0700; one that exists is left as it is.

    Raises:
        WriteError: It cannot be created, or a file has its name.
    """
    if path.is_dir():
        return path
    try:
        for folder in [*reversed(path.parents), path]:
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(20, "a file has this name")
    except OSError as error:
        raise cannot_write(path, error) from None
    return path


def write_atomically(path: Path, content: bytes, sync: bool = True) -> None:
    """Write a file; see `file_written_whole`.

    Args:
        path: The file.
        content: All of it.
        sync: Whether it must be whole after a power cut too; a file that is checked when it is read need not.

    Raises:
        WriteError: No permission, or no space on the disk.
    """
    with file_written_whole(path, sync) as file:
        file.write(content)


def csv_bytes(header: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """A table with commas in UTF-8; what is no text, as file names need not be, is escaped."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


@contextmanager
def file_written_whole(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """A file of mode 0600 under a temporary name, which is synced and renamed into place if the block ends well.

    Readers see the old content or the new, also when two processes write at once or one is killed.

    Raises:
        WriteError: No permission, or no space on the disk.
    """
    with _beside(path) as (file, temporary):
        yield file
        _close(file, sync)
        temporary.replace(path)


def create_atomically(path: Path, content: bytes) -> bool:
    """`write_atomically`, but only where there is no such file; of several processes one creates it.

    Returns:
        Whether it was this call that created it.

    Raises:
        WriteError: No permission, or no space on the disk.
    """
    with _beside(path) as (file, temporary):
        file.write(content)
        _close(file, sync=True)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            temporary.replace(path)
        return True


@contextmanager
def _beside(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A temporary file in the folder of another, removed where it was not renamed."""
    private_folder(path.parent)
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file, temporary
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _close(file: BinaryIO, sync: bool) -> None:
    """Before a file is renamed: not every system renames one that is open."""
    file.flush()
    if sync:
        os.fsync(file.fileno())
    file.close()


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of one that is not yet in its place."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed have left below a folder, since it may show faces.

    That is temporary files of `write_atomically` and damaged files that were set aside, both older than an hour:
    another process may be about to rename a younger one into place.
    """
    latest = time.time() - _LEFT_S
    for path in folder.rglob("*"):
        if is_temporary(path) or path.name.endswith(DAMAGED):
            with suppress(OSError):
                if path.lstat().st_mtime < latest and (path.is_symlink() or path.is_file()):
                    path.unlink()


def cannot_write(path: Path, error: OSError) -> WriteError:
    """What the system said, in one line."""
    return WriteError(
        f"cannot be written ({error.strerror})",
        where=path,
        fix="check permissions and free space",
    )
