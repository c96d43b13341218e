"""BORIS's table of aggregated events: a row an event, its seconds, and its frames in the first comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from mer_pipeline.cache.atomic import csv_bytes
from mer_pipeline.datasets.coders.coding import NAMES, Coding, Moment, kind_named, to_ms
from mer_pipeline.datasets.rows import Row, read_rows
from mer_pipeline.errors import MerError
from mer_pipeline.facs import parse_aus

COLUMNS = (
    "Observation id", "Observation date", "Description", "Media file", "Total length", "FPS", "Subject", "Behavior",
    "Behavioral category", "Modifiers", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Comment start",
    "Comment stop",
)  # fmt: skip
_SETS = tuple(f"modifier {number}" for number in range(1, 10))  # of modifiers, a column each in newer exports
_WANTED = {
    "film": ("Media file", "Media file name"), "source": ("Source",),
    "length": ("Total length", "Media duration (s)"), "fps": ("FPS", "FPS (frame/s)"),
    "subject": ("Subject",), "behavior": ("Behavior",), "modifiers": ("Modifiers", "Modifier"),
    "start": ("Start (s)",), "stop": ("Stop (s)",), "first": ("Comment start",),
    "start image": ("Image index start",), "stop image": ("Image index stop",),
    **{name: (name.replace(" ", " #"),) for name in _SETS},
}  # fmt: skip
_REQUIRED = ("film", "behavior", "start", "stop")
_NOBODY = ("", "no focal subject", "no subject")


def is_table(path: Path) -> bool:
    """Whether a file has the columns of BORIS."""
    try:
        _rows(path)
    except MerError:
        return False
    return True


def read(path: Path) -> list[tuple[Coding, list[Moment]]]:
    """For each film of the table what is said of it, and its events; frames are not known yet.

    Raises:
        MerError: It cannot be read, has other columns, or no time in a row.
    """
    by_film: dict[str, list[Row]] = {}
    for row in _rows(path):
        by_film.setdefault(_film(row["film"] or row["source"]), []).append(row)
    return [_coding(path, film, rows) for film, rows in by_film.items()]


def _rows(path: Path) -> tuple[Row, ...]:
    """The events; `Source` names the film where no column of its own does."""
    try:
        return read_rows(path, _WANTED, _REQUIRED).rows
    except MerError:
        with suppress(MerError):
            return read_rows(path, _WANTED, ("source", *_REQUIRED[1:])).rows
        raise


def _film(cell: str) -> str:
    """`player #1:C:/films/a.mp4` -> `a.mp4`."""
    return re.split(r"[/\\:;]", cell.strip().rstrip(";"))[-1]


def _coding(path: Path, film: str, rows: Sequence[Row]) -> tuple[Coding, list[Moment]]:
    moments, unknown = [], set()
    for row in rows:
        kind = kind_named(row["behavior"])
        if kind is None:
            unknown.add(row["behavior"])
            continue
        start, stop = (_ms(row, column) for column in ("start", "stop"))
        images = _image(row["start image"]), _image(row["stop image"])
        moments.append(Moment(kind, start, max(start, stop), row["first"], images))
        if kind in ("micro", "macro"):
            for modifier in "|".join(row[column] for column in ("modifiers", *_SETS)).split("|"):
                of = "aus" if _is_aus(modifier) else "emotion"
                moments += (
                    [Moment(of, start, max(start, stop), modifier)] if modifier.strip() not in ("", "None") else []
                )
    subjects = {row["subject"] for row in rows} - {
        row["subject"] for row in rows if row["subject"].casefold() in _NOBODY
    }
    warnings = [f"{film}: several subjects: {', '.join(sorted(subjects))}"] if len(subjects) > 1 else []
    if unknown:
        warnings.append(f"{film}: behaviours that are no expression were left out: {', '.join(sorted(unknown))}")
    fps, length_s = _positive(rows[0]["fps"]), _positive(rows[0]["length"])
    frames_known = None if fps is None or length_s is None else round(fps * length_s)
    subject = min(subjects) if subjects else ""
    return Coding(path.with_name(film), fps, (), frames_known, subject, tuple(warnings)), moments


def _ms(row: Row, column: str) -> float:
    try:
        return float(row[column].replace(",", ".")) * 1000
    except ValueError:
        raise MerError(f"no time in {column!r}", where=f"{row.sheet}, row {row.number}") from None


def _image(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _positive(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if 0 < number < 1e9 else None


def _is_aus(text: str) -> bool:
    try:
        return bool(parse_aus(text).terms)
    except MerError:
        return False


def to_bytes(codings: Iterable[Coding]) -> bytes:
    """Codings as one table of aggregated events."""
    table = list[list[object]]()
    for coding in codings:
        fps = coding.fps or 0.0
        of_film = [coding.film.stem, "", "", coding.film.name, f"{coding.length / fps:.6f}", repr(fps)]
        of_film.append(coding.subject or "No focal subject")
        for mark in coding.marks:
            onset_s, apex_s, offset_s = (to_ms(each) / 1000 for each in mark.at_s(fps))
            name, first = NAMES.get(mark.kind, mark.kind), mark.frames_text
            table.append(
                [*of_film, name, "", "|".join(filter(None, (mark.aus, mark.emotion))), "STATE",
                 f"{onset_s:.3f}", f"{offset_s:.3f}", f"{offset_s - onset_s:.3f}",
                 first, mark.note]
            )  # fmt: skip
            if mark.apex_frame is not None:
                at = [f"{apex_s:.3f}", f"{apex_s:.3f}", "0", *[f"frame {mark.apex_frame}"] * 2]
                table.append([*of_film, NAMES["apex"], "", "", "POINT", *at])
    return csv_bytes(COLUMNS, table)
