"""CASME II: 26 subjects, 200 fps; frame folders (raw or cropped) or one .avi a clip, and a coding sheet.

Layout, columns and counts: the set's own release notes and `CASME2-coding-20190701.xlsx`. The number in a frame's file
name is the number in the sheet.
"""

from __future__ import annotations

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, numbered, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="casme2",
    title="CASME II",
    fps=200.0,
    sheet=r"CASME2[-_ ]coding.*",
    sheet_example="CASME2-coding-20190701.xlsx",
    # The official crops keep the folder names of the raw frames.
    roots=(
        "CASME2-RAW",
        "CASME2_RAW_selected",
        "CASME2_raw",
        "Cropped",
        "Cropped_original",
        "Cropped-updated/Cropped",
        ".",
    ),
    clips=("sub*/EP*",),
    frames_example="CASME2-RAW/sub01/EP02_01f/img46.jpg",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset"),
    "apex": ("ApexFrame", "ApexFrame1", "Apex"),
    "offset": ("OffsetFrame", "Offset"),
    "aus": ("Action Units", "Action Unit", "AU", "AUs"),
    "emotion": ("Estimated Emotion", "Emotion"),
}


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`sub01/EP02_01f`, a folder or an .avi, with the subject padded or not."""
    subject, name = subject_id(row["subject"], 2), row["clip"]
    folder = table.tree.child(table.root, *numbered("sub", subject)) or table.root / f"sub{subject}"
    return ClipLocation(subject, name, table.tree.child(folder, name, f"{name}.avi") or folder / name)


READER = Reader(LAYOUT, COLUMNS, locate)
