"""CAS(ME)^3 part A: 100 subjects, 30 fps; long recordings with several expressions each, and a coding sheet.

A folder holds several expressions, so a clip is called after its folder and its onset, such as `b_175`. In 55 rows the
apex is the onset, which shows no motion; it is spotted. A folder's name may stand in capitals in the sheet.
"""

from __future__ import annotations

from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations, Problem
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout, Tree, numbered, subject_id
from mer_pipeline.datasets.rows import Row, read_rows

LAYOUT = Layout(
    name="casme3",
    title="CAS(ME)^3 part A",
    fps=30.0,
    sheet=r"cas\(me\)3.*part_?A.*",
    sheet_example="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    roots=("part_A", "partA", "part_A/data", "."),
    clips="spNO.*/*/color",
    frames_example="part_A/spNO.1/b/color/175.jpg",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset", "OnsetFrame"),
    "apex": ("Apex", "ApexFrame"),
    "offset": ("Offset", "OffsetFrame"),
    "aus": ("AU", "AUs", "Action Units"),
    "emotion": ("emotion", "Estimated Emotion"),
}


def read(raw: Path, corrections: Corrections) -> Annotations:
    """Read the coding sheet and find every clip's frames.

    Raises:
        MerError: The sheet is absent, or a needed column is.
    """
    sheet = LAYOUT.need_sheet(raw)
    root, tree = LAYOUT.find_root(raw) or raw / LAYOUT.roots[0], Tree()
    table = AnnotationsBuilder(LAYOUT, corrections)
    for row in table.take(read_rows(sheet, COLUMNS, required=("subject", "clip", "onset", "offset", "emotion"))):
        subject, folder = subject_id(row["subject"], 3), row["clip"].lower()
        name = f"{folder}_{row['onset'] or 'none'}"
        if folder != row["clip"]:
            table.problems.append(_capitals(row, f"{LAYOUT.name}/{subject}/{name}", folder))
        source = tree.descend(root, numbered("spNO.", subject), (folder,), ("color",))
        expected = root / f"spNO.{subject.lstrip('0')}" / folder / "color"
        table.add(row, ClipLocation(subject, name, source or expected))
    return table.finish(f"the sheet {sheet.name}")


def _capitals(row: Row, clip_id: str, folder: str) -> Problem:
    return Problem(clip_id, "clip", row["clip"], f"in capitals; read as {folder}", row.sheet, row.number)
