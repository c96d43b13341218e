"""The true intervals of long videos, for judging a spotter: a long set, a synthetic one, or what coders marked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_pipeline.choices import FILM_SUFFIXES, TRUTH
from mer_pipeline.datasets import casme3_c, casme3_long, casme_sq, films, megc, samm_long, smic_long
from mer_pipeline.datasets.clip import Annotations
from mer_pipeline.datasets.coders import CODED, KINDS, Coding, Mark, read_codings
from mer_pipeline.datasets.coders.boris import is_table
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.registry import read_dataset
from mer_pipeline.errors import MerError

Span = tuple[int, int]
# Sets of recordings with several expressions.
LONG = tuple(each.READER for each in (casme_sq, samm_long, casme3_long, casme3_c, smic_long, megc))
_NO_EXPRESSION = ("", "blink", "turn", "speech", "hand", "none")
_COLUMNS = ("video", "kind", "onset_frame", "offset_frame")


@dataclass(frozen=True)
class LongVideo:
    """A recording and what is annotated in it.

    Attributes:
        video: The file or frame folder.
        fps: Frames a second; None where the file says it.
        marks: The micro- and macro-expressions, by onset.
        subject: Who is seen; blank where that is not said.
    """

    video: Path
    fps: float | None
    marks: tuple[Mark, ...] = ()
    subject: str = ""

    @property
    def spans(self) -> dict[str, tuple[Span, ...]]:
        """Onset and offset, 0-based frames, by kind."""
        return {kind: tuple(mark.span for mark in self.marks if mark.kind == kind) for kind in KINDS}


@dataclass(frozen=True)
class LongTruth:
    """The truth of a set.

    Attributes:
        dataset: Short name.
        videos: By path.
        warnings: What was left out, and why.
    """

    dataset: str
    videos: tuple[LongVideo, ...]
    warnings: tuple[str, ...] = ()


def read_long(truth: Path, film: Path | None = None) -> LongTruth:
    """Read the true intervals of a set of long videos; no frame is decoded.

    Args:
        truth: A synthetic set or its table (`truth.parquet`; also .csv with its columns), the raw folder of a set of
            `LONG`, a folder of films with coders' files beside them, or one such file (.eaf, BORIS).
        film: The film of a coder's file, which may lie elsewhere.

    Raises:
        MerError: It is none of these, cannot be read, or has no usable interval.
    """
    table = truth / TRUTH if truth.is_dir() and (truth / TRUTH).is_file() else truth
    long = next((each for each in LONG if truth.is_dir() and each.layout.recognise(truth)), None)
    if long is not None:
        found = _from_annotations(read_dataset(truth, long.name), long.layout)
    elif table.is_file():
        coded = is_coded(table) or table.suffix.lower() in FILM_SUFFIXES  # of films the reader says what is wrong
        found = _from_codings(truth.stem, read_codings(table, film)) if coded else _from_table(table)
    elif not truth.exists():
        raise MerError("no such file or folder", where=truth, fix="give a set, its table, or a coder's file")
    else:
        annotations = read_dataset(truth)
        codings = [coding for path in films.coded_files(truth) for coding in read_codings(path)]
        if annotations.recognised_by != films.READER.recognise(truth):
            fix = f"give {', '.join(each.title for each in LONG)}, a synthetic set, or films with .eaf files"
            raise MerError(f"{annotations.dataset} has no long videos", where=truth, fix=fix)
        found = _from_codings(annotations.dataset, codings)
    if not found.videos:
        raise MerError("no usable interval", where=truth, fix="; ".join(found.warnings) or "check the annotation")
    return found


def is_coded(path: Path) -> bool:
    """Whether it is a file of a coder."""
    return path.suffix.lower() == ".eaf" or (path.suffix.lower() in CODED and is_table(path))


def _from_codings(name: str, codings: Iterable[Coding]) -> LongTruth:
    """What coders marked; a film in which they marked nothing has no expression."""
    found = list(codings)
    videos = [LongVideo(each.film, each.fps, each.expressions, each.subject) for each in found]
    return LongTruth(name, tuple(videos), tuple(text for each in found for text in each.warnings))


class _Videos:
    """Gathers the marks of videos."""

    def __init__(self) -> None:
        self.marks: dict[Path, list[Mark]] = {}
        self._of: dict[Path, tuple[float | None, str]] = {}

    def add(self, video: Path, fps: float | None, subject: str, *marks: Mark) -> None:
        """Take in a video, with or without marks."""
        self._of[video] = fps, subject
        self.marks.setdefault(video, []).extend(marks)

    def truth(self, dataset: str, warnings: Iterable[str]) -> LongTruth:
        """All of them, by path."""
        videos = (
            LongVideo(video, self._of[video][0], tuple(sorted(marks, key=lambda m: m.span)), self._of[video][1])
            for video, marks in sorted(self.marks.items())
        )
        return LongTruth(dataset, tuple(videos), tuple(warnings))


def _from_annotations(annotations: Annotations, layout: Layout) -> LongTruth:
    videos, left_out = _Videos(), dict.fromkeys(KINDS, 0)
    for kind, clips in (("micro", annotations.clips), ("macro", annotations.macro)):
        for clip in clips:
            if clip.fault is not None or clip.onset_frame is None or clip.offset_frame is None:
                left_out[kind] += 1
                continue
            aus = "" if clip.aus is None else str(clip.aus)
            mark = Mark(kind, clip.onset_frame, clip.offset_frame, clip.apex_frame, clip.emotion or "", aus)
            videos.add(clip.source, clip.fps, clip.subject, mark)
    warnings = [
        f"{count} {kind}-expressions without onset, offset or frames were left out"
        for kind, count in left_out.items()
        if count
    ]
    silent = _without_expressions({clip.source for clip in (*annotations.clips, *annotations.macro)}, layout)
    for video in silent:
        videos.add(video, layout.fps, "")
    if silent:
        warnings.append(f"{len(silent)} recordings without any expression are judged too: all that is found is false")
    return videos.truth(annotations.dataset, warnings)


def _without_expressions(coded: Collection[Path], layout: Layout) -> list[Path]:
    """The recordings of a set that no row of its sheet names, which says that nothing was coded in them."""
    depth = layout.clips[0].count("/")
    roots = {source.parents[depth] for source in coded}
    recordings = {path for root in roots for pattern in layout.clips for path in root.glob(pattern)}
    return sorted(recordings - set(coded))


def _from_table(table: Path) -> LongTruth:
    # Here, because it takes half a second and most readers do without.
    import pandas as pd

    try:
        frame = pd.read_csv(table) if table.suffix.lower() == ".csv" else pd.read_parquet(table)
    except (OSError, ValueError) as error:
        raise MerError(
            f"not a readable table ({type(error).__name__})", where=table, fix="give a .parquet or .csv file"
        ) from None
    missing = [column for column in _COLUMNS if column not in frame.columns]
    if missing:
        raise MerError(f"no column {missing[0]}", where=table, fix=f"expected {', '.join(_COLUMNS)}")
    videos = _Videos()
    for row in frame.to_dict("records"):
        video, kind = table.parent / str(row["video"]), _kind(row["kind"], table)
        mark = () if kind is None else (_mark(kind, row, table),)
        videos.add(video, _rate(row.get("fps")), _text(row.get("subject")), *mark)
    beside = {path for video in videos.marks for path in video.parent.glob(f"*{video.suffix}") if video.suffix}
    warnings = [
        f"{len(unnamed)} videos beside the table have no row, such as {min(unnamed).name}, and are not judged: where "
        f"one holds no expression, give it a row with an empty kind, so that false alarms in it count"
        for unnamed in [beside - set(videos.marks)]
        if unnamed
    ]
    return videos.truth("long", warnings)


def _mark(kind: str, row: Mapping[Any, Any], table: Path) -> Mark:
    onset, offset = _frames(row, table)
    apex = row.get("apex_frame")
    inside = isinstance(apex, (int, float)) and onset <= apex <= offset
    emotion, aus = (_text(row.get(column)) for column in ("emotion", "aus"))
    return Mark(kind, onset, offset, int(apex) if inside and apex is not None else None, emotion, aus)


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)  # NaN where a cell is empty


def _kind(value: Any, table: Path) -> str | None:
    """`micro` or `macro`, as sets and papers write them; None of a blink, a turn of the head, or an empty cell."""
    text = value.strip().casefold() if isinstance(value, str) else ""
    if text.startswith("micro") or text == "me":
        return "micro"
    if text.startswith("macro") or text == "mae":
        return "macro"
    if text in _NO_EXPRESSION:
        return None
    raise MerError(
        f"kind {value!r} is unknown", where=table, fix="write micro or macro, or leave it empty where there is none"
    )


def _rate(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def _frames(row: Mapping[Any, Any], table: Path) -> Span:
    try:
        onset, offset = int(row["onset_frame"]), int(row["offset_frame"])
    except (TypeError, ValueError):
        onset, offset = 0, -1
    if not 0 <= onset <= offset:
        what = f"onset {row['onset_frame']} and offset {row['offset_frame']} are no interval"
        raise MerError(what, where=f"{table}, {row['video']}", fix="frames count from 0; correct the table")
    return onset, offset
