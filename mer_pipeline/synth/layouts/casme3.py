"""CAS(ME)^3 part A as it is handed out: recordings with several expressions each, gaps between them, and a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl

from mer_pipeline.synth import emotions
from mer_pipeline.synth.files import save_workbook
from mer_pipeline.synth.layouts.layout import Layout
from mer_pipeline.synth.media import Frames, write_images
from mer_pipeline.synth.plan import SLOW
from mer_pipeline.synth.truth import PlantedClip

SHEET = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
COLUMNS = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII")
_LABELS = {"happiness": "happy", "sadness": "sad"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """A letter.

    >>> folder_label("001", 0, "anger"), folder_label("001", 27, "anger")
    ('a', 'ab')
    """
    return ("" if index < len(_LETTERS) else _LETTERS[index // len(_LETTERS) - 1]) + _LETTERS[index % len(_LETTERS)]


def write_clip(out: Path, clip: PlantedClip, frames: Frames, video: bool) -> None:  # noqa: ARG001 - no videos
    """Write `part_A/spNO.1/b/color/175.jpg` and so on.

    Raises:
        OSError: A file cannot be written.
    """
    folder = out / "part_A" / f"spNO.{int(clip.subject)}" / clip.folder / "color"
    write_images(folder, clip, frames, "{}.jpg".format)


def write_sheet(out: Path, clips: Sequence[PlantedClip]) -> None:
    """Write the coding sheet; like the published one it has apexes at the onset, a folder in capitals, and `Others`.

    Raises:
        OSError: The file cannot be written.
    """
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "label"
    sheet.append(COLUMNS)
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        shown = onset if position % 16 == 7 else apex
        folder = clip.folder.upper() if position == 4 else clip.folder
        label = _LABELS.get(clip.plan.emotion, clip.plan.emotion)
        label = "Others" if label == "others" and position % 2 else label
        objective = _ROMAN[clip.plan.combination.objective_class - 1]
        sheet.append([f"spNO.{int(clip.subject)}", folder, onset, shown, offset, clip.notation, objective, label])
    save_workbook(book, out / SHEET)


LAYOUT = Layout(
    dataset="casme3",
    fps=30.0,
    vocabulary=emotions.CASME3,
    subject_label=lambda index: f"{index + 1:03d}",
    folder_label=folder_label,
    first_number=lambda index: 61 * index % 300,
    write_clip=write_clip,
    write_sheet=write_sheet,
    timing=lambda index: SLOW,  # noqa: ARG005 - whatever the clip
    per_folder=3,
    gap=12,
    clip_name=lambda folder, place, onset_number: f"{folder}_{onset_number}",  # noqa: ARG005 - the onset tells
)
