"""CAS(ME)^2 as it is handed out: recordings with several expressions, micro and macro, and a sheet of three parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl

from mer_pipeline.synth import emotions
from mer_pipeline.synth.files import save_workbook
from mer_pipeline.synth.layouts.layout import Layout
from mer_pipeline.synth.media import Frames, write_images
from mer_pipeline.synth.plan import SLOW, SLOW_MACRO
from mer_pipeline.synth.truth import PlantedClip

SHEET = "CAS(ME)^2code_final.xlsx"
PER_FOLDER = 3
# The name that the sheet gives to a film, its code in a folder's name, and the rest of that name.
FILMS = (("disgust1", "0101", "disgustingteeth"), ("anger1", "0401", "anger"), ("happy1", "0501", "happy"))


def film(index: int) -> tuple[str, str, str]:
    """The film of a subject's recording.

    >>> film(0), film(5)
    (('disgust1', '0101', 'disgustingteeth'), ('happy4', '0504', 'happy'))
    """
    return FILMS[index] if index < len(FILMS) else (f"happy{index - 1}", f"05{index - 1:02d}", "happy")


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """Subject, code and title of the film.

    >>> folder_label("15", 0, "anger")
    '15_0101disgustingteeth'
    """
    _, code, title = film(index)
    return f"{subject}_{code}{title}"


def clip_name(folder: str, place: int, onset_number: int) -> str:
    """The sheet's name of an expression, and its onset.

    >>> clip_name("15_0101disgustingteeth", 1, 30)
    'disgust1_2_30'
    """
    return f"{_video(folder)}_{place + 1}_{onset_number}"


def write_clip(out: Path, clip: PlantedClip, frames: Frames, video: bool) -> None:  # noqa: ARG001 - no videos
    """Write `rawpic/s15/15_0101disgustingteeth/img001.jpg` and so on.

    Raises:
        OSError: A file cannot be written.
    """
    write_images(out / "rawpic" / f"s{clip.subject}" / clip.folder, clip, frames, "img{:03d}.jpg".format)


def write_sheet(out: Path, clips: Sequence[PlantedClip]) -> None:
    """Write the coding sheet, without a header; some macro-expressions have no offset, and joy has an odd name.

    Raises:
        OSError: The file cannot be written.
    """
    book = openpyxl.Workbook()
    codes, people, films = book.worksheets[0], book.create_sheet("naming rule1"), book.create_sheet("naming rule2")
    codes.title = "CASFEcode_final"
    numbers = {subject: index + 1 for index, subject in enumerate(dict.fromkeys(clip.subject for clip in clips))}
    for subject, number in numbers.items():
        people.append([number, f"s{subject}"])
    for index in range(len({clip.folder.partition("_")[2] for clip in clips})):
        films.append([film(index)[0], film(index)[1]])
    macros = 0
    for clip in clips:
        onset, apex, offset = clip.numbers
        macros += clip.macro
        shown = 0 if clip.macro and macros % 7 == 1 else offset
        label = "happyiness" if clip.plan.emotion == "happiness" else clip.plan.emotion
        kind = "macro-expression" if clip.macro else "micro-expression"
        name = clip.clip.rpartition("_")[0]
        codes.append([numbers[clip.subject], name, onset, apex, shown, clip.notation, label, kind, clip.plan.emotion])
    save_workbook(book, out / SHEET)


def _video(folder: str) -> str:
    code = folder.partition("_")[2][:4]
    return next(name for name, each, _ in map(film, range(100)) if each == code)


LAYOUT = Layout(
    dataset="casme-sq",
    fps=30.0,
    vocabulary=emotions.CASME_SQ,
    subject_label=lambda index: f"{index + 15}",
    folder_label=folder_label,
    first_number=lambda index: 1,  # noqa: ARG005 - whatever the recording
    write_clip=write_clip,
    write_sheet=write_sheet,
    timing=lambda index: SLOW_MACRO if index % PER_FOLDER == PER_FOLDER - 1 else SLOW,
    per_folder=PER_FOLDER,
    clip_name=clip_name,
)
