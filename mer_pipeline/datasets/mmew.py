"""MMEW: 300 micro-expressions of 36 subjects, 90 fps, cropped faces; a folder an emotion, and a coding sheet.

The sheet says `others` where some clips lie in a folder `repression`, and its numbers may count from the start of the
recording while the folders hold onset to offset only. Both are reported once with a count, since they are habits of
the set and no slips. The sheet's emotion counts.
"""

from __future__ import annotations

from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, numbered, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row
from mer_pipeline.errors import MerError
from mer_pipeline.labels import canonical_emotion

LAYOUT = Layout(
    name="mmew",
    title="MMEW",
    fps=90.0,
    sheet=r"MMEW.*",
    sheet_example="MMEW_Micro_Exp.xlsx",
    roots=("Micro_Expression", "Micro-Expression", "Micro_Expression_cropped", "."),
    # `Micro_Expression/{emotion}/{clip}`, or with the subject between.
    clips=("*/S[0-9]*-*", "*/*/S[0-9]*"),
    frames_example="Micro_Expression/happiness/S03-01-002/1.jpg",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("OnsetFrame", "Onset Frame", "Onset"),
    "apex": ("ApexFrame", "Apex Frame", "Apex"),
    "offset": ("OffsetFrame", "Offset Frame", "Offset"),
    "aus": ("Action Units", "Action Unit", "AU", "AUs"),
    "emotion": ("Estimated Emotion", "Emotion"),
}


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`happiness/S03-04-002` or `S03/happiness/S03-04-002`, whose emotion may not be the sheet's."""
    subject, name = subject_id(row["subject"], 2), row["clip"]
    source, folder = _find(table, subject, row)
    if folder == "repression" and _emotion(row["emotion"]) == "others":
        table.habits["{} clips lie in the folder repression; the sheet says others, which counts"] += 1
    elif folder is not None and _emotion(row["emotion"]) not in (None, folder):
        reason = f"the clip lies in the folder {folder}; the sheet counts"
        table.report(row, "emotion", reason, table.clip_id(subject, name))
    return ClipLocation(subject, name, source, trimmed=True)


def _find(table: AnnotationsBuilder, subject: str, row: Row) -> tuple[Path, str | None]:
    """A clip's folder and the emotion whose folder it lies in; that of the row first, then all others."""
    clip, label, tree = row["clip"], row["emotion"], table.tree
    for top in (table.root, tree.child(table.root, *numbered("S", subject))):
        for folder in (label, *(tree.names(top) if top else ())):
            found = tree.descend(top, (folder,), (clip,)) if folder else None
            if found is not None:
                return found, _emotion(found.parent.name)
    return table.root / (label or "others") / clip, None


def _emotion(label: str) -> str | None:
    try:
        return canonical_emotion(label)
    except MerError:
        return None  # reported where the row is read


READER = Reader(LAYOUT, COLUMNS, locate)
