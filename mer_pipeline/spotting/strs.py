"""Spot, then recognise: the score of the challenge's task STR, and its CSV of answers.

STRS = F1 of spotting times F1 of recognition (Liong, See and Chan 2023, "Spot-then-recognize", Signal Processing: Image
Communication 110). Spotting is `score`'s over all videos, false alarms in videos without a true interval included.
Recognition is over the true intervals that were hit, in three classes; intervals of other emotions are left out there.
Its F1 is the harmonic mean of mean precision and mean recall.

`official` gives what the public scorer (STRS-Metric) gives; `DIFFERENCES` names where that is something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_pipeline.cache.atomic import csv_bytes, write_atomically
from mer_pipeline.datasets.long_videos import LongTruth
from mer_pipeline.datasets.rows import read_rows
from mer_pipeline.errors import MerError
from mer_pipeline.labels import label_set
from mer_pipeline.reading import JsonObject
from mer_pipeline.spotting.result import Spotting
from mer_pipeline.spotting.score import LEAST_IOU, SpotScore, iou, match
from mer_pipeline.video.frame_files import list_frames

CLASSES = ("negative", "positive", "surprise")
COLUMNS = ("subject", "video", "onset", "offset", "emotion")
DIFFERENCES = (
    "false alarms in videos without a true interval are not counted",
    "subjects without any answer are left out, with what they missed",
    "an answer may hit several true intervals, each of which counts",
    "answers are matched in the order of the file, not the best fits first",
    'mean precision is called "UAR"',
    "where all hits are of one class and read as it, recognition counts as wrong, and STRS is not a number",
)


@dataclass(frozen=True)
class Answer:
    """A true or a spotted micro-expression; onset and offset as the challenge counts them, see `number_of`.

    Attributes:
        emotion: One of `CLASSES`, or anything else for what is none of them.
    """

    subject: str
    video: str
    onset: int
    offset: int
    emotion: str

    @property
    def span(self) -> tuple[int, int]:
        """Onset and offset."""
        return self.onset, self.offset


@dataclass(frozen=True)
class Strs:
    """The score; see the module's text.

    Attributes:
        spotting: Hits, false alarms and misses.
        precision, recall: Of recognition, means over the classes.
        uf1: Mean F1 over the classes.
        f1: Of recognition; NaN in the official scorer where nothing was recognised.
        uar_as_published: What the official scorer calls so; None in the score as defined.
    """

    spotting: SpotScore
    precision: float
    recall: float
    uf1: float
    f1: float
    uar_as_published: float | None = None

    @property
    def strs(self) -> float:
        """The product of both F1."""
        return self.spotting.f1 * self.f1

    def as_json(self) -> JsonObject:
        """JSON values; None for what is not a number."""
        names = ("precision", "recall", "f1", "uf1")
        analysis = {name: _finite(getattr(self, name)) for name in names}
        if self.uar_as_published is not None:
            analysis["uar"] = _finite(self.uar_as_published)
        return {"strs": _finite(self.strs), "spotting": self.spotting.as_json(), "analysis": analysis}


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def as_defined(answers: Sequence[Answer], truth: Sequence[Answer]) -> Strs:
    """The score as it is defined."""
    hits: list[tuple[str, str]] = []
    found, expected = _by_video(answers), _by_video(truth)
    for video, true in expected.items():
        own = found.get(video, [])
        pairs = match([each.span for each in own], [each.span for each in true])
        hits += [(true[t].emotion, own[p].emotion) for p, t in pairs]
    spotting = SpotScore(len(hits), len(answers) - len(hits), len(truth) - len(hits))
    return Strs(spotting, *_recognition([pair for pair in hits if pair[0] in CLASSES]))


def official(answers: Sequence[Answer], truth: Sequence[Answer]) -> Strs:
    """The score as the public scorer computes it."""
    found, expected = _by_video(answers), _by_video(truth)
    answering = {each.subject for each in answers}
    hits, false, missed = [], 0, 0
    for video, true in expected.items():
        if video[0] not in answering:
            continue
        open_ones = list(true)
        for answer in found.get(video, []):
            own = [each for each in open_ones if iou(answer.span, each.span) >= LEAST_IOU]
            open_ones = [each for each in open_ones if each not in own]
            hits += [(each.emotion, answer.emotion) for each in own]
            false += not own
        missed += len(open_ones)
    known = [pair for pair in hits if pair[0] in CLASSES]
    # Its table of one class by itself has one cell, of which it makes nothing.
    alone = len({name for pair in known for name in pair}) == 1
    precision, recall, uf1, f1 = (0.0, 0.0, 0.0, 0.0) if alone else _recognition(known)
    f1 = f1 if precision + recall else math.nan
    return Strs(SpotScore(len(hits), false, missed), precision, recall, uf1, f1, precision)


def _recognition(pairs: Sequence[tuple[str, str]]) -> tuple[float, float, float, float]:
    """Mean precision, mean recall, UF1, and F1 of (true, read) classes."""
    precisions, recalls, f1s = [], [], []
    for name in CLASSES:
        right = sum(true == read == name for true, read in pairs)
        score = SpotScore(
            right, sum(read == name for _, read in pairs) - right, sum(t == name for t, _ in pairs) - right
        )
        precisions.append(score.precision)
        recalls.append(score.recall)
        f1s.append(score.f1)
    precision, recall, uf1 = (sum(each) / len(CLASSES) for each in (precisions, recalls, f1s))
    return precision, recall, uf1, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _by_video(answers: Iterable[Answer]) -> dict[tuple[str, str], list[Answer]]:
    found: dict[tuple[str, str], list[Answer]] = {}
    for each in answers:
        found.setdefault((each.subject, each.video), []).append(each)
    return found


def named(video: Path, subject: str = "") -> tuple[str, str]:
    """Subject and name of a recording: its folder's, without what all recordings of CAS(ME)^3 end in.

    >>> named(Path("data/s1/a1")), named(Path("part_A/spNO.1/b/color"), "001"), named(Path("films/anna/talk.mp4"))
    (('s1', 'a1'), ('001', 'b'), ('anna', 'talk'))
    """
    path = video.parent if video.name == "color" else video.with_suffix("") if video.suffix else video
    return subject or path.parent.name, path.name


def number_of(video: Path, frames: Iterable[int]) -> list[int]:
    """Frames as the challenge counts them: the numbers in the names of a folder's files; those of a video from 1."""
    numbers = list(list_frames(video)) if video.is_dir() else None
    return [frame + 1 if numbers is None else numbers[min(frame, len(numbers) - 1)] for frame in frames]


def true_answers(truth: LongTruth) -> list[Answer]:
    """The micro-expressions of a truth, their emotions as classes of the challenge."""
    rules = label_set("megc3")
    answers = []
    for video in truth.videos:
        for mark in video.marks:
            if mark.kind == "micro":
                at = rules.class_of(mark.emotion or None) if mark.emotion else None
                onset, offset = number_of(video.video, mark.span)
                emotion = mark.emotion if at is None else rules.classes[at]
                answers.append(Answer(*named(video.video, video.subject), onset, offset, emotion))
    return answers


def answers_of(spotting: Spotting, emotions: Sequence[str], subject: str = "") -> list[Answer]:
    """The micro-expressions of a video, without those in which no expression is read."""
    video, answers = Path(spotting.video), []
    for interval, emotion in zip(spotting.intervals, emotions, strict=True):
        if interval.kind == "micro" and emotion in CLASSES:
            onset, offset = number_of(video, (interval.onset_frame, interval.offset_frame))
            answers.append(Answer(*named(video, subject), onset, offset, emotion))
    return answers


def read_submission(path: Path) -> list[Answer]:
    """The answers of a CSV of the challenge.

    Raises:
        MerError: It cannot be read, lacks a column, or has an interval that is none.
    """
    answers = []
    for row in read_rows(path, {name: (name,) for name in COLUMNS}, COLUMNS).rows:
        # A spotter of a fixed length may begin before the recording.
        ends = [int(row[name]) if re.fullmatch(r"-?\d{1,12}", row[name]) else None for name in ("onset", "offset")]
        if ends[0] is None or ends[1] is None or ends[0] > ends[1]:
            what = f"onset {row['onset']!r} and offset {row['offset']!r} are no interval"
            raise MerError(what, where=f"{row.sheet}, row {row.number}", fix="write whole numbers")
        answers.append(Answer(row["subject"], row["video"], ends[0], ends[1], row["emotion"].casefold()))
    return answers


def is_submission(path: Path) -> bool:
    """Whether a file has the columns of the challenge."""
    try:
        read_rows(path, {name: (name,) for name in COLUMNS}, COLUMNS)
    except MerError:
        return False
    return True


def write_submission(path: Path, answers: Iterable[Answer]) -> None:
    """Write answers as the challenge wants them.

    Raises:
        WriteError: It cannot be written.
    """
    write_atomically(path, csv_bytes(COLUMNS, (asdict(each).values() for each in answers)))
