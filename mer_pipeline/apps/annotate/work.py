"""What a coder made of a film: every stretch that was spotted or marked, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from mer_pipeline.apps.annotate.films import Film
from mer_pipeline.datasets.coders import KINDS, Mark
from mer_pipeline.errors import MerError
from mer_pipeline.facs import parse_aus
from mer_pipeline.reading import Between, Checked, Count
from mer_pipeline.spotting.result import Interval

# Names become folders and cells: a spreadsheet program would compute what begins like a formula.
NAME = re.compile(r"[^\W_][\w .'-]{0,38}[\w)]|[^\W_]")
_MOST_MARKS = 20_000


@dataclass(frozen=True)
class Entry(Checked):
    """A stretch of a film, and what a coder made of it; frames are 0-based indices, both in.

    Attributes:
        kind: `micro` or `macro`.
        status: `open`, `accepted` or `rejected`.
        onset_frame, apex_frame, offset_frame: 0 <= onset < apex <= offset.
        emotion, note: As the coder wrote them; blank where not.
        aus: As they are typed so far, which need not be Action Units yet: a tab may be closed at any letter.
        flags: What else was spotted meanwhile, or makes the frames doubtful.
        spotted: Onset, apex and offset of the candidate that it was; None where the coder marked it.
    """

    kind: Annotated[str, frozenset(KINDS)]
    status: Annotated[str, frozenset({"open", "accepted", "rejected"})]
    onset_frame: Count
    apex_frame: Count
    offset_frame: Count
    emotion: Annotated[str, Between(0, 40)] = ""
    aus: Annotated[str, Between(0, 200)] = ""
    note: Annotated[str, Between(0, 500)] = ""
    flags: Annotated[str, Between(0, 200)] = ""
    spotted: tuple[Count, Count, Count] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.onset_frame < self.apex_frame <= self.offset_frame:
            raise ValueError(f"expected onset < apex <= offset, got {self.frames}")
        if self.emotion and not NAME.fullmatch(self.emotion):
            raise ValueError(f"an emotion begins with a letter, and has letters, digits and blanks: {self.emotion!r}")
        if not (self.note + self.aus).isprintable():
            raise ValueError("notes and Action Units are one line of text")

    @property
    def frames(self) -> tuple[int, int, int]:
        """Onset, apex and offset."""
        return self.onset_frame, self.apex_frame, self.offset_frame

    @property
    def wrong_aus(self) -> str | None:
        """Why what stands for Action Units is none; None where it is."""
        try:
            parse_aus(self.aus)
        except MerError as error:
            return error.what
        return None

    @property
    def usual_aus(self) -> str:
        """The Action Units in the usual notation; else as they were typed, for the reader to report."""
        return self.aus if self.wrong_aus else str(parse_aus(self.aus))

    @classmethod
    def of_candidate(cls, found: Interval) -> Entry:
        """A candidate as it was spotted; its apex lies after its onset, as a table of clips wants it."""
        onset, offset = found.onset_frame, max(found.offset_frame, found.onset_frame + 1)
        apex = min(max(found.apex_frame, onset + 1), offset)
        spotted = found.onset_frame, found.apex_frame, found.offset_frame
        return cls(found.kind, "open", onset, apex, offset, flags=", ".join(found.flags), spotted=spotted)

    def mark(self, film: Film) -> Mark:
        """For coders' files and for agreement."""
        onset_s, apex_s, offset_s = film.seconds(*self.frames)
        return Mark(
            self.kind, self.onset_frame, self.offset_frame, self.apex_frame, self.emotion, self.usual_aus,
            (onset_s, apex_s, offset_s), self.note,
        )  # fmt: skip


@dataclass(frozen=True)
class CodedFilm(Checked):
    """What one coder made of one film.

    Attributes:
        revision: Counts the changes.
        writer: The page that made the last one.
        subject: Who is seen; blank where that is not known.
        entries: In time order.
    """

    revision: Count = 0
    writer: Annotated[str, Between(0, 64)] = ""
    subject: Annotated[str, Between(0, 40)] = ""
    entries: tuple[Entry, ...] = field(default=())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subject and not NAME.fullmatch(self.subject):
            raise ValueError(f"who is seen begins with a letter or digit: {self.subject!r}")
        if len(self.entries) > _MOST_MARKS:
            raise ValueError(f"more than {_MOST_MARKS} marks")

    @classmethod
    def from_json(cls, values: Any, **known: Any) -> CodedFilm:
        """What `as_json` gives.

        Raises:
            ValueError, TypeError, KeyError, MerError: It is something else.
        """
        values["entries"]
        found = super().from_json(values, **known)
        return replace(found, entries=tuple(sorted(found.entries, key=lambda each: each.frames)))

    def accepted(self) -> tuple[Entry, ...]:
        """What counts."""
        return tuple(each for each in self.entries if each.status == "accepted")

    def wrong_aus(self) -> dict[str, str]:
        """Texts that are no Action Units, and why."""
        return {each.aus: wrong for each in self.entries if (wrong := each.wrong_aus)}

    def counts(self) -> dict[str, int]:
        """How many entries have each status."""
        return {status: sum(e.status == status for e in self.entries) for status in ("open", "accepted", "rejected")}

    def with_candidates(self, found: Sequence[Interval]) -> CodedFilm:
        """With candidates that it does not have yet; open ones that are no longer spotted are left out."""
        new = [Entry.of_candidate(each) for each in found]
        there = {each.spotted for each in new}
        kept = [e for e in self.entries if e.status != "open" or e.spotted is None or e.spotted in there]
        known = {each.spotted for each in kept}
        entries = sorted([*kept, *(each for each in new if each.spotted not in known)], key=lambda each: each.frames)
        return replace(self, entries=tuple(entries))
