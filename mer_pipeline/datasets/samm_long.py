"""SAMM Long Videos: 147 recordings at 200 fps with 343 macro- and 159 micro-expressions.

One folder a recording, `006_1/006_1_0001.jpg`; the sheet (`SAMM_LongVideos_V3_Release.xlsx` and older) names an
expression by its recording and a number (`006_1_2`), and says of each whether it is `Micro - 1/2` or `Macro`. Nine or
so lines of preamble come before its header. It has no emotions: those of the micro-expressions are joined from the
sheet of SAMM, where that lies beside it. An apex of -1 is not annotated, an onset of 0 lies before the recording.
"""

from __future__ import annotations

import re

from mer_pipeline.datasets import samm
from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row, Rows, read_rows

LAYOUT = Layout(
    name="samm-long",
    title="SAMM Long Videos",
    fps=200.0,
    sheet=r".*SAMM.*Long.*",
    sheet_example="SAMM_LongVideos_V3_Release.xlsx",
    roots=("SAMM_longvideos", "SAMM_LongVideos", "SAMM_Long_Videos", "SAMM_MEGC/SAMM_longvideos", "."),
    clips=("[0-9][0-9][0-9]_[0-9]*",),
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
SHEET = "FACS_Movement_Only"
_RECORDING = re.compile(r"\d+_\d+")


class _Reader(Reader):
    def rows(self, table: AnnotationsBuilder) -> Rows:
        """With the emotions of SAMM's own sheet, by the name and the type of the expression."""
        found = super().rows(table)
        sheet = table.layout.find_file(table.raw, samm.LAYOUT.sheet)
        if "emotion" in found.columns:
            return found
        if sheet is None:
            text = (
                f"no emotions: put {samm.LAYOUT.sheet_example} beside the sheet to join those of the micro-expressions"
            )
            table.warnings.append(text)
            return found
        columns = {**samm.COLUMNS, "type": ("Micro", "Type")}
        of = {_key(row): row["emotion"] for row in read_rows(sheet, columns, ("clip", "emotion", "type")).rows}
        rows = tuple(row.having(emotion=of.get(_key(row), "")) for row in found.rows)
        for row in rows:
            if _key(row) not in of and row["type"].casefold().startswith("micro"):
                table.report(row, "clip", f"not in {sheet.name}; no emotion", row["clip"])
        return Rows(rows, found.columns, found.problems)


def _key(row: Row) -> tuple[str, str]:
    return row["clip"], re.sub(r"\W", "", row["type"]).casefold()


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation | None:
    """`006_1`, the recording of the expression `006_1_2`."""
    found = _RECORDING.match(row["clip"])
    if found is None:
        table.report(row, "clip", "names no recording such as 006_1; the row was left out")
        return None
    recording = found[0]
    subject = subject_id(row["subject"] or recording.partition("_")[0], 3)
    # One name may stand for a micro- and a macro-expression, so the onset belongs to it.
    name = f"{row['clip']}_{row['onset'] or 'none'}"
    macro = table.is_macro(row, table.clip_id(subject, name))
    source = table.tree.child(table.root, recording) or table.root / recording
    return ClipLocation(subject, name, source, macro=macro, sparse=True, cut=True)


READER = _Reader(LAYOUT, COLUMNS, locate, required=("clip", "onset", "offset", "type"))
