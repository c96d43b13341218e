"""Which files of a folder are the frames of a clip, and in which order."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from mer_pipeline.choices import FILM_SUFFIXES, IMAGE_SUFFIXES
from mer_pipeline.errors import MerError

_LAST_NUMBER = re.compile(r"(\d+)\D*?(?:\.[^.]*)?$")


def frame_number(name: str) -> int | None:
    """The last number in a frame's file name, whatever its padding; None where there is none.

    >>> frame_number("reg_img46.jpg"), frame_number("006_05562.jpg"), frame_number("cover.jpg")
    (46, 5562, None)
    """
    digits = _LAST_NUMBER.search(name)
    return int(digits[1]) if digits else None


def find_clips(folder: Path, deepest: int = 8) -> list[Path]:
    """The clips of a folder: itself, where it holds frames; else the videos and folders of frames below it, in order.

    Pictures beside videos are no frames.

    Args:
        folder: Where they lie.
        deepest: So many levels below it; a link may lead in a circle.

    Raises:
        MerError: There is none, or a folder cannot be listed.
    """
    try:
        children = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise MerError(f"cannot be listed ({error.strerror})", where=folder, fix="check its permissions") from None
    films = [each for each in children if each.suffix.lower() in FILM_SUFFIXES and not each.is_dir()]
    pictures = (each.name for each in children if each.suffix.lower() in IMAGE_SUFFIXES)
    if not films and any(frame_number(name) is not None for name in pictures):
        return [folder]
    found: list[Path] = []
    for each in children:
        if each.is_dir() and deepest:
            with suppress(MerError):  # one without clips
                found += find_clips(each, deepest - 1)
        elif each in films:
            found.append(each)
    if not found:
        what, fix = "no videos or frames in this folder", f"videos end in {', '.join(FILM_SUFFIXES)}"
        raise MerError(what, where=folder, fix=f"{fix}; frames are images named with their number")
    return found


def list_frames(folder: Path) -> dict[int, str]:
    """File names by frame number, ascending; gaps in the numbering stay gaps.

    Raises:
        MerError: The folder cannot be listed, has no frames, or two files have one number.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 - plain names; a set has a hundred thousand of them
    except OSError as error:
        raise MerError(f"cannot be listed ({error.strerror})", where=folder, fix="check its permissions") from None
    numbered: dict[int, str] = {}
    for name in names:
        number = frame_number(name)
        if number is None or name.startswith(".") or os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES:  # noqa: PTH122
            continue
        if number in numbered:
            raise MerError(f"{name} and {numbered[number]} have the same number", where=folder, fix="remove one")
        numbered[number] = name
    if not numbered:
        raise MerError("no frames in this folder", where=folder, fix="expected images named with their frame number")
    return dict(sorted(numbered.items()))
