"""CAS(ME)^3 part A: 100 subjects, 30 fps; long recordings with several expressions each, and a coding sheet.

A folder holds several expressions, so a clip is called after its folder and its onset, such as `b_175`. In 55 rows the
apex is the onset, which shows no motion; it is spotted. A folder's name may stand in capitals in the sheet.
"""

from __future__ import annotations

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, numbered, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="casme3",
    title="CAS(ME)^3 part A",
    fps=30.0,
    sheet=r"cas\(me\)3(?!_part_?A_v\d).*part_?A.*",
    sheet_example="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    roots=("part_A", "partA", "part_A/data", "."),
    clips=("spNO.*/*/color",),
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


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`spNO.1/b/color`; the folder may be in capitals in the sheet."""
    subject, folder = subject_id(row["subject"], 3), row["clip"].lower()
    name = f"{folder}_{row['onset'] or 'none'}"
    if folder != row["clip"]:
        table.report(row, "clip", f"in capitals; read as {folder}", table.clip_id(subject, name))
    source = table.tree.descend(table.root, numbered("spNO.", subject), (folder,), ("color",))
    return ClipLocation(subject, name, source or table.root / f"spNO.{subject.lstrip('0')}" / folder / "color")


READER = Reader(LAYOUT, COLUMNS, locate, required=("subject", "clip", "onset", "offset", "emotion"))
