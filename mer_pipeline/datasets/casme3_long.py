"""CAS(ME)^3 part A as long videos: 860 micro- and 3,346 macro-expressions at 30 fps, in the frames of `casme3`.

The sheet has no emotion, but the objective class of the Action Units, which is the label here: `class iv`.
Another of its sheets has the blinks, which are counted. The first 7 or 8 frames of a recording are missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mer_pipeline.datasets import casme3
from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row, Rows, read_rows
from mer_pipeline.errors import MerError

LAYOUT = Layout(
    name="casme3-long",
    title="CAS(ME)^3 part A (long videos)",
    fps=30.0,
    sheet=r"CAS\(ME\)3_part_?A_v\d.*",
    sheet_example="CAS(ME)3_part_A_v2.xls",
    roots=casme3.LAYOUT.roots,
    clips=casme3.LAYOUT.clips,
    frames_example=casme3.LAYOUT.frames_example,
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
    "aus": ("AU",),
    "type": ("Expression type",),
    "emotion": ("Objective class",),
}
SHEETS = ("AU+Emotion", "eye blink")


class _Reader(Reader):
    def recognise(self, raw: Path) -> str | None:
        """Where the sheet of the short clips is there too, the folder is `casme3` unless this set is asked for."""
        return None if casme3.LAYOUT.recognise(raw) else super().recognise(raw)

    def rows(self, table: AnnotationsBuilder) -> Rows:
        """The expressions; the blinks are counted."""
        try:
            wanted = {name: COLUMNS[name] for name in ("subject", "clip", "onset", "offset")}
            blinks = read_rows(self.layout.need_sheet(table.raw), wanted, wanted, SHEETS[1])
            if blinks.rows:
                table.warnings.append(f"blinks annotated too, which are no expressions: {len(blinks.rows)}")
        except MerError:
            pass  # a .csv file, or a version without them
        return super().rows(table)


def amend(row: Row, table: AnnotationsBuilder) -> Iterable[Row]:  # noqa: ARG001 - nothing is wrong with it
    """With the class as a label."""
    yield row.having(emotion=f"class {row['emotion'].casefold()}" if row["emotion"] else "")


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation | None:
    """As in `casme3`."""
    place = casme3.locate(row, table)
    macro = table.is_macro(row, table.clip_id(place.subject, place.name))
    return ClipLocation(place.subject, place.name, place.source, macro=macro, cut=True, own_labels=True)


READER = _Reader(LAYOUT, COLUMNS, locate, ("subject", "clip", "onset", "offset", "type"), amend=amend)
