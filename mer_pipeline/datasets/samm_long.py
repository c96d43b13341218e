"""SAMM Long Videos: 147 recordings at 200 fps with 343 macro- and 159 micro-expressions, for spotting.

One folder a recording, `006_1/006_1_0001.jpg`; the sheet (`SAMM_LongVideos_V3_Release.xlsx` and older) names an
expression by its recording and a number (`006_1_2`), and says of each whether it is `Micro - 1/2` or `Macro`. Nine or
so lines of preamble come before its header.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations, Problem
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout, Tree, subject_id
from mer_pipeline.datasets.rows import Row, read_rows

LAYOUT = Layout(
    name="samm-long",
    title="SAMM Long Videos",
    fps=200.0,
    sheet=r".*SAMM.*Long.*",
    sheet_example="SAMM_LongVideos_V3_Release.xlsx",
    roots=("SAMM_longvideos", "SAMM_LongVideos", "SAMM_Long_Videos", "SAMM_MEGC/SAMM_longvideos", "."),
    clips="[0-9][0-9][0-9]_[0-9]*",
    frames_example="SAMM_longvideos/006_1/006_1_0001.jpg",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename", "File name"),
    "onset": ("Onset", "Onset Frame"),
    "apex": ("Apex", "Apex Frame"),
    "offset": ("Offset", "Offset Frame"),
    "type": ("Type", "Expression Type", "Micro/Macro"),
    "aus": ("Action Units", "Action Unit", "AU", "AUs"),
    "emotion": ("Estimated Emotion", "Emotion"),
}
_RECORDING = re.compile(r"\d+_\d+")


def read(raw: Path, corrections: Corrections) -> Annotations:
    """Read the sheet and find every recording; the macro-expressions are `Annotations.macro`.

    Raises:
        MerError: The sheet is absent, or a needed column is.
    """
    sheet = LAYOUT.need_sheet(raw)
    root, tree = LAYOUT.find_root(raw) or raw / LAYOUT.roots[0], Tree()
    table = AnnotationsBuilder(LAYOUT, corrections)
    for row in table.take(read_rows(sheet, COLUMNS, required=("clip", "onset", "offset", "type"))):
        name = row["clip"]
        found = _RECORDING.match(name)
        if found is None:
            reason = "names no recording such as 006_1; the row was left out"
            table.problems.append(Problem("", "clip", name, reason, row.sheet, row.number))
            continue
        recording = found[0]
        source = tree.child(root, recording) or root / recording
        subject = subject_id(row["subject"] or recording.partition("_")[0], 3)
        # One name may stand for a micro- and a macro-expression, so the onset belongs to it.
        name = f"{name}_{row['onset'] or 'none'}"
        table.add(row, ClipLocation(subject, name, source, macro=_is_macro(table, row, subject, name), sparse=True))
    return table.finish(f"the sheet {sheet.name}")


def _is_macro(table: AnnotationsBuilder, row: Row, subject: str, name: str) -> bool:
    kind = row["type"].casefold()
    if not kind.startswith(("micro", "macro")):
        reason = "neither micro nor macro; taken as macro"
        table.problems.append(
            Problem(f"{LAYOUT.name}/{subject}/{name}", "type", row["type"], reason, row.sheet, row.number)
        )
    return not kind.startswith("micro")
