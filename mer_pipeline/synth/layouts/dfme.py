"""DFME as it is published: a workbook for training and one for each of two tests, whose frames lie in other folders."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.dfme import COLUMNS, FOLDERS, IDS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import MEDIUM
from mer_pipeline.synth.truth import PlantedClip

_RATE = 200.0
_BOOKS = {"": "", "A": "testA_with_AU.xlsx/", "B": "testB_with_AU.xlsx/"}


def subject_label(index: int) -> str:
    """Every third subject is of a part: training, test A, test B.

    >>> [subject_label(index) for index in range(4)]
    ['0001', 'A0001', 'B0001', '0002']
    """
    return f"{tuple(_BOOKS)[index % 3]}{index // 3 + 1:04d}"


def frame_path(clip: PlantedClip, number: int) -> str:
    """`DFME_train/sub0003_01/00109.png`; those of test B in a folder in a folder."""
    folder = dict(FOLDERS.values())[clip.subject[:-4]]
    return f"{folder}/{folder + '/' if clip.subject[0] == 'B' else ''}{clip.folder}/{number:05d}.png"


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The three workbooks; here and there the number of an emotion is that of another."""
    names = ("subject", "clip", "onset", "apex", "offset", "emotion", "emotion_id", "fps", "aus")
    books: dict[str, list[Line]] = {}
    for position, clip in enumerate(clips):
        lines = books.setdefault(f"{_BOOKS[clip.subject[:-4]]}Sheet1", [header(COLUMNS, *names)])
        number = (IDS.index(clip.plan.emotion) + (position % 20 == 11)) % len(IDS)
        coded = [f"sub{clip.subject[-4:]}", clip.folder, *clip.numbers, clip.plan.emotion, number, int(clip.fps)]
        lines.append([*coded, clip.notation])
    return books


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.DFME,
    subject_label=subject_label,
    folder_label=lambda subject, index, _emotion: f"sub{subject[-4:]}_{index + 1:02d}",
    frame_path=frame_path,
    sheets=sheets,
    first_number=lambda index: 31 * index % 200,
    timings=(MEDIUM,),
    rate=_RATE,
    slips=("emotion",),
)
