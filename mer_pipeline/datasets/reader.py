"""How a dataset is recognised and read: the loop over its rows, which asks the set where a row's clip lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.rows import Row, Rows, read_rows


@dataclass(frozen=True)
class Reader:
    """How one dataset is recognised and read; a set that is unlike the others overrides a method.

    Attributes:
        layout: What it looks like on disk.
        columns: Canonical column name -> the headers by which it goes.
        locate: A row -> where its clip lies; None for a row that is left out, which `locate` reports.
        required: The columns without which a row makes no sense.
    """

    layout: Layout
    columns: Mapping[str, Sequence[str]]
    locate: Callable[[Row, AnnotationsBuilder], ClipLocation | None]
    required: tuple[str, ...] = ("subject", "clip", "onset", "offset")

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
        return self.layout.recognise(raw)

    def read(self, raw: Path, corrections: Corrections) -> Annotations:
        """Read the rows and find every clip; no frame is decoded.

        Args:
            raw: The folder as it was published.
            corrections: The known mistakes of the sheet.

        Raises:
            MerError: The sheet is absent, or a needed column is.
        """
        table = AnnotationsBuilder(self.layout, corrections, raw, self.set_name(raw))
        for row in table.take(self.rows(table)):
            location = self.locate(row, table)
            if location is not None:
                table.add(row, location)
        return table.finish(self.recognise(raw) or "")

    def rows(self, table: AnnotationsBuilder) -> Rows:
        """The rows of the coding sheet.

        Raises:
            MerError: The sheet is absent, or a needed column is.
        """
        return read_rows(self.layout.need_sheet(table.raw), self.columns, self.required)

    def set_name(self, raw: Path) -> str:  # noqa: ARG002 - a user's own set is called after its folder
        """The name of the set in a folder."""
        return self.name
