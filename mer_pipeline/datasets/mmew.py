"""MMEW: 300 micro-expressions of 36 subjects, 90 fps, cropped faces; a folder an emotion, and a coding sheet.

The sheet says `others` where some clips lie in a folder `repression`, and its numbers may count from the start of the
recording while the folders hold onset to offset only. Both are told once with a count, since they are habits of the set
and no slips. The sheet's emotion counts.
"""

from __future__ import annotations

from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations, Problem
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout, Tree, numbered, subject_id
from mer_pipeline.datasets.rows import Row, read_rows
from mer_pipeline.errors import MerError
from mer_pipeline.labels import canonical_emotion

LAYOUT = Layout(
    name="mmew",
    title="MMEW",
    fps=90.0,
    sheet=r"MMEW.*",
    sheet_example="MMEW_Micro_Exp.xlsx",
    roots=("Micro_Expression", "Micro-Expression", "Micro_Expression_cropped", "."),
    clips="*/*/S[0-9]*",
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


def read(raw: Path, corrections: Corrections) -> Annotations:
    """Read the coding sheet and find every clip's frames.

    Raises:
        MerError: The sheet is absent, or a needed column is.
    """
    sheet = LAYOUT.need_sheet(raw)
    root, tree = _root(raw), Tree()
    table = AnnotationsBuilder(LAYOUT, corrections)
    repressed = 0
    for row in table.take(read_rows(sheet, COLUMNS, required=("subject", "clip", "onset", "offset"))):
        subject, name = subject_id(row["subject"], 2), row["clip"]
        source, folder = _find(tree, root, subject, row)
        table.add(row, ClipLocation(subject, name, source, trimmed=True))
        if folder == "repression" and _emotion(row["emotion"]) == "others":
            repressed += 1
        elif folder is not None and _emotion(row["emotion"]) not in (None, folder):
            reason = f"the clip lies in the folder {folder}; the sheet counts"
            clip = f"{LAYOUT.name}/{subject}/{name}"
            table.problems.append(Problem(clip, "emotion", row["emotion"], reason, row.sheet, row.number))
    if repressed:
        table.warnings.append(f"{repressed} clips lie in the folder repression; the sheet says others, which counts")
    return table.finish(f"the sheet {sheet.name}")


def _root(raw: Path) -> Path:
    return _flat_root(raw) or LAYOUT.find_root(raw) or raw / LAYOUT.roots[0]


def _flat_root(raw: Path) -> Path | None:
    """`Micro_Expression/{emotion}/{clip}`: one level less than `S03/{emotion}/{clip}`."""
    return next((raw / root for root in LAYOUT.roots if any((raw / root).glob("*/S[0-9]*-*"))), None)


def _find(tree: Tree, root: Path, subject: str, row: Row) -> tuple[Path, str | None]:
    """A clip's folder and the emotion whose folder it lies in; that of the row first, then all others."""
    clip, label = row["clip"], row["emotion"]
    for top in (root, tree.child(root, *numbered("S", subject))):
        for folder in (label, *(tree.names(top) if top else ())):
            found = tree.descend(top, (folder,), (clip,)) if folder else None
            if found is not None:
                return found, _emotion(found.parent.name)
    return root / (label or "others") / clip, None


def _emotion(label: str) -> str | None:
    try:
        return canonical_emotion(label)
    except MerError:
        return None  # reported where the row is read
