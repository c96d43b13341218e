"""How one dataset is written: its camera, its labels, its names, its frames and its sheet."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import openpyxl

from mer_pipeline.cache.atomic import private_folder, write_atomically
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.synth.emotions import Combination
from mer_pipeline.synth.imaging import Frames, encode
from mer_pipeline.synth.plan import FAST, Timing
from mer_pipeline.synth.subjects import FRAME_SIZE_WH
from mer_pipeline.synth.truth import PlantedClip
from mer_pipeline.video import JpegVideoWriter

Line = Sequence[object]
Sheets = Mapping[str, Sequence[Line]]  # the lines of each sheet of a workbook, by its title


def _one(index: int) -> int:  # noqa: ARG001 - whatever the folder
    return 1


def _same(folder: str, place: int, onset_number: int) -> str:  # noqa: ARG001 - where a folder is a clip
    return folder


@dataclass(frozen=True)
class LayoutWriter:
    """How one dataset is written; what its reader knows of it is taken from there.

    Attributes:
        layout: The layout that its reader reads: name, frame rate, first root, and the name of the sheet.
        vocabulary: The emotions it labels, and the Action Units that its coders saw in each.
        subject_label: Subject index from 0 -> the subject as in a clip id.
        folder_label: Subject, folder index from 0 within it, and emotion -> the clip's folder or file.
        frame_path: A clip and a frame's number -> the frame's path below the first root; its ending says the format.
        sheets: All clips -> the sheets of the workbook; none where the set has no workbook. A title `file/sheet` is of
            another file beside it.
        first_number: Folder index from 0 over all subjects -> the number of the folder's first frame.
        timings: How long the parts of a clip last, for the clips of a subject in turn.
        per_folder: How many clips of a subject share a folder.
        gap: How many numbers are left out between two clips of a folder.
        clip_name: A folder, the clip's place in it from 0, and the number of its onset -> the clip as in a clip id.
        crop_wh: Frames are cropped to this size around the face; None for whole frames.
        grey: Frames have one channel.
        videos: Whether the set is published as videos too.
        rate: Frames a second, where the layout has none of its own.
        slips: The columns that are wrong in some row of a subject's first dozen clips, as in the published sheet.
    """

    layout: Layout
    vocabulary: Mapping[str, Sequence[Combination]]
    subject_label: Callable[[int], str]
    folder_label: Callable[[str, int, str], str]
    frame_path: Callable[[PlantedClip, int], str]
    sheets: Callable[[Sequence[PlantedClip]], Sheets]
    first_number: Callable[[int], int] = _one
    timings: tuple[Timing, ...] = (FAST,)
    per_folder: int = 1
    gap: int = 0
    clip_name: Callable[[str, int, int], str] = _same
    crop_wh: tuple[int, int] | None = None
    grey: bool = False
    videos: bool = False
    rate: float | None = None
    slips: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.rate or self.layout.fps) is None:
            raise ValueError(f"a layout that is written needs a frame rate, got {self.layout}")

    @property
    def dataset(self) -> str:
        """The first part of every clip id."""
        return self.layout.name

    @property
    def fps(self) -> float:
        """Frames a second of the set's camera."""
        return self.rate or self.layout.fps or 0.0

    def write_clip(self, out: Path, clip: PlantedClip, frames: Frames, video: bool) -> None:
        """Write the frames of a clip into its folder, which may hold other clips, or as one AVI in its place.

        Raises:
            OSError: A file cannot be written.
            WriteError: So too.
        """
        top = out / self.layout.roots[0]
        folder = (top / self.frame_path(clip, clip.number(0))).parent
        if video:
            private_folder(folder.parent)
            with JpegVideoWriter(folder.with_name(f"{folder.name}.avi"), int(self.fps), FRAME_SIZE_WH) as writer:
                for frame in frames:
                    writer.write(encode(frame))
            return
        private_folder(folder)
        for index, frame in enumerate(frames):
            path = top / self.frame_path(clip, clip.number(index))
            path.write_bytes(encode(frame, path.suffix, self.grey))

    def write_sheet(self, out: Path, clips: Sequence[PlantedClip]) -> None:
        """Write the coding sheet, where the set has one.

        Raises:
            WriteError: It cannot be written.
        """
        books: dict[str, openpyxl.Workbook] = {}
        for title, lines in self.sheets(clips).items():
            file, _, name = title.rpartition("/")
            known = books.get(file)
            book = books.setdefault(file, openpyxl.Workbook())
            sheet = book.worksheets[0] if known is None else book.create_sheet()
            sheet.title = name
            for line in lines:
                sheet.append(line)
        sheet_path = out / self.layout.sheet_example
        for file, book in books.items():
            write_atomically(sheet_path.with_name(file) if file else sheet_path, _saved(book))


def header(columns: Mapping[str, Sequence[str]], *names: str | None) -> list[str | None]:
    """The header of a sheet: the reader's first name of each of its columns, and others as they are; None is blank."""
    return [name and columns.get(name, (name,))[0] for name in names]


def _saved(book: openpyxl.Workbook) -> bytes:
    """A workbook without the time of day, which openpyxl writes into its properties and its archive."""
    saved, clean = io.BytesIO(), io.BytesIO()
    book.save(saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(clean, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2019-07-01T00:00:00Z", content)
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return clean.getvalue()
