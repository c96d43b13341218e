"""Known mistakes of published sheets: a table of them, applied only where the mistake still stands.

`data/corrections.csv` has the columns dataset, subject, clip, field, old, new, reason and source. A field is one of
onset, apex, offset, emotion and aus; old and new are cells as a sheet writes them. A line belongs there only when
somebody who looked at the frames, or the authors of the set, say what is true: a value that is merely impossible is
reported by the readers and needs no line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from mer_pipeline.datasets.clip import Correction
from mer_pipeline.datasets.rows import Row, clean
from mer_pipeline.errors import MerError
from mer_pipeline.reading import read_text

COLUMNS = ("dataset", "subject", "clip", "field", "old", "new", "reason", "source")
FIELDS = ("onset", "apex", "offset", "emotion", "aus")


@dataclass
class Corrections:
    """The corrections on their way through one sheet.

    Attributes:
        pending: By clip id, those of which nothing is known yet.
        outcomes: What became of the others.
    """

    pending: dict[str, list[Correction]] = field(default_factory=dict)
    outcomes: list[Correction] = field(default_factory=list)

    def apply(self, clip_id: str, row: Row) -> Row:
        """A row with its corrected cells; one whose old value no longer stands is refused."""
        for correction in self.pending.pop(clip_id, ()):
            found = row[correction.field]
            if found.casefold() == correction.old.casefold():
                row = replace(row, cells={**row.cells, correction.field: correction.new})
                self.outcomes.append(replace(correction, applied=True))
            else:
                self.outcomes.append(replace(correction, refusal=f"the sheet says {found or 'nothing'!r}"))
        return row

    def finish(self) -> tuple[Correction, ...]:
        """What became of every correction; those of clips that no row names are refused."""
        left = [replace(c, refusal="the sheet has no such clip") for found in self.pending.values() for c in found]
        return (*self.outcomes, *left)


def load_corrections(dataset: str, path: Path | None = None) -> Corrections:
    """The corrections of a dataset, from the table that the project ships or from another.

    Raises:
        MerError: The file cannot be read, lacks a column, or has a line that makes no sense.
    """
    where = path or files("mer_pipeline") / "data" / "corrections.csv"
    try:
        text = read_text(Path(str(where)))
    except (OSError, MerError) as error:
        raise MerError(f"cannot read the corrections ({error})", where=where, fix="give a UTF-8 .csv file") from None
    try:
        parsed = _parse(text.splitlines(), where)
    except csv.Error as error:
        raise MerError(f"no table ({error})", where=where, fix="give a UTF-8 .csv file") from None
    found = Corrections()
    for correction in parsed:
        if correction.clip.startswith(f"{dataset}/"):
            found.pending.setdefault(correction.clip, []).append(correction)
    return found


def _parse(lines: Iterable[str], where: object) -> list[Correction]:
    table = csv.DictReader(lines, restval="")
    missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
    if missing:
        raise MerError(f"no column {', '.join(missing)}", where=where, fix=f"expected {', '.join(COLUMNS)}")
    corrections: dict[tuple[str, str], Correction] = {}
    for number, line in enumerate(table, 2):
        cells = {column: clean(line[column]) for column in COLUMNS}
        clip = "/".join(cells[column] for column in COLUMNS[:3])
        if not all(cells[column] for column in COLUMNS if column not in ("old", "new")):
            raise MerError("a correction needs every cell but old and new", where=f"{where}, row {number}")
        if cells["field"] not in FIELDS:
            raise MerError(f"no field {cells['field']!r}", where=f"{where}, row {number}", fix=f"one of {FIELDS}")
        if (clip, cells["field"]) in corrections:
            raise MerError(f"{clip} {cells['field']} is corrected twice", where=f"{where}, row {number}")
        facts = {name: cells[name] for name in ("field", "old", "new", "reason", "source")}
        corrections[clip, cells["field"]] = Correction(clip, applied=False, **facts)
    return list(corrections.values())
