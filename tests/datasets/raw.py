"""Raw folders with hand-written sheets and empty frames: no reader opens one."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import openpyxl

from mer_pipeline.datasets import Annotations, Clip

CASME2_HEADER = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion",
)  # fmt: skip
SAMM_HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
    "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
MMEW_HEADER = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
)  # fmt: skip
CASME3_HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
CASME2_SHEET = "CASME2-coding-20190701.xlsx"


def book(path: Path, *sheets: tuple[str, Iterable[Sequence[object]]]) -> Path:
    """An .xlsx file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = openpyxl.Workbook()
    made.remove(made.worksheets[0])
    for title, lines in sheets:
        sheet = made.create_sheet(title)
        for line in lines:
            sheet.append(list(line))
    made.save(path)
    return path


def frames(folder: Path, numbers: Iterable[int], name: str = "img{}.jpg") -> Path:
    """A folder with empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / name.format(number)).touch()
    return folder


def casme2(raw: Path, *rows: Sequence[object], count: int = 20) -> Path:
    """A CASME II folder; a row is subject, clip, onset, apex, offset, AUs, emotion, and each clip has its frames."""
    lines = [
        (s, clip, None, onset, apex, offset, None, aus, emotion) for s, clip, onset, apex, offset, aus, emotion in rows
    ]
    book(raw / CASME2_SHEET, ("Sheet1", [CASME2_HEADER, *lines]))
    for subject, clip, *_ in rows:
        if clip:
            frames(raw / "CASME2-RAW" / f"sub{str(subject).zfill(2)}" / str(clip), range(1, count + 1))
    return raw


def points(clip: Clip) -> tuple[int | None, int | None, int | None]:
    """Onset, apex and offset."""
    return clip.onset_frame, clip.apex_frame, clip.offset_frame


def told(found: Annotations) -> list[tuple[str, str, str]]:
    """Clip, field and value of every problem."""
    return [(problem.clip, problem.field, problem.value) for problem in found.problems]
