"""The true intervals of long videos, for judging a spotter: CAS(ME)^2, SAMM Long Videos, or a synthetic set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mer_pipeline.choices import TRUTH
from mer_pipeline.datasets import casme_sq, samm_long
from mer_pipeline.datasets.clip import Annotations, Clip
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.registry import read_dataset
from mer_pipeline.errors import MerError

Span = tuple[int, int]
KINDS = ("micro", "macro")
_NO_EXPRESSION = ("", "blink", "turn", "speech", "hand", "none")
_COLUMNS = ("video", "kind", "onset_frame", "offset_frame")


@dataclass(frozen=True)
class LongVideo:
    """A recording and what is annotated in it.

    Attributes:
        video: The file or frame folder.
        fps: Frames a second; None where the file says it.
        spans: Onset and offset, 0-based frames, by kind.
    """

    video: Path
    fps: float | None
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)


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


def read_long(truth: Path) -> LongTruth:
    """Read the true intervals of a set of long videos; no frame is decoded.

    Args:
        truth: A synthetic set or its table (`truth.parquet`; also .csv with its columns), or the raw folder of
            CAS(ME)^2 or SAMM Long Videos.

    Raises:
        MerError: It is none of these, cannot be read, or has no usable interval.
    """
    table = truth / TRUTH if truth.is_dir() and (truth / TRUTH).is_file() else truth
    if table.is_file():
        found = _from_table(table)
    elif truth.is_dir() and samm_long.LAYOUT.recognise(truth):
        found = _from_annotations(samm_long.READER.read(truth, Corrections()), samm_long.LAYOUT)
    else:
        annotations = read_dataset(truth)
        if annotations.dataset != "casme-sq":
            fix = "give CAS(ME)^2, SAMM Long Videos or a synthetic set"
            raise MerError(f"{annotations.dataset} has no long videos", where=truth, fix=fix)
        found = _from_annotations(annotations, casme_sq.LAYOUT)
    if not found.videos:
        raise MerError("no usable interval", where=truth, fix="; ".join(found.warnings) or "check the annotation")
    return found


def _from_annotations(annotations: Annotations, layout: Layout) -> LongTruth:
    spans: dict[Path, dict[str, list[Span]]] = {}
    rates: dict[Path, float | None] = {}
    left_out = dict.fromkeys(KINDS, 0)
    for kind, clips in (("micro", annotations.clips), ("macro", annotations.macro)):
        for clip in clips:
            span = _span(clip)
            if span is None:
                left_out[kind] += 1
                continue
            rates[clip.source] = clip.fps
            spans.setdefault(clip.source, {each: [] for each in KINDS})[kind].append(span)
    warnings = [
        f"{count} {kind}-expressions without onset, offset or frames were left out"
        for kind, count in left_out.items()
        if count
    ]
    silent = _without_expressions({clip.source for clip in (*annotations.clips, *annotations.macro)}, layout)
    for video in silent:
        rates[video], spans[video] = layout.fps, {each: [] for each in KINDS}
    if silent:
        warnings.append(f"{len(silent)} recordings without any expression are judged too: all that is found is false")
    return _truth(annotations.dataset, spans, rates, warnings)


def _without_expressions(coded: Collection[Path], layout: Layout) -> list[Path]:
    """The recordings of a set that no row of its sheet names, which says that nothing was coded in them."""
    depth = layout.clips[0].count("/")
    roots = {source.parents[depth] for source in coded}
    recordings = {path for root in roots for pattern in layout.clips for path in root.glob(pattern)}
    return sorted(recordings - set(coded))


def _span(clip: Clip) -> Span | None:
    if clip.fault is not None or clip.onset_frame is None or clip.offset_frame is None:
        return None
    return clip.onset_frame, clip.offset_frame


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
    spans: dict[Path, dict[str, list[Span]]] = {}
    rates: dict[Path, float | None] = {}
    for row in frame.to_dict("records"):
        video = table.parent / str(row["video"])
        rates[video] = _rate(row.get("fps"))
        kinds = spans.setdefault(video, {each: [] for each in KINDS})
        kind = _kind(row["kind"], table)
        if kind is not None:
            kinds[kind].append(_frames(row, table))
    beside = {path for video in spans for path in video.parent.glob(f"*{video.suffix}") if video.suffix}
    warnings = [
        f"{len(unnamed)} videos beside the table have no row, such as {min(unnamed).name}, and are not judged: where "
        f"one holds no expression, give it a row with an empty kind, so that false alarms in it count"
        for unnamed in [beside - set(spans)]
        if unnamed
    ]
    return _truth("long", spans, rates, warnings)


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


def _truth(
    dataset: str,
    spans: Mapping[Path, Mapping[str, list[Span]]],
    rates: Mapping[Path, float | None],
    warnings: Iterable[str],
) -> LongTruth:
    videos = (
        LongVideo(video, rates[video], {kind: tuple(sorted(own)) for kind, own in kinds.items()})
        for video, kinds in sorted(spans.items())
    )
    return LongTruth(dataset, tuple(videos), tuple(warnings))
