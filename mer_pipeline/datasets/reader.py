"""How a dataset is recognised and read: the loop over its rows, which asks the set where a row's clip lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.rows import Row, Rows, read_rows
from mer_pipeline.errors import MerError


@dataclass(frozen=True)
class SheetPart:
    """One of several sheets of a set.

    Attributes:
        name: Stands in the cell `part` of its rows.
        file: Regular expression of the file's name, as `Layout.sheet`.
        title: Of the sheet in that file; None for the one that has the columns.
        columns: Where they are not those of the reader.
        required: Likewise.
    """

    name: str
    file: str
    title: str | None = None
    columns: Mapping[str, Sequence[str]] | None = None
    required: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Reader:
    """How one dataset is recognised and read; a set that is unlike the others overrides a method.

    Attributes:
        layout: What it looks like on disk.
        columns: Canonical column name -> the headers by which it goes.
        locate: A row -> where its clip lies; None for a row that is left out, which `locate` reports.
        required: The columns without which a row makes no sense.
        parts: The sheets, where there are several; those that are absent are left out.
        amend: A row -> the rows that it stands for, which may have other cells; what is wrong is reported by it.
        common: The sheet's name is a common one, so that its header must fit as well.
    """

    layout: Layout
    columns: Mapping[str, Sequence[str]]
    locate: Callable[[Row, AnnotationsBuilder], ClipLocation | None]
    required: tuple[str, ...] = ("subject", "clip", "onset", "offset")
    parts: tuple[SheetPart, ...] = ()
    amend: Callable[[Row, AnnotationsBuilder], Iterable[Row]] | None = None
    common: bool = False

    @property
    def name(self) -> str:
        """Short name, also the first part of every clip id."""
        return self.layout.name

    @property
    def title(self) -> str:
        """The name that people use."""
        return self.layout.title

    def recognise(self, raw: Path) -> str | None:
        """By what a folder is recognised as this set; None where it is something else."""
        sign = self.layout.recognise(raw)
        try:
            if sign and self.common:
                self._read_parts(raw)
        except MerError:
            return None
        return sign

    def read(self, raw: Path, corrections: Corrections) -> Annotations:
        """Read the rows and find every clip; no frame is decoded.

        Raises:
            MerError: The sheet is absent, or a needed column is.
        """
        table = AnnotationsBuilder(self.layout, corrections, raw, self.set_name(raw))
        taken = table.take(self.rows(table))
        for row in taken if self.amend is None else (each for one in taken for each in self.amend(one, table)):
            location = self.locate(row, table)
            if location is not None:
                table.add(row, location)
        return table.finish(self.recognise(raw) or "")

    def rows(self, table: AnnotationsBuilder) -> Rows:
        """The rows of the coding sheet.

        Raises:
            MerError: The sheet is absent, or a needed column is.
        """
        return self._read_parts(table.raw)

    def _read_parts(self, raw: Path) -> Rows:
        sheet = self.layout.need_sheet(raw)
        found: list[Rows] = []
        for part in self.parts or (SheetPart("", self.layout.sheet),):
            path = self.layout.find_file(raw, part.file) if part.name else sheet
            try:
                if path is not None:
                    own = read_rows(path, part.columns or self.columns, part.required or self.required, part.title)
                    found.append(replace(own, rows=tuple(row.having(part=part.name) for row in own.rows)))
            except MerError:
                if len(self.parts) < 2:
                    raise
        if not found:
            wanted = " or ".join(str(part.title or part.file) for part in self.parts)
            raise MerError(f"no sheet {wanted} with the needed columns", where=sheet, fix="is this the right file?")
        rows = tuple(row for one in found for row in one.rows)
        problems = tuple(problem for one in found for problem in one.problems)
        return Rows(rows, frozenset().union(*(one.columns for one in found)), problems)

    def set_name(self, raw: Path) -> str:  # noqa: ARG002 - a user's own set is called after its folder
        """The name of the set in a folder."""
        return self.name
