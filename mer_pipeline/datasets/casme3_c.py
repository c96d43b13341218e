"""CAS(ME)^3 part C, the mock crime: 30 fps, one recording a subject; two workbooks.

`CAS(ME)3_part_C_ME.xlsx` has the micro-expressions with emotion and Action Units and without an apex, which is spotted;
`CAS(ME)3_part_C.xls` has all expressions by onset and offset, of which the macro-expressions are taken.
"""

from __future__ import annotations

from collections.abc import Iterable

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, subject_id
from mer_pipeline.datasets.reader import Reader, SheetPart
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="casme3-c",
    title="CAS(ME)^3 part C",
    fps=30.0,
    sheet=r"CAS\(ME\)3_part_?C.*",
    sheet_example="CAS(ME)3_part_C_ME.xlsx",
    roots=("part_C/part_C", "part_C", "ME_C", "."),
    clips=("[0-9]*/*/color",),
    frames_example="part_C/part_C/01/a/color/175.jpg",
)
COLUMNS = {
    "subject": ("sub", "Subject"),
    "onset": ("onset",),
    "offset": ("offset",),
    "aus": ("au",),
    "emotion": ("emotion",),
}
ALL = {"subject": ("Subject",), "onset": ("Onset",), "offset": ("Offset",), "diff": ("diff",), "type": ("Exp_type",)}
_TYPES = {"1": "micro", "0": "macro"}
PARTS = (
    SheetPart("micro", r"CAS\(ME\)3_part_?C_ME.*", required=("subject", "onset", "offset", "emotion")),
    SheetPart("all", r"CAS\(ME\)3_part_?C\.", columns=ALL, required=("subject", "onset", "offset", "type")),
)


def amend(row: Row, table: AnnotationsBuilder) -> Iterable[Row]:
    """The micro-expressions of one workbook, and the others of the other."""
    if row["part"] == "micro":
        yield row.having(type="micro")
        return
    kind = _TYPES.get(row["type"], row["type"])
    both = [row[column] for column in ("onset", "offset")]
    if row["diff"] and all(part.isdecimal() for part in both):
        lasts = int(both[1]) - int(both[0])
        if row["diff"] not in (str(lasts), str(lasts + 1)):
            table.report(row, "diff", f"from onset to offset there are {lasts} frames", row["subject"])
    if kind != "micro" or not table.layout.find_file(table.raw, PARTS[0].file):
        yield row.having(type=kind)


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`01/a/color`, the one recording of a subject."""
    subject = subject_id(row["subject"], 2)
    person = table.tree.child(table.root, subject, str(int(subject)) if subject.isdecimal() else subject)
    letter = next(iter(table.tree.names(person)), "a") if person is not None else "a"
    source = table.tree.descend(person, (letter,), ("color",)) or table.root / subject / letter / "color"
    name = f"{letter}_{row['onset'] or 'none'}"
    macro = table.is_macro(row, table.clip_id(subject, name))
    return ClipLocation(subject, name, source, macro=macro, sparse=True, cut=True)


READER = Reader(LAYOUT, COLUMNS, locate, ("subject", "onset", "offset"), PARTS, amend)
