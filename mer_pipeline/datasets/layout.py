"""What a dataset looks like on disk, as data: by it a folder is recognised and read, and what it lacks is reported."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path

from mer_pipeline.datasets.rows import find_sheet
from mer_pipeline.errors import MerError


@dataclass(frozen=True)
class Layout:
    """How one dataset lies on disk.

    Attributes:
        name: Short name, also the first part of every clip id.
        title: The name that people use.
        fps: Frames a second of its camera; None where it differs by clip.
        sheet: Regular expression of the coding sheet's name without regard to case; blank where there is none.
        sheet_example: A name as it is published.
        roots: Where the frames may be, first found first taken. Raw frames come first, since `mer` aligns by itself;
            `.` is the folder itself.
        clips: Globs below a root, of which some clip matches one; the first are tried in all roots first.
        frames_example: A frame's path as it is published.
        sheet_in: The folders in which the sheet may be.
    """

    name: str
    title: str
    fps: float | None
    sheet: str
    sheet_example: str
    roots: tuple[str, ...]
    clips: tuple[str, ...]
    frames_example: str
    sheet_in: tuple[str, ...] = (".",)

    @property
    def expected(self) -> str:
        """The layout in one line."""
        return " beside ".join(part for part in (self.sheet_example, self.frames_example) if part)

    def find_sheet(self, raw: Path) -> Path | None:
        """The coding sheet of a folder."""
        return self.find_file(raw, self.sheet) if self.sheet else None

    def find_file(self, raw: Path, pattern: str) -> Path | None:
        """A file beside the coding sheet, by a regular expression as `sheet` is one."""
        folders = (folder for name in self.sheet_in if (folder := find_folder(raw, name)) is not None)
        return next((found for folder in folders if (found := find_sheet(folder, pattern))), None)

    def need_sheet(self, raw: Path) -> Path:
        """The coding sheet of a folder.

        Raises:
            MerError: There is none.
        """
        found = self.find_sheet(raw)
        if found is None:
            raise MerError("no coding sheet", where=raw, fix=f"put {self.sheet_example} beside the frames")
        return found

    def find_root(self, raw: Path) -> Path | None:
        """The folder with the frames, by the first clip that is found in it."""
        for clip, root in product(self.clips, self.roots):
            folder = find_folder(raw, root)
            if folder is not None and any(True for _ in islice(folder.glob(clip), 1)):
                return folder
        return None

    def recognise(self, raw: Path) -> str | None:
        """By what a folder is recognised as this set; None where it is something else."""
        if self.sheet:
            sheet = self.find_sheet(raw)
            return None if sheet is None else f"the sheet {sheet.name}"
        root = self.find_root(raw)
        return None if root is None else f"clips like {self.frames_example}"

    def missing(self, raw: Path) -> tuple[list[str], int]:
        """What a folder lacks of this layout, and how many parts of it are there."""
        parts = []
        if self.sheet:
            parts.append((self.find_sheet(raw) is not None, f"the sheet {self.sheet_example}"))
        parts.append((self.find_root(raw) is not None, f"frames as in {self.frames_example}"))
        return [what for found, what in parts if not found], sum(found for found, _ in parts)


@dataclass
class Tree:
    """Folders by name without regard to case; every folder is listed once, however many rows ask for it."""

    _names: dict[Path, dict[str, str]] = field(default_factory=dict)

    def names(self, folder: Path) -> list[str]:
        """What is in a folder, sorted; nothing where it is absent or may not be listed."""
        return sorted(set(self._listed(folder).values()))

    def child(self, folder: Path | None, *names: str) -> Path | None:
        """The first of several names that a folder has."""
        if folder is None:
            return None
        listed = self._listed(folder)
        keys = (key for name in names for key in (name, name.casefold()))
        return next((folder / listed[key] for key in keys if key in listed), None)

    def descend(self, folder: Path | None, *steps: tuple[str, ...]) -> Path | None:
        """Follow steps downwards, each a choice of names."""
        for names in steps:
            folder = self.child(folder, *names)
        return folder

    def _listed(self, folder: Path) -> dict[str, str]:
        if folder not in self._names:
            try:
                names = sorted(os.listdir(folder), reverse=True)  # noqa: PTH208 - plain names, and many
            except OSError:
                names = []
            # Exact names last, so that they win where two differ by case only.
            self._names[folder] = {name.casefold(): name for name in names} | {name: name for name in names}
        return self._names[folder]


def find_folder(raw: Path, name: str) -> Path | None:
    """A folder below another by its relative name without regard to case."""
    found = raw if name == "." else Tree().descend(raw, *((part,) for part in name.split("/")))
    return found if found is not None and found.is_dir() else None


def subject_id(cell: str, width: int) -> str:
    """Zero-padded subject of a cell; text without a number stays as it is.

    >>> subject_id("sub1", 2), subject_id("6", 3), subject_id("spNO.149", 3), subject_id("S03", 2), subject_id("?", 2)
    ('01', '006', '149', '03', '?')
    """
    digits = re.fullmatch(r"[^\d]*(\d+)", cell)
    return digits[1].lstrip("0").zfill(width) if digits else cell.replace("/", "-")


def numbered(prefix: str, subject: str) -> tuple[str, ...]:
    """How a subject's folder may be called, padded or not.

    >>> numbered("sub", "01")
    ('sub01', 'sub1', 'sub001')
    """
    if not subject.isdecimal():
        return (prefix + subject,)
    names = (subject, str(int(subject)), *(str(int(subject)).zfill(width) for width in (2, 3)))
    return tuple(dict.fromkeys(prefix + name for name in names))
