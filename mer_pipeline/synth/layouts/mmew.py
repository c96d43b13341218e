"""MMEW as it is handed out: cropped faces in a folder an emotion, frames numbered from 1, and a coding sheet.

The pictures are a little larger than the 231x231 of the set: faces are cropped and never scaled, so that the truth is
in pixels of what lies on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl

from mer_pipeline.synth import emotions
from mer_pipeline.synth.files import save_workbook
from mer_pipeline.synth.layouts.layout import Layout
from mer_pipeline.synth.media import Frames, write_images
from mer_pipeline.synth.plan import MEDIUM
from mer_pipeline.synth.truth import PlantedClip

SHEET = "MMEW_Micro_Exp.xlsx"
COLUMNS = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
)  # fmt: skip


def folder_label(subject: str, index: int, emotion: str) -> str:
    """Subject, emotion and clip.

    >>> folder_label("03", 1, "happiness")
    'S03-04-002'
    """
    return f"S{subject}-{sorted(emotions.MMEW).index(emotion) + 1:02d}-{index + 1:03d}"


def write_clip(out: Path, clip: PlantedClip, frames: Frames, video: bool) -> None:  # noqa: ARG001 - no videos
    """Write `Micro_Expression/happiness/S03-04-002/1.jpg` and so on; half of `others` lie in `repression`.

    Raises:
        OSError: A file cannot be written.
    """
    hidden = clip.plan.emotion == "others" and int(clip.folder[-3:]) % 2 == 0
    top = out / "Micro_Expression" / ("repression" if hidden else clip.plan.emotion)
    write_images(top / clip.folder, clip, frames, "{}.jpg".format)


def write_sheet(out: Path, clips: Sequence[PlantedClip]) -> None:
    """Write the coding sheet; like the published one it has a wrong apex in one row of twenty.

    Raises:
        OSError: The file cannot be written.
    """
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(COLUMNS)
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        shown = offset + 5 if position % 20 == 9 else apex
        sheet.append([f"S{clip.subject}", clip.folder, onset, shown, offset, clip.notation, clip.plan.emotion, None])
    save_workbook(book, out / SHEET)


LAYOUT = Layout(
    dataset="mmew",
    fps=90.0,
    vocabulary=emotions.MMEW,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=folder_label,
    first_number=lambda index: 1,  # noqa: ARG005 - whatever the clip
    write_clip=write_clip,
    write_sheet=write_sheet,
    timing=lambda index: MEDIUM,  # noqa: ARG005 - whatever the clip
    crop_wh=(300, 300),
)
