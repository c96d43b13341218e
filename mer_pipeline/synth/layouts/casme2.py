"""CASME II as it is handed out: raw frames or one AVI a clip, and the coding sheet of 2019-07-01."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl

from mer_pipeline.synth import emotions
from mer_pipeline.synth.files import save_workbook
from mer_pipeline.synth.layouts.layout import Layout
from mer_pipeline.synth.media import Frames, write_avi, write_images
from mer_pipeline.synth.truth import PlantedClip

SHEET = "CASME2-coding-20190701.xlsx"
# Two columns have no name in the published sheet; openpyxl leaves None blank.
COLUMNS = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None,
    "Action Units", "Estimated Emotion", "Objective Classes",
)  # fmt: skip
# The published sheet has `/` for the apex of this clip, and so has this one where it comes so far.
WITHOUT_APEX = ("04", "EP12_01f")


def subject_label(index: int) -> str:
    """Two digits from 01.

    >>> subject_label(0)
    '01'
    """
    return f"{index + 1:02d}"


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """Episode and part, most with the `f` of the published names.

    >>> [folder_label("01", i, "disgust") for i in range(4)]
    ['EP02_01f', 'EP02_02f', 'EP02_03', 'EP03_01f']
    """
    return f"EP{index // 3 + 2:02d}_{index % 3 + 1:02d}{'' if index % 3 == 2 else 'f'}"


def first_number(index: int) -> int:
    """1 for most clips; every fourth is cut from a longer recording and keeps its numbers."""
    return 1 if index % 4 != 1 else 26 + 37 * index % 200


def write_clip(out: Path, clip: PlantedClip, frames: Frames, video: bool) -> None:
    """Write `CASME2-RAW/sub01/EP02_01f/img46.jpg` and so on, or `CASME2-RAW/sub01/EP02_01f.avi`.

    Raises:
        OSError: A file cannot be written.
    """
    folder = out / "CASME2-RAW" / f"sub{clip.subject}" / clip.folder
    if video:
        write_avi(folder.with_name(f"{clip.folder}.avi"), frames, clip.fps)
    else:
        write_images(folder, clip, frames, "img{}.jpg".format)


def write_sheet(out: Path, clips: Sequence[PlantedClip]) -> None:
    """Write the coding sheet.

    Raises:
        OSError: The file cannot be written.
    """
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Sheet1"
    sheet.append(COLUMNS)
    for clip in clips:
        onset, apex, offset = clip.numbers
        shown = "/" if (clip.subject, clip.folder) == WITHOUT_APEX else apex
        found = [clip.notation, clip.plan.emotion, clip.plan.combination.objective_class]
        sheet.append([clip.subject, clip.folder, None, onset, shown, offset, None, *found])
    save_workbook(book, out / SHEET)


LAYOUT = Layout(
    dataset="casme2",
    fps=200.0,
    vocabulary=emotions.CASME2,
    subject_label=subject_label,
    folder_label=folder_label,
    first_number=first_number,
    write_clip=write_clip,
    write_sheet=write_sheet,
    videos=True,
)
