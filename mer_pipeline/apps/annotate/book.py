"""What coders marked, on disk.

`annotations/CODER/` below the folder has a file a film, which is the record, the same as .eaf for ELAN, and a table
`clips.csv`. The table of one coder is the `clips.csv` of the folder, which makes the folder a dataset.

Every change is written at once and whole. A mark is never deleted: what is rejected stays, as rejected.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mer_pipeline.apps.annotate.films import ANNOTATIONS, Film, Films
from mer_pipeline.apps.annotate.work import NAME, CodedFilm
from mer_pipeline.cache import csv_bytes, private_folder, write_atomically
from mer_pipeline.datasets.coders import Coding, write_codings
from mer_pipeline.datasets.own_clips import COLUMNS, LAYOUT, UNKNOWN, clip_name
from mer_pipeline.errors import MerError
from mer_pipeline.reading import json_bytes, read_json, read_text, well_formed

TABLE = "clips.csv"
EDITED = f"{TABLE}.edited"  # which no reader takes for a table
# The headers of `clips.csv` as its reader knows them, and what stands there for people; `coder` marks it as ours.
_CODER = "coder"
_HEADERS = (*(names[0] for names in COLUMNS.values()), "note", _CODER)


class Conflict(MerError):
    """Another page has changed the film meanwhile."""


class Book:
    """The annotations of a folder; several pages and coders may use it at once.

    Raises:
        MerError: The folder has a table of clips that `mer annotate` did not write.
        WriteError: Nothing can be written there.
    """

    def __init__(self, films: Films) -> None:
        self._films, self._lock = films, threading.Lock()
        self.root = films.folder / ANNOTATIONS
        self.owner()
        private_folder(self.root)
        for coder in self.coders():
            self._refresh(coder)

    def coders(self) -> list[str]:
        """Who has marked something."""
        return sorted(each.name for each in self.root.iterdir() if each.is_dir() and NAME.fullmatch(each.name))

    def work(self, coder: str, name: str) -> CodedFilm:
        """What a coder made of a film so far.

        Raises:
            MerError: The coder's name is none, or the file is damaged.
        """
        path = self._path(coder, name)
        if not path.exists():
            return CodedFilm()
        with well_formed(path, fix="move it away, and mark the film again"):
            return CodedFilm.from_json(read_json(path))

    def save(self, coder: str, film: Film, work: CodedFilm) -> CodedFilm:
        """Keep what a page has changed; gives it with its new revision.

        Raises:
            Conflict: Another page changed it after this one had read it.
            MerError: A frame is outside the film.
            WriteError: It cannot be written.
        """
        if any(each.offset_frame >= film.frames for each in work.entries):
            raise MerError(f"a mark ends after the last frame, {film.frames - 1}", where=film.name)
        with self._lock:
            before = self.work(coder, film.name)
            if before.revision != work.revision and before.writer != work.writer:
                raise Conflict("was changed in another page", where=film.name, fix="the newer marks are shown now")
            kept = replace(work, revision=before.revision + 1)
            path = self._path(coder, film.name)
            write_atomically(path, json_bytes(kept.as_json()))
            self._write_eaf(coder, film, kept)
            self._write_tables(coder)
        return kept

    def owner(self) -> str | None:
        """The coder of the folder's `clips.csv`; None where there is none yet, or nothing in it.

        Raises:
            MerError: It is a table of another kind, which must not be written over.
        """
        table = LAYOUT.find_sheet(self._films.folder)
        if table is None:
            return None
        rows: list[dict[str, str]] | None = None
        if table.name == TABLE:
            with well_formed(table, fix="move it away"):
                reader = csv.DictReader(io.StringIO(read_text(table)), strict=True)
                rows = list(reader) if _CODER in (reader.fieldnames or ()) else None
        if rows is None:
            fix = "move it away, or annotate in a folder of its own"
            raise MerError("was not written by mer annotate, and would be written over", where=table, fix=fix)
        return next((row[_CODER] for row in rows), None)

    def make_dataset(self, coder: str) -> None:
        """Let the folder's `clips.csv` be this coder's.

        Raises:
            MerError: As for `owner`.
            WriteError: It cannot be written.
        """
        with self._lock:
            self.owner()
            self._write_dataset(self._table(coder))

    def both(self, first: str, second: str) -> Iterator[tuple[Film, CodedFilm, CodedFilm]]:
        """The films that two coders worked on."""
        for name in self._films.names:
            if all(self._path(coder, name).exists() for coder in (first, second)):
                yield self._films.film(name), self.work(first, name), self.work(second, name)

    def _path(self, coder: str, name: str) -> Path:
        if not NAME.fullmatch(coder):
            fix = "letters, digits, blanks, dots, dashes; a letter or digit first"
            raise MerError(f"{coder!r} is no name for a coder", fix=fix)
        return self.root / coder / f"{name}.json"

    def _write_eaf(self, coder: str, film: Film, work: CodedFilm) -> None:
        marks = tuple(each.mark(film) for each in work.accepted())
        coding = Coding(film.footage.path, film.fps, marks, film.frames, work.subject or film.person)
        up = "../" * (2 + film.name.count("/"))  # so that ELAN finds the film
        write_codings(self.root / coder / self._films.eaf_of(film.name), [coding], up + film.name)

    def _write_tables(self, coder: str) -> None:
        content = self._table(coder)
        there = (self._films.folder / TABLE).exists()
        if self.owner() in (None, coder) and (there or content.count(b"\n") > 1):
            self._write_dataset(content)
        write_atomically(self.root / coder / TABLE, content)

    def _write_dataset(self, content: bytes) -> None:
        """The folder's table; one that somebody has edited since it was written is kept beside it."""
        dataset = self._films.folder / TABLE
        ours = [table.read_bytes() for table in self.root.glob(f"*/{TABLE}")]
        if dataset.exists() and (there := dataset.read_bytes()) not in (content, *ours):
            write_atomically(dataset.with_name(EDITED), there)
        write_atomically(dataset, content)

    def _refresh(self, coder: str) -> None:
        """Write again what a server that was killed had not written after the record."""
        late = False
        for name in self._films.names:
            record, eaf = self._path(coder, name), self.root / coder / self._films.eaf_of(name)
            if record.exists() and (not eaf.exists() or eaf.stat().st_mtime_ns < record.stat().st_mtime_ns):
                late = True
                with suppress(MerError):  # a film that cannot be read is reported where it is shown
                    self._write_eaf(coder, self._films.film(name), self.work(coder, name))
        if late:
            self._write_tables(coder)

    def _table(self, coder: str) -> bytes:
        table: list[Mapping[str, object]] = []
        for name in self._films.names:
            if self._path(coder, name).exists():
                with suppress(MerError):  # likewise; its record stays
                    table += _rows(self._films.film(name), self.work(coder, name), coder)
        return csv_bytes(_HEADERS, ([row.get(name, "") for name in _HEADERS] for row in table))


def _rows(film: Film, work: CodedFilm, coder: str) -> Iterator[Mapping[str, object]]:
    """The rows of a film; a column goes by the first of its headers."""
    seen: set[str] = set()
    for each in work.accepted():
        onset, apex, offset = (film.number(frame) for frame in each.frames)
        called = f"{clip_name(str(PurePosixPath(film.name).with_suffix('')))}_{onset}"
        while called in seen:
            called += "b"
        seen.add(called)
        cells: dict[str, object] = {
            "clip": film.name, "subject": work.subject or film.person or UNKNOWN, "emotion": each.emotion,
            "onset": onset, "apex": apex, "offset": offset, "aus": _plain(each.usual_aus),
            "fps": repr(film.fps), "name": called, "type": each.kind,
        }  # fmt: skip
        headed = {COLUMNS[column][0]: cell for column, cell in cells.items()}
        yield {**headed, "note": _plain(each.note), _CODER: coder}


def _plain(text: str) -> str:
    """A text that no spreadsheet program computes."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
