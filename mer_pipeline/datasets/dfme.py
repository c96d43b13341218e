"""DFME: clips of 200, 300 and 500 fps, each with its own rate; a workbook for training and one for each of two tests.

Each part numbers its subjects by itself, so that those of the tests are called `A0001` and `B0001`. The release of the
challenge is a .csv without Action Units. An onset may be 0.
"""

from __future__ import annotations

from collections.abc import Iterable

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, subject_id
from mer_pipeline.datasets.reader import Reader, SheetPart
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="dfme",
    title="DFME",
    fps=None,
    sheet=r"(?:training|train|test_?A|test_?B)(?:_|\.).*",
    sheet_example="training_full_with_AU.xlsx",
    roots=(".",),
    clips=("DFME_train/sub*_*", "*/sub*_*", "*/*/sub*_*"),
    frames_example="DFME_train/sub0003_01/00109.png",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("OnsetFrame",),
    "apex": ("ApexFrame",),
    "offset": ("OffsetFrame",),
    "emotion": ("Emotion",),
    "emotion_id": ("EmotionId",),
    "fps": ("Fps",),
    "aus": ("AU",),
}
_REQUIRED = ("subject", "clip", "onset", "apex", "offset", "emotion", "fps")
IDS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
# Part -> the letter before its subjects, and its folders.
FOLDERS = {"training": ("", "DFME_train"), "testA": ("A", "test_data_A"), "testB": ("B", "test_data_B")}
_FILES = {"training": r"train(?:ing)?(?:_|\.).*", "testA": r"test_?A(?:_|\.).*", "testB": r"test_?B(?:_|\.).*"}


def amend(row: Row, table: AnnotationsBuilder) -> Iterable[Row]:
    """Checked: the emotion against its number, and the rate."""
    number, clip = row["emotion_id"], table.clip_id(_subject(row), row["clip"])
    if number and (not number.isdecimal() or IDS[int(number) : int(number) + 1] != (row["emotion"].casefold(),)):
        table.report(row, "emotion", f"its EmotionId is {number}; the word counts", clip)
    if _rate(row["fps"]) is None:
        table.report(row, "fps", "no frame rate; read as absent", clip)
    yield row


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`DFME_train/sub0003_01`; a folder of a test may lie in another of its name."""
    folder = FOLDERS[row["part"]][1]
    top, name = (folder,), (row["clip"],)
    roads = ((top, name), (top, top, name), (name,))
    found = (table.tree.descend(table.raw, *road) for road in roads)
    source = next((each for each in found if each is not None), table.raw / folder / row["clip"])
    return ClipLocation(_subject(row), row["clip"], source, fps=_rate(row["fps"]))


def _subject(row: Row) -> str:
    return FOLDERS[row["part"]][0] + subject_id(row["subject"], 4)


def _rate(text: str) -> float | None:
    return float(text) if text.isdecimal() and 0 < int(text) <= 10_000 else None


PARTS = tuple(SheetPart(name, file) for name, file in _FILES.items())
READER = Reader(LAYOUT, COLUMNS, locate, _REQUIRED, PARTS, amend, common=True)
