"""Which frames a clip has on disk, without opening any of them."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from mer_pipeline.choices import IMAGE_SUFFIXES
from mer_pipeline.errors import MerError
from mer_pipeline.video.frame_files import list_frames

_SUFFIXES = "|".join(suffix[1:] for suffix in sorted(IMAGE_SUFFIXES))
_FRAME = re.compile(rf"(\d+)[^\d\0]*\.(?:{_SUFFIXES})\0", re.IGNORECASE)  # a name ends with \0, which none has


class Absent(MerError):
    """The frames of a clip are not there."""


def numbers_on_disk(source: Path, first_number: int) -> Sequence[int]:
    """The frame numbers of a clip, ascending; those of a file, which is not opened, have no end.

    Args:
        source: A frame folder, or a file.
        first_number: The number of a file's first frame.

    Raises:
        Absent: There is nothing of that name.
        MerError: It cannot be read, or has no frames.
    """
    fix = "check the download"
    try:
        mode = source.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        what = "a symbolic link that leads nowhere" if source.is_symlink() else "its frames are absent"
        raise Absent(what, where=source, fix=fix) from None
    except OSError as error:
        loop = error.errno == errno.ELOOP
        what = "a symbolic link that leads round in a circle" if loop else f"cannot be read ({error.strerror})"
        raise MerError(what, where=source, fix=fix) from None
    return _folder_numbers(source) if stat.S_ISDIR(mode) else range(first_number, sys.maxsize)


def _folder_numbers(folder: Path) -> list[int]:
    """What `list_frames` finds, in one search over all names: a set has a hundred thousand of them.

    Wherever a folder holds anything but frames, `list_frames` itself decides.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 - plain names
    except OSError:
        names = []
    text = "\0".join(("", *names, ""))
    numbers = sorted(map(int, _FRAME.findall(text)))
    plain = len(numbers) == len(names) == len(set(numbers)) and "\0." not in text
    return numbers if plain and names else list(list_frames(folder))
