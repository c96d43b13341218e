"""Tables as files: .xlsx, .xls and .csv in any of the encodings and separators in which sheets are handed round."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.errors import MerError

SUFFIXES = (".xlsx", ".xls", ".csv")
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")  # of old .xls files, and of .xlsx files with a password
_SEPARATORS = (",", ";", "\t", "，")
_MARKS = re.compile(rb"<(?:[a-z]+:)?f(?=[ />])|<(?:[a-z]+:)?mergeCell(?=[ />])")


@dataclass(frozen=True)
class Merged:
    """A range of merged cells and its value; rows from 1 and columns from 0, both ends in."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int
    value: str


@dataclass(frozen=True)
class RawSheet:
    """One sheet of a file as text; all lines have one length.

    Attributes:
        name: File name and sheet name.
        lines: Cleaned cells. A merged cell's value stands in all its places, and a formula whose value is not stored
            stands as its text, beginning with `=`.
        merged: The merged cells.
    """

    name: str
    lines: list[list[str]]
    merged: tuple[Merged, ...] = ()


def clean(value: object) -> str:
    """A cell as text: full-width forms made plain, blanks stripped, whole numbers without a decimal point.

    >>> clean(46.0), clean(" ４+Ｒ１４ "), clean(None)
    ('46', '4+R14', '')
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return unicodedata.normalize("NFKC", str(value)).replace("\0", "").strip()


def read_sheets(path: Path) -> Iterator[RawSheet]:
    """Every sheet of a file; a .csv file once for each separator that it may have.

    Raises:
        MerError: The file cannot be read.
    """
    readers = {".xlsx": _xlsx, ".xls": _xls, ".csv": _csv}
    try:
        yield from readers[path.suffix.lower()](path)
    except OSError as error:
        raise MerError(f"cannot be read ({error.strerror})", where=path, fix="check its permissions") from None


def _sheet(name: str, lines: Sequence[Sequence[object]], spans: Sequence[tuple[int, int, int, int]] = ()) -> RawSheet:
    """Clean a sheet and spread its merged cells; spans are first row, last row, first and last column, from 0."""
    width = max((len(line) for line in lines), default=0)
    cells = [[clean(cell) for cell in line] + [""] * (width - len(line)) for line in lines]
    merged = []
    for top, bottom, left, right in spans:
        if bottom >= len(cells) or right >= width or not cells[top][left]:
            continue
        value = cells[top][left]
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                cells[row][column] = value
        merged.append(Merged(top + 1, bottom + 1, left, right, value))
    return RawSheet(name, cells, tuple(merged))


def _xlsx(path: Path) -> Iterator[RawSheet]:
    # Here, because it loads NumPy: every command would start a third of a second later.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    content = path.read_bytes()
    if content.startswith(_OLE_MAGIC):
        yield from _xls(path)  # an .xls file with the wrong ending, or one that is locked
        return
    try:
        marks = _marks(content)
        # Without merged cells and formulas, the fast way of reading says everything.
        book = openpyxl.load_workbook(io.BytesIO(content), data_only=True, read_only=not marks)
        formulas = openpyxl.load_workbook(io.BytesIO(content)) if any(mark.endswith(b"f") for mark in marks) else None
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError):
        # A SyntaxError is how the XML parser says that the file is damaged.
        raise MerError("not a readable .xlsx file", where=path, fix="open and save it again, or export .csv") from None
    for sheet in book.worksheets:
        if not marks:
            sheet.reset_dimensions()  # which some programs write wrong
        lines = [list(line) for line in sheet.iter_rows(values_only=True)]
        if formulas is not None:
            _show_formulas(lines, formulas[sheet.title].iter_rows(values_only=True))
        merged = sheet.merged_cells.ranges if marks else ()
        spans = [(r.min_row - 1, r.max_row - 1, r.min_col - 1, r.max_col - 1) for r in merged]
        yield _sheet(f"{path.name}, {sheet.title}", lines, sorted(spans))


def _marks(content: bytes) -> set[bytes]:
    """Which of formulas (`<f`) and merged cells (`<mergeCell`) a workbook has."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        return {mark for name in names for mark in _MARKS.findall(archive.read(name))}


def _show_formulas(lines: list[list[object]], formulas: Iterator[tuple[object, ...]]) -> None:
    """Put a formula's text where its value is not stored."""
    for line, written in zip(lines, formulas, strict=False):
        for index, cell in enumerate(written):
            if line[index] is None and cell is not None:
                line[index] = str(cell if isinstance(cell, str) else getattr(cell, "text", cell))


def _xls(path: Path) -> Iterator[RawSheet]:
    import xlrd

    try:
        book = xlrd.open_workbook(str(path), formatting_info=True)
    except OSError:
        raise
    except Exception as error:  # xlrd checks little: a damaged file raises whatever its parser stumbles over
        # A locked .xlsx file has no part called Workbook, but one called EncryptedPackage.
        if "encrypted" in str(error) or "EncryptedPackage".encode("utf-16-le") in path.read_bytes():
            raise MerError("locked by a password", where=path, fix="save it without one") from None
        what = f"not a readable {path.suffix.lower()} file"
        raise MerError(what, where=path, fix="open and save it again, or export .csv") from None
    for sheet in book.sheets():
        spans = [(top, bottom - 1, left, right - 1) for top, bottom, left, right in sheet.merged_cells]
        yield _sheet(f"{path.name}, {sheet.name}", [sheet.row_values(row) for row in range(sheet.nrows)], sorted(spans))


def _csv(path: Path) -> Iterator[RawSheet]:
    text = _decoded(path.read_bytes())
    for separator in _SEPARATORS:
        if separator in text or separator == _SEPARATORS[0]:
            try:
                lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
            except csv.Error as error:
                raise MerError(f"not a readable .csv file ({error})", where=path, fix="export it again") from None
            yield _sheet(path.name, lines)


def _decoded(content: bytes) -> str:
    """Text of unknown encoding: UTF-8, what Excel calls Unicode, or what Chinese Windows writes."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")
