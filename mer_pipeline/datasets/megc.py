"""The test folder of the Micro-Expression Grand Challenge: long videos of several sets, and `label.xlsx`.

Each row is an expression as in the challenge's CSV: subject, video, onset, offset, emotion. The rates differ and are
not stated: give `--fps`, or a column fps. Without a column type, every expression is a micro-expression.
"""

from __future__ import annotations

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="megc",
    title="MEGC test folder",
    fps=None,
    sheet=r"label\.",
    sheet_example="dataset/label.xlsx",
    roots=("data", "dataset/data"),
    clips=("*/[a-z][0-9]", "*/*"),
    frames_example="data/s1/a1/1.jpg",
    sheet_in=(".", "dataset"),
)
COLUMNS = {
    "subject": ("subject",),
    "clip": ("video", "Filename"),
    "onset": ("onset",),
    "apex": ("apex",),
    "offset": ("offset",),
    "emotion": ("emotion",),
    "aus": ("au", "aus"),
    "type": ("type", "Expression type"),
    "fps": ("fps",),
}


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`data/s1/a1`."""
    subject, video = row["subject"], row["clip"]
    name = f"{video}_{row['onset'] or 'none'}"
    source = table.tree.descend(table.root, (subject,), (video,)) or table.root / subject / video
    macro = bool(row["type"]) and table.is_macro(row, table.clip_id(subject, name))
    fps = float(row["fps"]) if row["fps"].isdecimal() and int(row["fps"]) > 0 else None
    return ClipLocation(subject, name, source, fps=fps, macro=macro, sparse=True, cut=True)


READER = Reader(LAYOUT, COLUMNS, locate, common=True)
