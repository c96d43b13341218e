"""SAMM as it is handed out: grey frames with padded numbers, and a sheet with thirteen lines of preamble."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl

from mer_pipeline.synth import emotions
from mer_pipeline.synth.files import save_workbook
from mer_pipeline.synth.layouts.layout import Layout
from mer_pipeline.synth.media import Frames, write_images
from mer_pipeline.synth.truth import PlantedClip

SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
COLUMNS = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
PREAMBLE = ("Micro-expressions, FACS coded", "", "Onset, apex and offset are frame numbers at 200 fps", *[""] * 10)
# Least number of a recording's frames -> digits to which it pads them.
_DIGITS = ((3000, 5), (350, 4), (0, 3))


def subject_label(index: int) -> str:
    """Three digits from 006.

    >>> subject_label(0)
    '006'
    """
    return f"{index + 6:03d}"


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """Subject, film and expression.

    >>> folder_label("006", 4, "anger")
    '006_2_2'
    """
    return f"{subject}_{index // 3 + 1}_{index % 3 + 1}"


def first_number(index: int) -> int:
    """Clips are cut from recordings and keep their numbers: thousands, hundreds or fewer."""
    return (3000, 350, 20)[index % 3] + 37 * (index // 3) % 200


def file_name(clip: PlantedClip, number: int) -> str:
    """Subject and number, padded to three, four or five digits from recording to recording."""
    digits = next(digits for least, digits in _DIGITS if clip.first_number >= least)
    return f"{clip.subject}_{number:0{digits}d}.jpg"


def write_clip(out: Path, clip: PlantedClip, frames: Frames, video: bool) -> None:  # noqa: ARG001 - no videos
    """Write `SAMM/006/006_1_2/006_05562.jpg` and so on.

    Raises:
        OSError: A file cannot be written.
    """
    folder = out / "SAMM" / clip.subject / clip.folder
    write_images(folder, clip, frames, lambda number: file_name(clip, number), grey=True)


def write_sheet(out: Path, clips: Sequence[PlantedClip]) -> None:
    """Write the coding sheet; like the published one it has an impossible apex here and there.

    Raises:
        OSError: The file cannot be written.
    """
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "MICRO_ONLY"
    for line in PREAMBLE:
        sheet.append([line or None])
    sheet.append(COLUMNS)
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        shown = offset + 12 if position % 40 == 9 else apex
        label = "Other" if clip.plan.emotion == "others" else clip.plan.emotion.capitalize()
        coded = [clip.notation, label, clip.plan.combination.objective_class, None]
        code = int(clip.folder.split("_")[1])
        sheet.append([clip.subject, clip.folder, code, onset, shown, offset, offset - onset + 1, "Micro - 1/2", *coded])
    save_workbook(book, out / SHEET)


LAYOUT = Layout(
    dataset="samm",
    fps=200.0,
    vocabulary=emotions.SAMM,
    subject_label=subject_label,
    folder_label=folder_label,
    first_number=first_number,
    write_clip=write_clip,
    write_sheet=write_sheet,
)
