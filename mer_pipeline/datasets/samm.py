"""SAMM: 29 subjects with clips, 200 fps, grey; frame folders and a coding sheet with thirteen lines of preamble.

Another release of the sheet starts with the header. Frame names are padded to three to five digits. Two of its apexes
are impossible (032_3_1 lies before its onset, 028_4_1 after its offset); what is true is not published, so they are
spotted.
"""

from __future__ import annotations

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, numbered, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="samm",
    title="SAMM",
    fps=200.0,
    sheet=r".*SAMM.*FACS.*",
    sheet_example="SAMM_Micro_FACS_Codes_v2.xlsx",
    roots=("SAMM", "SAMM_CROP", "SAMM_cropped", "."),
    clips=("[0-9][0-9][0-9]/[0-9]*_*",),
    frames_example="SAMM/006/006_1_2/006_05562.jpg",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("Onset Frame", "Onset"),
    "apex": ("Apex Frame", "Apex"),
    "offset": ("Offset Frame", "Offset"),
    "aus": ("Action Units", "Action Unit", "AU", "AUs"),
    "emotion": ("Estimated Emotion", "Emotion"),
}


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`006/006_1_2`."""
    subject, name = subject_id(row["subject"], 3), row["clip"]
    source = table.tree.descend(table.root, numbered("", subject), (name,)) or table.root / subject / name
    return ClipLocation(subject, name, source)


READER = Reader(LAYOUT, COLUMNS, locate)
