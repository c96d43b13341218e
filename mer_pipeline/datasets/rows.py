"""The rows of a coding sheet, found by the words of its header, with preambles, stray blanks and full-width digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mer_pipeline.cells import is_blank
from mer_pipeline.datasets.clip import Problem
from mer_pipeline.datasets.spreadsheets import SUFFIXES, RawSheet, clean, read_sheets
from mer_pipeline.errors import MerError

__all__ = ["Row", "Rows", "clean", "find_sheet", "frame_cell", "read_rows", "rows_by_position"]


@dataclass(frozen=True)
class Row:
    """One line of a sheet.

    Attributes:
        sheet: File name and sheet name.
        number: As a spreadsheet shows it, from 1; None where a folder takes the place of a row.
        cells: Text by canonical column name; blank where the cell is empty or the column is absent.
    """

    sheet: str
    number: int | None
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def having(self, **cells: str) -> Row:
        """The same row with other cells."""
        return replace(self, cells={**self.cells, **cells})


@dataclass(frozen=True)
class Rows:
    """The rows of a sheet.

    Attributes:
        rows: In sheet order.
        columns: Which of the wanted columns the sheet has.
        problems: What is wrong with the sheet itself.
    """

    rows: tuple[Row, ...]
    columns: frozenset[str]
    problems: tuple[Problem, ...] = ()


def frame_cell(text: str) -> int | None:
    """A frame number; None where the cell says that there is none (`cells.is_blank`).

    Raises:
        ValueError: The cell is neither.

    >>> frame_cell("46"), frame_cell("/")
    (46, None)
    """
    if is_blank(text):
        return None
    if not re.fullmatch(r"\d{1,12}(\.0+)?", text):
        raise ValueError("not a whole number")
    return int(text.partition(".")[0])


def find_sheet(folder: Path, pattern: str) -> Path | None:
    """The coding sheet whose name matches a case-blind regular expression; the last by name where there are several."""
    found = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in SUFFIXES and re.match(pattern, file.name, re.IGNORECASE)
    ]
    return found[-1] if found else None


def read_rows(
    path: Path, columns: Mapping[str, Sequence[str]], required: Iterable[str], title: str | None = None
) -> Rows:
    """Read the sheet of a file that has the wanted columns.

    Args:
        path: An .xlsx, .xls or .csv file.
        columns: Canonical column name -> the headers by which it goes, compared without case and blanks.
        required: Canonical names without which a row makes no sense.
        title: Of the sheet; None for the first that has the columns. A .csv file has none.

    Raises:
        MerError: The file cannot be read, or no sheet has a header row with the required columns.
    """
    needed = list(required)
    best, known = needed, _by_header(columns)
    for sheet in read_sheets(path):
        _, comma, own_title = sheet.name.partition(", ")
        if title is not None and comma and _plain(own_title) != _plain(title):
            continue
        for at, line in enumerate(sheet.lines):
            below = sheet.lines[at + 1] if at + 1 < len(sheet.lines) else ()
            for depth, header in ((1, line), (2, _stacked(line, below))):
                place = _places(header, known)
                missing = [column for column in needed if column not in place]
                if not missing:
                    return _rows(sheet, place, at + depth, columns)
                if len(missing) < len(best):
                    best = missing
    wanted = ", ".join(columns[column][0] for column in best)
    raise MerError(f"no header row with the column {wanted}", where=path, fix="is this the right sheet?")


def rows_by_position(sheet: RawSheet, columns: Sequence[str], is_row: re.Pattern[str]) -> Rows:
    """The rows of a sheet without a header: those whose first cell matches."""
    place = {column: index for index, column in enumerate(columns)}
    width = len(sheet.lines[0]) if sheet.lines else 0
    if width < len(columns):
        raise MerError(f"{width} columns, expected {len(columns)}", where=sheet.name, fix="is this the right sheet?")
    start = next((at for at, line in enumerate(sheet.lines) if is_row.fullmatch(line[0])), len(sheet.lines))
    return _rows(sheet, place, start, dict.fromkeys(columns, ()))


def _rows(sheet: RawSheet, place: Mapping[str, int], start: int, columns: Mapping[str, Sequence[str]]) -> Rows:
    """All rows from a line on; merged cells and headers that come again are reported."""
    rows, problems, known = [], [], _by_header(columns)
    for merged in sheet.merged:
        inside = [name for name, column in place.items() if merged.first_column <= column <= merged.last_column]
        if inside and merged.last_row > start:
            reason = "merged cells; each of them was given the value"
            number = max(merged.first_row, start + 1)
            problems.append(Problem("", inside[0], merged.value, reason, sheet.name, number))
    for number, cells in enumerate(sheet.lines[start:], start + 1):
        row = Row(sheet.name, number, {c: (cells[place[c]] if c in place else "") for c in columns})
        again = _places(cells, known)
        if len(again) >= 3:
            problems.append(Problem("", "header", row_text(cells), "a header again; left out", sheet.name, number))
        elif any(row.cells.values()):
            rows.append(row)
    return Rows(tuple(rows), frozenset(place), tuple(problems))


def row_text(cells: Sequence[str]) -> str:
    """A line of a sheet in brief."""
    text = ", ".join(cell for cell in cells if cell)
    return text if len(text) <= 60 else text[:57] + "..."


def _stacked(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    """A header of two rows as one: the lower row has the names, the upper one where the lower is blank."""
    return [low or up for up, low in zip(upper, lower, strict=False)]


def _places(line: Sequence[str], known: Mapping[str, str]) -> dict[str, int]:
    """Where each canonical column stands in a would-be header row; the first of two equal headers counts."""
    place: dict[str, int] = {}
    for index, cell in enumerate(line):
        column = known.get(_plain(cell))
        if column is not None:
            place.setdefault(column, index)
    return place


def _by_header(columns: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {_plain(alias): column for column, aliases in columns.items() for alias in aliases}


@lru_cache(maxsize=4096)
def _plain(header: str) -> str:
    return re.sub(r"[\s_]", "", header).casefold()
