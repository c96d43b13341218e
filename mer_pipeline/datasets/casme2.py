"""CASME II: 26 subjects, 200 fps; frame folders (raw or cropped) or one .avi a clip, and a coding sheet.

Layout, columns and counts: the set's own release notes and `CASME2-coding-20190701.xlsx`. The number in a frame's file
name is the number in the sheet.
"""

from __future__ import annotations

from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout, Tree, numbered, subject_id
from mer_pipeline.datasets.rows import read_rows

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
    clips="sub*/EP*",
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


def read(raw: Path, corrections: Corrections) -> Annotations:
    """Read the coding sheet and find every clip's frames.

    Raises:
        MerError: The sheet is absent, or a needed column is.
    """
    sheet = LAYOUT.need_sheet(raw)
    root, tree = LAYOUT.find_root(raw) or raw / LAYOUT.roots[0], Tree()
    table = AnnotationsBuilder(LAYOUT, corrections)
    for row in table.take(read_rows(sheet, COLUMNS, required=("subject", "clip", "onset", "offset"))):
        subject, name = subject_id(row["subject"], 2), row["clip"]
        folder = tree.child(root, *numbered("sub", subject)) or root / f"sub{subject}"
        source = tree.child(folder, name, f"{name}.avi") or folder / name
        table.add(row, ClipLocation(subject, name, source))
    return table.finish(f"the sheet {sheet.name}")
