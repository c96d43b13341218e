"""CAS(ME)^2: 22 subjects, 30 fps; long recordings, and a coding sheet of three parts of which the main has no header.

`CASFEcode_final` names a subject by a number and a recording by the film that was shown (`anger1`), with the
expression's place in it (`anger1_1`); `naming rule1` turns the number into `s15`, `naming rule2` the film into the
`0401` of the folder `s15/15_0401...`. Clips are called after both and the onset, such as `anger1_1_557`, which needs no
frames. Only the micro-expressions are clips; the macro-expressions are kept as `Annotations.macro`, for spotting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row, Rows, rows_by_position
from mer_pipeline.datasets.spreadsheets import RawSheet, read_sheets
from mer_pipeline.errors import MerError

LAYOUT = Layout(
    name="casme-sq",
    title="CAS(ME)^2",
    fps=30.0,
    sheet=r"CAS\(ME\)\^?2.*",
    sheet_example="CAS(ME)^2code_final.xlsx",
    roots=("rawpic", "selectedpic", "rawvideo", "cropped", "."),
    clips=("s[0-9]*/[0-9]*_0*",),
    frames_example="rawpic/s15/15_0101disgustingteeth/img001.jpg",
)
SHEETS = ("CASFEcode_final", "naming rule1", "naming rule2")
COLUMNS = ("subject", "clip", "onset", "apex", "offset", "aus", "emotion", "type", "self_report")
_SUBJECT, _PERSON = re.compile(r"\d+"), re.compile(r"s\d+", re.IGNORECASE)
_FILM, _CODE = re.compile(r"[a-z]+\d*", re.IGNORECASE), re.compile(r"\d{1,4}")


class _Reader(Reader):
    """Three sheets in place of one with a header."""

    def rows(self, table: AnnotationsBuilder) -> Rows:
        """The rows of the main sheet, with `person` and `code` as the two others say; blank where they do not."""
        path = self.layout.need_sheet(table.raw)
        sheets = list(read_sheets(path))
        people = _rule(sheets, path, SHEETS[1], _SUBJECT, _PERSON)
        films = _rule(sheets, path, SHEETS[2], _CODE, _FILM)
        codes = {film.casefold(): code.zfill(4) for code, film in films.items()}
        found = rows_by_position(_part(sheets, path, "casfecode"), COLUMNS, _SUBJECT)
        named = []
        for row in found.rows:
            number = str(int(row["subject"])) if row["subject"].isdecimal() else ""
            film = row["clip"].rpartition("_")[0] or row["clip"]
            more = {"person": subject_id(people.get(number, ""), 2), "code": codes.get(film.casefold(), "")}
            named.append(replace(row, cells={**row.cells, **more}))
        return replace(found, rows=tuple(named))


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation | None:
    """The folder or video that begins with subject and film; the rest of its name says nothing more."""
    for column, needed, rule in (("subject", "person", SHEETS[1]), ("clip", "code", SHEETS[2])):
        if not row[needed]:
            table.report(row, column, f"not in the sheet {rule}; the row was left out")
            return None
    subject, start = row["person"], f"{row['person']}_{row['code']}"
    name = f"{row['clip']}_{row['onset'] or 'none'}"
    person = table.tree.child(table.root, f"s{subject}", f"s{int(subject)}") or table.root / f"s{subject}"
    source = next((person / each for each in table.tree.names(person) if each.startswith(start)), person / start)
    return ClipLocation(subject, name, source, macro=table.is_macro(row, table.clip_id(subject, name)))


def _part(sheets: list[RawSheet], path: Path, start: str) -> RawSheet:
    for sheet in sheets:
        if sheet.name.partition(", ")[2].casefold().startswith(start):
            return sheet
    raise MerError(f"no sheet {start!r}", where=path, fix="take the .xlsx file with its three sheets")


def _rule(
    sheets: list[RawSheet], path: Path, name: str, number: re.Pattern[str], text: re.Pattern[str]
) -> dict[str, str]:
    """A naming rule: each row with one number and one name, in whichever columns and order they stand."""
    rule: dict[str, str] = {}

    def only(cells: list[str], matches: Callable[[str], object]) -> str | None:
        return next((cell for cell in cells if matches(cell)), None)

    for line in _part(sheets, path, name).lines:
        key, value = only(line, number.fullmatch), only(line, text.fullmatch)
        if key is not None and value is not None:
            rule.setdefault(str(int(key)), value)
    return rule


READER = _Reader(LAYOUT, dict.fromkeys(COLUMNS, ()), locate)
