"""What every reader produces: a table of clips, and everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from mer_pipeline.facs import AU_NUMBERS, ActionUnits

ClipKind = Literal["frames", "flow"]


@dataclass(frozen=True)
class Clip:
    """One annotated expression.

    Attributes:
        dataset: Short name of the set, such as `casme2`.
        subject: Zero-padded text, unique inside the set.
        name: Unique inside the subject.
        source: The video file, the frame folder, or the flow image.
        onset_frame, apex_frame, offset_frame: 0-based indices into the decoded source; None where the sheet has none.
        emotion: Canonical name, None where not annotated.
        aus: None where not annotated.
        fps: Frames a second of the recording.
        fault: Why this clip cannot be used; None where nothing is known against it.
        kind: `frames` for a video or a frame folder; `flow` for one image of optical flow from onset to apex, which
            enters the chain at the motion stage.
    """

    dataset: str
    subject: str
    name: str
    source: Path
    onset_frame: int | None = None
    apex_frame: int | None = None
    offset_frame: int | None = None
    emotion: str | None = None
    aus: ActionUnits | None = None
    fps: float | None = None
    fault: str | None = None
    kind: ClipKind = "frames"

    def __post_init__(self) -> None:
        for part in (self.dataset, self.subject, self.name):
            if not part or "/" in part:
                raise ValueError(f"dataset, subject and name must be non-empty and free of '/', got {part!r}")
        if self.kind not in get_args(ClipKind):
            raise ValueError(f"expected a kind of {get_args(ClipKind)}, got {self.kind!r}")
        order = [f for f in (self.onset_frame, self.apex_frame, self.offset_frame) if f is not None]
        if self.fault is None and (order != sorted(order) or any(f < 0 for f in order)):
            raise ValueError(f"{self.clip_id}: expected 0 <= onset <= apex <= offset, got {order}")

    @property
    def clip_id(self) -> str:
        """`dataset/subject/clip`, the name by which every later table joins."""
        return f"{self.dataset}/{self.subject}/{self.name}"

    @property
    def group(self) -> str:
        """`dataset/subject`: who must never stand on both sides of a fold."""
        return f"{self.dataset}/{self.subject}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an annotation.

    Attributes:
        clip: The clip id, or what is known of it.
        field: The column.
        value: What stands there.
        reason: What is wrong with it, and what was done.
        sheet: File (and sheet) name.
        row: Row number as a spreadsheet shows it; None where no row is to blame.
    """

    clip: str
    field: str
    value: str
    reason: str
    sheet: str = ""
    row: int | None = None


@dataclass(frozen=True)
class Correction:
    """One known mistake of a sheet, and what became of its correction.

    Attributes:
        clip: The clip id.
        field: The column.
        old, new: What the sheet says, and what is true.
        reason, source: Why, and who says so.
        applied: Whether the old value still stood there.
        refusal: Why not, where it was not applied.
    """

    clip: str
    field: str
    old: str
    new: str
    reason: str
    source: str
    applied: bool
    refusal: str = ""


@dataclass(frozen=True)
class Annotations:
    """What a reader found in a raw folder.

    Attributes:
        dataset: Short name of the set.
        clips: The micro-expressions in sheet order; clip ids are unique.
        problems: Everything that is wrong, in sheet order.
        recognised_by: By what the folder was recognised as this set, such as its sheet.
        warnings: What is true of the set as a whole and no fault of one row.
        corrections: Known mistakes of this set's sheets, applied or refused.
        macro: Macro-expressions that the set annotates too: no part of any label set, but true intervals for spotting.
        synthetic: Whether `mer synth` wrote the folder.
    """

    dataset: str
    clips: tuple[Clip, ...]
    problems: tuple[Problem, ...] = ()
    recognised_by: str = ""
    warnings: tuple[str, ...] = field(default=())
    corrections: tuple[Correction, ...] = ()
    macro: tuple[Clip, ...] = ()
    synthetic: bool = False

    def without_key_frames(self) -> Annotations:
        """The recordings as a new video is: onset, apex and offset have to be spotted."""
        recorded = (clip for clip in self.clips if clip.kind == "frames")
        clips = (replace(clip, onset_frame=None, apex_frame=None, offset_frame=None) for clip in recorded)
        return replace(self, clips=tuple(clips))

    @property
    def subjects(self) -> list[str]:
        """The subjects that have clips, sorted; in a set made of several, `set/subject`."""
        mixed = any(clip.dataset != self.dataset for clip in self.clips)
        return sorted({clip.group if mixed else clip.subject for clip in self.clips})

    @property
    def emotions(self) -> dict[str, int]:
        """Clips an emotion, most frequent first."""
        return dict(Counter(clip.emotion for clip in self.clips if clip.emotion is not None).most_common())

    @property
    def au_counts(self) -> dict[str, int]:
        """Clips in which an Action Unit is annotated, by its number, ascending."""
        counts = Counter(number for clip in self.clips if clip.aus is not None for number in clip.aus.numbers)
        return {str(number): counts[number] for number in sorted(counts)}

    @property
    def outside_counts(self) -> dict[str, int]:
        """Clips in which a code or named action outside the 21 is annotated, most frequent first."""
        codes = (set(clip.aus.outside) for clip in self.clips if clip.aus is not None)
        counts = Counter(code for found in codes for code in found if code not in map(str, AU_NUMBERS))
        return _by_count(counts.items())

    @property
    def au_flags(self) -> dict[str, int]:
        """Clips whose Action Units carry a flag: `alternative`, `uncertain` or `reflex`."""
        return _by_count(Counter(f for clip in self.clips if clip.aus is not None for f in clip.aus.flags).items())

    @property
    def rates(self) -> dict[str, int]:
        """Clips at each frame rate; `unknown` where the set does not say."""
        counts = Counter("unknown" if clip.fps is None else f"{clip.fps:g}" for clip in self.clips)
        return _by_count(counts.items())


def _by_count(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    return dict(sorted(counts, key=lambda item: (-item[1], item[0])))
