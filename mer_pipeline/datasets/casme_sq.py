"""CAS(ME)^2: 22 subjects, 30 fps; long recordings, and a coding sheet of three parts of which the main has no header.

`CASFEcode_final` names a subject by a number and a recording by the film that was shown (`anger1`), with the
expression's place in it (`anger1_1`); `naming rule1` turns the number into `s15`, `naming rule2` the film into the
`0401` of the folder `s15/15_0401...`. Clips are called after both and the onset, such as `anger1_1_557`, which needs no
frames. Only the micro-expressions are clips; the macro-expressions are kept as `Annotations.macro`, for spotting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations, Problem
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout, Tree, subject_id
from mer_pipeline.datasets.rows import Row, rows_by_position
from mer_pipeline.datasets.spreadsheets import RawSheet, read_sheets
from mer_pipeline.errors import MerError

LAYOUT = Layout(
    name="casme-sq",
    title="CAS(ME)^2",
    fps=30.0,
    sheet=r"CAS\(ME\)\^?2.*",
    sheet_example="CAS(ME)^2code_final.xlsx",
    roots=("rawpic", "selectedpic", "rawvideo", "cropped", "."),
    clips="s[0-9]*/[0-9]*_0*",
    frames_example="rawpic/s15/15_0101disgustingteeth/img001.jpg",
)
SHEETS = ("CASFEcode_final", "naming rule1", "naming rule2")
COLUMNS = ("subject", "clip", "onset", "apex", "offset", "aus", "emotion", "type", "self_report")
_SUBJECT, _PERSON = re.compile(r"\d+"), re.compile(r"s\d+", re.IGNORECASE)
_FILM, _CODE = re.compile(r"[a-z]+\d*", re.IGNORECASE), re.compile(r"\d{1,4}")


def read(raw: Path, corrections: Corrections) -> Annotations:
    """Read the three sheets and find every recording.

    Raises:
        MerError: A sheet is absent or has too few columns.
    """
    path = LAYOUT.need_sheet(raw)
    sheets = list(read_sheets(path))
    people = _rule(sheets, path, "naming rule1", _SUBJECT, _PERSON)
    films = _rule(sheets, path, "naming rule2", _CODE, _FILM)
    codes = {film.casefold(): code.zfill(4) for code, film in films.items()}
    root, tree = LAYOUT.find_root(raw) or raw / LAYOUT.roots[0], Tree()
    table = AnnotationsBuilder(LAYOUT, corrections)
    rows = rows_by_position(_part(sheets, path, "casfecode"), COLUMNS, _SUBJECT)
    for row in table.take(rows):
        subject = subject_id(people.get(str(int(row["subject"])) if row["subject"].isdecimal() else "", ""), 2)
        film = row["clip"].rpartition("_")[0] or row["clip"]
        code = codes.get(film.casefold())
        if not subject or code is None:
            field, rule = ("subject", "naming rule1") if not subject else ("clip", "naming rule2")
            reason = f"not in the sheet {rule}; the row was left out"
            table.problems.append(Problem("", field, row[field], reason, row.sheet, row.number))
            continue
        _add(table, row, subject, _recording(tree, root, subject, code))
    return table.finish(f"the sheet {path.name}")


def _add(table: AnnotationsBuilder, row: Row, subject: str, source: Path) -> None:
    name = f"{row['clip']}_{row['onset'] or 'none'}"
    kind = row["type"].casefold()
    if not kind.startswith(("micro", "macro")):
        reason = "neither micro nor macro; taken as macro"
        clip = f"{LAYOUT.name}/{subject}/{name}"
        table.problems.append(Problem(clip, "type", row["type"], reason, row.sheet, row.number))
    table.add(row, ClipLocation(subject, name, source, macro=not kind.startswith("micro")))


def _recording(tree: Tree, root: Path, subject: str, code: str) -> Path:
    """The folder or video that begins with subject and film; the rest of its name tells nothing more."""
    person = tree.child(root, f"s{subject}", f"s{int(subject)}") or root / f"s{subject}"
    start = f"{subject}_{code}"
    return next((person / name for name in tree.names(person) if name.startswith(start)), person / start)


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
