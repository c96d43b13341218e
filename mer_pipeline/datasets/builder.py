"""One annotated row -> one Clip: frame numbers become indices here and nowhere else."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from mer_pipeline.datasets.clip import Annotations, Clip, ClipKind, Problem
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.disk import Absent, numbers_on_disk
from mer_pipeline.datasets.layout import Layout, Tree
from mer_pipeline.datasets.rows import Row, Rows, frame_cell, row_text
from mer_pipeline.errors import MerError
from mer_pipeline.facs import ActionUnits, parse_aus
from mer_pipeline.labels import canonical_emotion

_POINTS = ("onset", "apex", "offset")
_TRIMMED = (
    "{} clips: the sheet counts from the start of the recording, their folders begin at the onset; "
    "the folder's first frame was taken as the onset"
)
_GAPS = "{} clips lack frames between onset and offset: what moves in them moves faster than it did"
_LONGEST_S = 2.0  # of a micro-expression: four times as long as its definition

_parse_aus = lru_cache(maxsize=4096)(parse_aus)  # the same few combinations fill a sheet


@dataclass(frozen=True)
class ClipLocation:
    """Where a row's clip is to be found, and what the set says of all its rows.

    Attributes:
        subject: Zero-padded subject.
        name: Clip name inside the subject.
        source: Where the frames should be.
        dataset: Where it is not the set that is read.
        fps: Where it is not the set's own.
        first_number: The number that the sheet gives to the first frame of a video file.
        trimmed: The folder may hold onset to offset only, while the sheet counts from the recording's start.
        macro: No micro-expression; kept apart.
        sparse: Frame numbers and emotion may be absent without a word.
        own_labels: Emotions may be of the user's own naming.
        kind: What the source is.
        cut: A recording: an expression that begins before it or ends after it is cut there.
    """

    subject: str
    name: str
    source: Path
    dataset: str | None = None
    fps: float | None = None
    first_number: int = 1
    trimmed: bool = False
    macro: bool = False
    sparse: bool = False
    own_labels: bool = False
    kind: ClipKind = "frames"
    cut: bool = False


@dataclass
class AnnotationsBuilder:
    """Collects the clips of one set, and the problems met on the way.

    Attributes:
        layout: What the set looks like on disk.
        corrections: The known mistakes of its sheet.
        raw: The folder as it was published.
        name: Of the set.
        clips, macro: Micro- and macro-expressions so far.
        problems, warnings: What is wrong with rows, and with the set as a whole.
        absent: Clips without frames, which are reported once where it is all of them.
        habits: What is usual in the set and no slip: a text with `{}` for how many clips it is true of.
        tree: The folders that were listed.
    """

    layout: Layout
    corrections: Corrections
    raw: Path
    name: str
    clips: list[Clip] = field(default_factory=list)
    macro: list[Clip] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    absent: list[Problem] = field(default_factory=list)
    habits: Counter[str] = field(default_factory=Counter)
    tree: Tree = field(default_factory=Tree)
    _seen: set[str] = field(default_factory=set)
    _found: dict[Path, Sequence[int] | MerError] = field(default_factory=dict)

    @cached_property
    def root(self) -> Path:
        """The folder with the frames; the first possible one where none is found."""
        return self.layout.find_root(self.raw) or self.raw / self.layout.roots[0]

    def clip_id(self, subject: str, name: str) -> str:
        """`dataset/subject/clip` of a clip of this set."""
        return f"{self.name}/{subject}/{name}"

    def report(self, row: Row, column: str, reason: str, clip: str = "") -> None:
        """Keep what is wrong with a cell; `clip` is the clip id where it is known."""
        self.problems.append(Problem(clip, column, row[column], reason, row.sheet, row.number))

    def is_macro(self, row: Row, clip_id: str) -> bool:
        """Whether a row's column `type` names a macro-expression; what is neither is reported and counts as macro."""
        kind = row["type"].casefold()
        if not kind.startswith(("micro", "macro")):
            self.report(row, "type", "neither micro nor macro; taken as macro", clip_id)
        return not kind.startswith("micro")

    def take(self, rows: Rows) -> tuple[Row, ...]:
        """The rows of a sheet that name a subject and a clip; what is wrong with the others is kept."""
        self.problems += rows.problems
        named = []
        for row in rows.rows:
            lacking = [column for column in ("subject", "clip") if not row.cells.get(column, "-")]
            if lacking:
                text = row_text(list(row.cells.values()))
                reason = f"a row without {' and '.join(lacking)}; left out"
                self.problems.append(Problem("", lacking[0], text, reason, row.sheet, row.number))
            else:
                named.append(row)
        return tuple(named)

    def add(self, row: Row, location: ClipLocation) -> None:
        """Add the clip of a row with the columns onset, apex, offset, aus and emotion.

        A row that cannot be used becomes a clip with a `fault`, so that it stays visible in every later count.
        """
        if "/" in location.name + location.subject:
            location = replace(
                location, name=location.name.replace("/", "-"), subject=location.subject.replace("/", "-")
            )
        dataset = location.dataset or self.name
        entry = _Entry(self, row, location, f"{dataset}/{location.subject}/{location.name}")
        if entry.clip_id in self._seen:
            entry.report("clip", location.name, "this clip stands in an earlier row too; the earlier one counts")
            return
        self._seen.add(entry.clip_id)
        if entry.clip_id in self.corrections.pending:
            entry = replace(entry, row=self.corrections.apply(entry.clip_id, row))
        frames, fault = entry.frames()
        clip = Clip(
            dataset,
            location.subject,
            location.name,
            location.source,
            onset_frame=frames.get("onset"),
            apex_frame=frames.get("apex"),
            offset_frame=frames.get("offset"),
            emotion=entry.emotion(),
            aus=entry.aus(),
            fps=location.fps or self.layout.fps,
            fault=fault,
            kind=location.kind,
        )
        (self.macro if location.macro else self.clips).append(clip)

    def numbers(self, location: ClipLocation) -> Sequence[int]:
        """The frame numbers of a clip on disk, ascending; those of a video, which is not opened here, have no end.

        Raises:
            MerError: There are none.
        """
        if location.source not in self._found:
            try:
                self._found[location.source] = numbers_on_disk(location.source, location.first_number)
            except MerError as error:
                self._found[location.source] = error  # casme3 has up to ten expressions in a folder
        found = self._found[location.source]
        if isinstance(found, MerError):
            raise found
        return found

    def finish(self, recognised_by: str) -> Annotations:
        """Everything that was found; where no clip at all has frames, that is said once."""
        everything = len(self.clips) + len(self.macro)
        if self.absent and len(self.absent) == everything and everything > 1:
            text = f"none of the {everything} clips has its frames; expected {self.layout.frames_example}"
            self.warnings.append(text + "; only the sheet was read")
        else:
            self.problems += self.absent
        self.warnings += [text.format(count) for text, count in self.habits.items() if count]
        if self.macro:
            self.warnings.append(f"macro-expressions annotated too, which count in no class: {len(self.macro)}")
        return Annotations(
            self.name,
            tuple(self.clips),
            tuple(self.problems),
            recognised_by,
            tuple(self.warnings),
            self.corrections.finish(),
            tuple(self.macro),
        )


@dataclass(frozen=True)
class _Entry:
    """A row on its way to becoming a clip."""

    table: AnnotationsBuilder
    row: Row
    location: ClipLocation
    clip_id: str

    def report(self, field_name: str, value: str, reason: str) -> None:
        self.table.problems.append(self.problem(field_name, value, reason))

    def problem(self, field_name: str, value: str, reason: str) -> Problem:
        return Problem(self.clip_id, field_name, value, reason, self.row.sheet, self.row.number)

    def emotion(self) -> str | None:
        text = self.row["emotion"]
        if self._is_formula("emotion", text):
            return None
        try:
            found = canonical_emotion(text, allow_unknown=self.location.own_labels)
        except MerError as error:
            self.report("emotion", text, f"{error.what}; read as absent")
            return None
        if found is None and not self.location.sparse:
            self.report("emotion", text, "no emotion")
        if self.location.own_labels and found is not None and found != " ".join(text.casefold().split()):
            label = text.replace("{", "{{").replace("}", "}}")
            self.table.habits[f"clips with the emotion {label}, which is read as {found}: {{}}"] += 1
        return found

    def aus(self) -> ActionUnits | None:
        text = self.row["aus"]
        if not text or self._is_formula("aus", text):
            return None
        try:
            return _parse_aus(text)
        except MerError as error:
            self.report("aus", text, f"{error.what}; read as absent")
            return None

    def frames(self) -> tuple[dict[str, int | None], str | None]:
        """The frame indices of a row, or why it cannot be used."""
        numbers = {column: self._number(column) for column in _POINTS}
        fault = self._order(numbers)
        try:
            found = self.table.numbers(self.location)
        except MerError as error:
            problem = self.problem("frames", str(self.location.source), error.what)
            (self.table.absent if isinstance(error, Absent) else self.table.problems).append(problem)
            return {}, fault or f"{error.what}; {error.fix}"
        if fault or self.location.kind == "flow":
            return {}, fault
        fault = self._inside(numbers, found)
        if fault:
            return {}, fault
        self._check_length(numbers, found)
        return {column: self._index(column, number, found) for column, number in numbers.items()}, None

    def _number(self, column: str) -> int | None:
        text = self.row[column]
        if self._is_formula(column, text):
            return None
        try:
            number = frame_cell(text)
        except ValueError as error:
            self.report(column, text, f"{error}; read as absent")
            return None
        if number is None and (text or not self.location.sparse):
            self.report(column, text, "no frame number" + ("; it will be spotted" if column == "apex" else ""))
        return number

    def _is_formula(self, column: str, text: str) -> bool:
        if text.startswith("="):
            self.report(column, text, "a formula whose value is not stored; save the sheet in a spreadsheet program")
        return text.startswith("=")

    def _order(self, numbers: dict[str, int | None]) -> str | None:
        """Check the sheet's own numbers; an impossible apex is dropped and reported. Returns what is fatal."""
        if numbers["offset"] == 0 and (numbers["onset"] or 0) > 0:
            self.report("offset", "0", "no frame number")
            numbers["offset"] = None
        onset, apex, offset = (numbers[column] for column in _POINTS)
        if onset is not None and offset is not None and onset > offset:
            reason = f"onset {onset} is after offset {offset}"
            self.report("onset", str(onset), reason)
            return f"{reason}; correct the sheet"
        if onset is not None and onset == offset:
            reason = f"onset and offset are both {onset}: one frame has no motion"
            self.report("offset", str(offset), reason)
            return f"{reason}; correct the sheet"
        if apex is not None and onset is not None and apex < onset:
            self._drop_apex(numbers, f"before the onset {onset}")
        elif apex is not None and offset is not None and apex > offset:
            self._drop_apex(numbers, f"after the offset {offset}")
        elif apex is not None and apex == onset:
            # From the onset to itself nothing moves: a network would be shown an empty difference.
            self._drop_apex(numbers, "equals the onset")
        return None

    def _drop_apex(self, numbers: dict[str, int | None], reason: str) -> None:
        self.report("apex", str(numbers["apex"]), f"{reason}; it will be spotted")
        numbers["apex"] = None

    def _inside(self, numbers: dict[str, int | None], found: Sequence[int]) -> str | None:
        """Check the numbers against the frames on disk. Returns what is fatal."""
        onset, offset = numbers["onset"], numbers["offset"]
        inside = all(number is None or found[0] <= number <= found[-1] for number in (onset, offset))
        if self.location.trimmed and not inside and None not in (onset, offset) and _length(numbers) == len(found):
            shift = found[0] - (onset or 0)
            numbers.update({column: None if n is None else n + shift for column, n in numbers.items()})
            self.table.habits[_TRIMMED] += 1
            return None
        if self.location.cut:
            self._cut(numbers, found)
        for column in ("onset", "offset"):
            number = numbers[column]
            if number is not None and not found[0] <= number <= found[-1]:
                reason = f"{column} {number} is outside the frames {found[0]}..{found[-1]}"
                self.report(column, str(number), reason)
                return f"{reason}; correct the sheet or the frames"
        apex = numbers["apex"]
        if apex is not None and not found[0] <= apex <= found[-1]:
            self._drop_apex(numbers, f"outside the frames {found[0]}..{found[-1]}")
        return None

    def _cut(self, numbers: dict[str, int | None], found: Sequence[int]) -> None:
        """Take the first and last frame for what lies outside the recording, if that is no more than a tenth of it."""
        onset, offset = numbers["onset"], numbers["offset"]
        if onset is None or offset is None:
            return
        for column, outside, edge, words in (
            ("onset", found[0] - onset, found[0], "before the recording, whose first frame"),
            ("offset", offset - found[-1], found[-1], "after the recording, whose last frame"),
        ):
            if 0 < outside <= max(1, (offset - onset) / 10):
                self.report(column, str(numbers[column]), f"{words} {edge} was taken")
                numbers[column] = edge

    def _check_length(self, numbers: dict[str, int | None], found: Sequence[int]) -> None:
        """Report a micro-expression of more than two seconds, and count those whose frames have gaps."""
        onset, offset = numbers["onset"], numbers["offset"]
        if onset is None or offset is None:
            return
        rate = self.location.fps or self.table.layout.fps
        any_kind = self.location.macro or (self.location.sparse and self.location.own_labels)  # a user's own may be
        if rate and offset - onset > _LONGEST_S * rate and not any_kind:
            self.report(
                "offset", str(offset), f"{(offset - onset) / rate:.1f} s after the onset: no micro-expression lasts so"
            )
        between = bisect.bisect_left(found, offset) - bisect.bisect_left(found, onset)
        self.table.habits[_GAPS] += between < offset - onset

    def _index(self, column: str, number: int | None, found: Sequence[int]) -> int | None:
        if number is None:
            return None
        index = bisect.bisect_left(found, number)
        if found[index] != number:
            self.report(column, str(number), f"this frame is missing; frame {found[index]} stands in")
        return index


def _length(numbers: dict[str, int | None]) -> int:
    return (numbers["offset"] or 0) - (numbers["onset"] or 0) + 1
