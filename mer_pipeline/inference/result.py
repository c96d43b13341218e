"""What prediction says of a clip, as JSON values and as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mer_pipeline.cache import csv_bytes, write_atomically
from mer_pipeline.errors import os_errors
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.reading import JsonObject
from mer_pipeline.spotting.result import Event, Flag, Kind, Timeline
from mer_pipeline.spotting.tracking import Whereabouts
from mer_pipeline.video import Excerpt

AuSource = Literal["given", "predicted", "none"]
Verdict = Literal["expression", "uncertain", "no micro-expression"]


@dataclass(frozen=True)
class Expression:
    """One expression of a clip.

    Attributes:
        onset_frame, apex_frame: 0-based.
        offset_frame: None where only onset and apex were given.
        onset_s, apex_s, offset_s: Seconds from the first frame; None where the frame rate is unknown.
        kind: `micro` up to half a second, else `macro`; None where its length is unknown.
        emotion: The most probable class, whatever the verdict; a model may know `none`, which is no expression.
        verdict: `expression`; `uncertain` where more than one class is likely, or, where a least probability was asked
            for, where no class has it; `no micro-expression` where nothing stood out of the noise when it was spotted,
            or where the class is `none`.
        probabilities: By class name; calibrated as far as the network's card has a temperature.
        aus: Probability of each Action Unit by its number, the network's own estimate; empty where it makes none.
        aus_source: Where the Action Units came from that the emotion was classified with: `predicted` is that estimate,
            `none` also where the network takes no Action Units.
        likely: The classes of which one is right in nine of ten clips of new people, the most probable first; empty
            where the network's card does not say from which probability on.
        flags: What else happened meanwhile, or makes the frames doubtful; see `mer_pipeline.spotting.result.Interval`.
        aus_given: The Action Units that it was classified with, as the user wrote them; empty where none were given.
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int | None
    onset_s: float | None
    apex_s: float | None
    offset_s: float | None
    kind: Kind | None
    emotion: str
    verdict: Verdict
    probabilities: dict[str, float]
    aus: dict[str, float]
    aus_source: AuSource
    likely: list[str] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    aus_given: str = ""

    @property
    def probability(self) -> float:
        """Of the most probable class."""
        return self.probabilities[self.emotion]

    def likely_aus(self, least: float = 0.5) -> list[tuple[str, float]]:
        """Number and probability of the Action Units that are likely, the likeliest first."""
        found = [(number, p) for number, p in self.aus.items() if p >= least]
        return sorted(found, key=lambda each: -each[1])


@dataclass(frozen=True)
class Unclassified:
    """An expression that was found and not judged: a macro-expression, which the network was not trained on."""

    onset_frame: int
    apex_frame: int
    offset_frame: int
    onset_s: float
    apex_s: float
    offset_s: float
    kind: Kind = "macro"
    flags: list[Flag] = field(default_factory=list)


@dataclass(frozen=True)
class ClipResult:
    """What was found in one clip.

    Attributes:
        clip: The path that was given.
        model: What classified, in words.
        fps: Frames a second, None where a frame folder does not say.
        frames: Length of the clip.
        faces: The largest number of faces seen in one frame.
        looked_at, with_face: In how many frames a face was looked for, and found.
        expressions: In time order.
        unclassified: Expressions that were found beside them, and not judged.
        events: What else happened: blinks, glances, speech, turns, what hid the face, cuts, no face.
        warnings: What the reader of the result should know.
        error: Why there is no result; None where there is one.
        timeline: The course of motion, where the whole clip was searched for expressions; not part of the JSON.
        where: Where the face is of which the expressions are, likewise.
        person: The number of the face, from 1; None where the largest one was followed.
        others_in_view: How many more faces were in view at once at most, which this result says nothing of.
    """

    clip: str
    fps: float | None = None
    frames: int = 0
    faces: int = 0
    looked_at: int = 0
    with_face: int = 0
    expressions: list[Expression] = field(default_factory=list)
    unclassified: list[Unclassified] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    timeline: Timeline | None = field(default=None, repr=False)
    where: Whereabouts = field(default_factory=Whereabouts, repr=False)
    model: str = ""
    person: int | None = None
    others_in_view: int = 0

    @property
    def name(self) -> str:
        """The path, and the person where several were followed."""
        return self.clip + ("" if self.person is None else f", person {self.person}")

    def in_film(self, part: Excerpt) -> ClipResult:
        """What was found in a part of a film, counted from the film's beginning."""
        course = self.timeline
        return replace(
            self,
            expressions=[part.in_film(each) for each in self.expressions],
            unclassified=[part.in_film(each) for each in self.unclassified],
            events=[part.in_film(each) for each in self.events],
            timeline=None if course is None else replace(course, seconds=course.seconds + part.start_s),
            where=self.where.later(part.first),
        )

    def as_json(self) -> JsonObject:
        """JSON values; `error` is there only where something failed."""
        hidden = {"timeline", "where", *(() if self.error else ("error",))}
        return {key: value for key, value in asdict(self).items() if key not in hidden}


_CLIP = ("clip", "fps", "frames", "faces", "person", "others_in_view")
_EXPRESSION = (
    "onset_frame", "apex_frame", "offset_frame", "onset_s", "apex_s", "offset_s", "kind", "verdict", "emotion",
)  # fmt: skip
_SAID = ("aus_source", "aus_given", "flags", "model", "warnings", "error")


@os_errors()
def write_csv(path: str | Path, results: Sequence[ClipResult]) -> None:
    """One row an expression; a clip without any, or that failed, has one row that says so.

    Columns: the clip, the expression, `probability` of the emotion, `p_<class>`, `au_<number>`, `aus_source`,
    `aus_given`, `flags` (joined by "; "), `model`, `warnings` (joined by "; ") and `error`.

    Raises:
        WriteError: The file cannot be written.
    """
    classes = sorted({name for result in results for found in result.expressions for name in found.probabilities})
    columns = [*_CLIP, *_EXPRESSION, "probability", *(f"p_{name}" for name in classes)]
    columns += [*(f"au_{number}" for number in AU_NUMBERS), *_SAID]
    table: list[dict[str, Any]] = []
    for result in results:
        shared = {name: getattr(result, name) for name in _CLIP}
        shared |= {"model": result.model, "warnings": "; ".join(result.warnings), "error": result.error}
        rows = [_row(found) for found in result.expressions]
        rows += [
            {**{name: getattr(found, name, None) for name in _EXPRESSION}, "flags": "; ".join(found.flags)}
            for found in result.unclassified
        ]
        table += ({**shared, **row} for row in rows or [{}])
    write_atomically(Path(path), csv_bytes(columns, ([row.get(name) for name in columns] for row in table)))


def _row(found: Expression) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(found, name) for name in _EXPRESSION}
    row |= {"probability": found.probability, "aus_source": found.aus_source, "aus_given": found.aus_given}
    row |= {"flags": "; ".join(found.flags)}
    row |= {f"p_{name}": p for name, p in found.probabilities.items()}
    return row | {f"au_{number}": p for number, p in found.aus.items()}
