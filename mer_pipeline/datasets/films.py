"""A folder of films with what coders marked in them beside them: .eaf files, or BORIS's table of aggregated events.

Every micro-expression is a clip of its film, with its emotion and Action Units as they were noted; the others are true
intervals for spotting. Who is seen is the participant of the tier (BORIS: the subject), else the folder that the film
lies in. The set is called after the folder, as a user's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.coders import CODED, Coding, read_codings
from mer_pipeline.datasets.coders.boris import is_table
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.own_clips import UNKNOWN, own_name
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row, Rows
from mer_pipeline.errors import MerError

LAYOUT = Layout(
    name="films",
    title="films with .eaf or BORIS tables beside them",
    fps=None,
    sheet="",
    sheet_example="anna/interview.eaf",
    roots=(".",),
    clips=("*",),
    frames_example="anna/interview.mp4",
)
_COLUMNS = ("subject", "clip", "onset", "apex", "offset", "aus", "emotion", "type", "fps", "source")


@dataclass(frozen=True)
class FilmsReader(Reader):
    """Codings in place of a sheet; `taken` are names of published sets."""

    taken: frozenset[str] = frozenset()

    def set_name(self, raw: Path) -> str:
        """The folder's name, as that of a user's own clips."""
        return own_name(raw, self.taken)

    def recognise(self, raw: Path) -> str | None:
        """By its first file of a coder; a folder with a `clips.csv` is a user's own."""
        if any(raw.glob("clips.*")):
            return None
        first = next(coded_files(raw), None)
        return None if first is None else f"the coder's file {first.relative_to(raw).as_posix()}"

    def rows(self, table: AnnotationsBuilder) -> Rows:
        """A row a micro- or macro-expression; `Row.sheet` is the coder's file."""
        rows, unnamed = [], 0
        for path, coding in codings_of(table):
            subject = coding.subject or ("" if path.parent == table.raw else path.parent.name)
            unnamed += not subject
            for number, mark in enumerate(coding.expressions, 1):
                location = ClipLocation("-", "-", coding.film, first_number=0)
                shown = {"onset": mark.onset_frame, "apex": mark.apex_frame, "offset": mark.offset_frame}
                cells = {column: _number(table, location, frame) for column, frame in shown.items()}
                cells |= {
                    "subject": subject or UNKNOWN, "clip": f"{coding.film.stem}_{mark.onset_frame}", "aus": mark.aus,
                    "emotion": mark.emotion, "type": mark.kind, "source": str(coding.film),
                    "fps": "" if coding.fps is None else repr(coding.fps),
                }  # fmt: skip
                rows.append(Row(path.relative_to(table.raw).as_posix(), number, cells))
        if unnamed:
            table.warnings.append(
                f"{unnamed} films do not say who is seen: they count as one person. Put each person's films into a "
                "folder, or name the participant of the tier"
            )
        return Rows(tuple(rows), frozenset(_COLUMNS))


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:  # noqa: ARG001 - the row says all
    """The film."""
    return ClipLocation(
        row["subject"], row["clip"], Path(row["source"]), fps=float(row["fps"]) if row["fps"] else None,
        first_number=0, macro=row["type"] == "macro", sparse=True, own_labels=True,
    )  # fmt: skip


def coded_files(raw: Path) -> Iterator[Path]:
    """The files of coders in a folder and the folders in it, sorted."""
    for pattern in ("*", "*/*"):
        for path in sorted(raw.glob(pattern)):
            ending = path.suffix.lower()
            if ending in CODED and path.is_file() and (ending == ".eaf" or is_table(path)):
                yield path


def codings_of(table: AnnotationsBuilder) -> Iterator[tuple[Path, Coding]]:
    """What coders marked; a file that cannot be used is reported."""
    for path in coded_files(table.raw):
        name = path.relative_to(table.raw).as_posix()
        try:
            found = read_codings(path)
        except MerError as error:
            row = Row(name, None, {"file": path.name})
            table.report(row, "file", error.what)
            continue
        for coding in found:
            table.warnings += [f"{name}: {text}" for text in coding.warnings]
            yield path, coding


def _number(table: AnnotationsBuilder, location: ClipLocation, frame: int | None) -> str:
    """The number that a frame has in its file's name; of a film, its index."""
    if frame is None:
        return ""
    try:
        numbers = table.numbers(location)
        return str(numbers[frame])
    except (MerError, IndexError):
        return str(frame)


READER = FilmsReader(LAYOUT, dict.fromkeys(_COLUMNS, ()), locate)
