"""Tables as files: .xlsx, .xls, .csv and .tsv in any encoding, with any separator that sheets have."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.errors import MerError
from mer_pipeline.reading import read_bytes

SUFFIXES = (".xlsx", ".xls", ".csv", ".tsv")
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")  # of old .xls files, and of .xlsx files with a password
_SEPARATORS = (",", ";", "\t", "，")
_FORMULA = re.compile(rb"<(?:[a-z]+:)?f(?=[ />])")
_MERGED = re.compile(rb'<(?:[a-z]+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}[0-9]{1,7})"')
# Far more than any coding sheet has, and little enough to hold.
_MOST_UNPACKED, _MOST_CELLS, _MOST_COLUMNS, _MOST_MERGED = 64 << 20, 2_000_000, 2000, 10_000


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
        MerError: The file cannot be read, or is larger than any coding sheet.
    """
    readers = {".xlsx": _xlsx, ".xls": _xls, ".csv": _csv, ".tsv": _csv}
    kind = path.suffix.lower()
    try:
        yield from readers[kind](path, read_bytes(path))
    except MerError:
        raise
    except FileNotFoundError as error:
        raise MerError(f"cannot be read ({error.strerror})", where=path, fix="check the path") from None
    except Exception as error:  # those who parse it check little: a damaged file raises whatever they stumble over
        what = f"not a readable {kind} file"
        reason = f" ({error})" if isinstance(error, csv.Error) else ""
        raise MerError(what + reason, where=path, fix="open and save it again, or export .csv") from None


def _sheet(
    path: Path, name: str, rows: Iterable[Sequence[object]], spans: Sequence[tuple[int, int, int, int]] = ()
) -> RawSheet:
    """Clean a sheet and spread its merged cells; spans are first row, last row, first and last column, from 0."""
    cells, count = [], 0
    for row in rows:
        line = [clean(cell) for cell in row]
        while line and not line[-1]:  # a file of a few bytes may announce a million blank ones
            line.pop()
        cells.append(line)
        count += len(line) + 1
        if count > _MOST_CELLS or len(line) > _MOST_COLUMNS:
            most = f"{_MOST_CELLS:,} cells or {_MOST_COLUMNS:,} columns"
            raise MerError(f"a sheet of more than {most}", where=path, fix="is this the right file?")
    while cells and not cells[-1]:
        cells.pop()
    width = max(map(len, cells), default=0)
    if width * len(cells) > _MOST_CELLS:
        raise MerError(f"a sheet of more than {_MOST_CELLS:,} cells", where=path, fix="is this the right file?")
    cells = [line + [""] * (width - len(line)) for line in cells]
    merged = []
    for top, bottom, left, right in spans:
        # Of a range that reaches beyond the cells, the part that holds some counts.
        bottom, right = min(bottom, len(cells) - 1), min(right, width - 1)
        if not (0 <= top <= bottom and 0 <= left <= right) or not cells[top][left]:
            continue
        value = cells[top][left]
        for row_at in range(top, bottom + 1):
            cells[row_at][left : right + 1] = [value] * (right + 1 - left)
        merged.append(Merged(top + 1, bottom + 1, left, right, value))
    return RawSheet(name, cells, tuple(merged))


def _xlsx(path: Path, content: bytes) -> Iterator[RawSheet]:
    # Here, because it loads NumPy: every command would start a third of a second later.
    import openpyxl

    if content.startswith(_OLE_MAGIC):
        yield from _xls(path, content)  # an .xls file with the wrong ending, or one that is locked
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(part.file_size for part in archive.infolist()) > _MOST_UNPACKED:
            raise MerError(f"larger than {_MOST_UNPACKED >> 20} MiB when unpacked", where=path, fix="is it a sheet?")
        names = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        pages = {name: archive.read(name) for name in names}
    # Without merged cells, which are spread here: openpyxl would make a cell of each place.
    book = openpyxl.load_workbook(io.BytesIO(content), data_only=True, read_only=True)
    formulas = None
    if any(_FORMULA.search(page) for page in pages.values()):
        formulas = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # which some programs write wrong
        lines: Iterable[Sequence[object]] = sheet.iter_rows(values_only=True)
        if formulas is not None:
            formulas[sheet.title].reset_dimensions()
            lines = _with_formulas(lines, formulas[sheet.title].iter_rows(values_only=True))
        page = pages.get(sheet._worksheet_path.lstrip("/"), b"")
        yield _sheet(
            path, f"{path.name}, {sheet.title}", lines, sorted(map(_span, _MERGED.findall(page)[:_MOST_MERGED]))
        )


def _span(reference: bytes) -> tuple[int, int, int, int]:
    """First row, last row, first and last column, from 0, of a range such as A1:B2."""
    from openpyxl.utils.cell import range_boundaries

    left, top, right, bottom = range_boundaries(reference.decode())
    return top - 1, bottom - 1, left - 1, right - 1


def _with_formulas(
    lines: Iterable[Sequence[object]], formulas: Iterable[Sequence[object]]
) -> Iterator[Sequence[object]]:
    """The lines, with a formula's text where its value is not stored."""
    for line, written in zip(lines, formulas, strict=False):
        yield [
            str(getattr(there, "text", there)) if cell is None and there is not None else cell
            for cell, there in zip(line, written, strict=False)
        ]


def _xls(path: Path, content: bytes) -> Iterator[RawSheet]:
    import xlrd

    if content.startswith(b"PK"):
        yield from _xlsx(path, content)  # an .xlsx file with the wrong ending
        return
    try:
        book = xlrd.open_workbook(file_contents=content, formatting_info=True, logfile=io.StringIO())
    except Exception as error:
        # A locked .xlsx file has no part called Workbook, but one called EncryptedPackage.
        if "encrypted" in str(error) or "EncryptedPackage".encode("utf-16-le") in content:
            raise MerError("locked by a password", where=path, fix="save it without one") from None
        raise
    for sheet in book.sheets():
        spans = [(top, bottom - 1, left, right - 1) for top, bottom, left, right in sheet.merged_cells[:_MOST_MERGED]]
        yield _sheet(path, f"{path.name}, {sheet.name}", map(sheet.row_values, range(sheet.nrows)), sorted(spans))


def _csv(path: Path, content: bytes) -> Iterator[RawSheet]:
    text = _decoded(content)
    for separator in _SEPARATORS:
        if separator in text or separator == _SEPARATORS[0]:
            yield _sheet(path, path.name, csv.reader(io.StringIO(text, newline=""), delimiter=separator))


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
