"""CASME: 189 clips at 60 fps; frame folders as in CASME II, and a coding sheet with two columns for the apex.

The first apex counts; where it is blank, the second.
"""

from __future__ import annotations

from collections.abc import Iterable

from mer_pipeline.cells import is_blank
from mer_pipeline.datasets import casme2
from mer_pipeline.datasets.builder import AnnotationsBuilder
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="casme",
    title="CASME",
    fps=60.0,
    sheet=r"casme\.",
    sheet_example="casme.xlsx",
    roots=("CASME_raw_selected", "CASME_raw", "Cropped", "."),
    clips=("sub*/EP*",),
    frames_example="CASME_raw_selected/sub01/EP01_5/img46.jpg",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetF", "OnsetFrame", "Onset"),
    "apex": ("ApexF1", "ApexF", "ApexFrame", "Apex"),
    "second_apex": ("ApexF2",),
    "offset": ("OffsetF", "OffsetFrame", "Offset"),
    "aus": ("AU", "AUs", "Action Units"),
    "emotion": ("Emotion", "Estimated Emotion"),
}


def amend(row: Row, table: AnnotationsBuilder) -> Iterable[Row]:  # noqa: ARG001 - a blank apex is reported as everywhere
    """With the second apex in the place of a blank first one."""
    second = is_blank(row["apex"]) and not is_blank(row["second_apex"])
    yield row.having(apex=row["second_apex"]) if second else row


READER = Reader(LAYOUT, COLUMNS, casme2.locate, amend=amend)
