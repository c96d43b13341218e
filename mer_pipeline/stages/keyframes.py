"""Stage `keyframes`: which frames of a clip are needed, annotated or spotted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mer_pipeline.errors import MerError
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.faces.landmarks import FaceFinder
from mer_pipeline.spotting.clip import ClipInterval, spot
from mer_pipeline.spotting.result import Flag
from mer_pipeline.spotting.tracking import track
from mer_pipeline.spotting.video import faceless, spot_faces
from mer_pipeline.video import Footage

FrameSource = Literal["annotated", "spotted"]

FALLBACK_FPS = 200.0  # frame folders say nothing; the high-speed sets record at 100 to 200
# Before and after a known apex, frames of this length say what rest is; a micro-expression lasts up to half a second.
_AROUND_APEX_S = 1.0


@dataclass(frozen=True)
class KeyFrames:
    """The frames of one expression, 0-based indices into the decoded clip.

    Attributes:
        onset_frame, apex_frame: Start and peak.
        offset_frame: End; None where neither annotated nor spotted.
        onset_source, apex_source: `annotated` or `spotted`.
        sequence: How many evenly spaced frames a model of sequences needs besides; 0 for none.
        flags: What is to be known of frames that were spotted; see `Interval`.
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int | None
    onset_source: FrameSource = "annotated"
    apex_source: FrameSource = "annotated"
    sequence: int = 0
    flags: tuple[Flag, ...] = ()

    def __post_init__(self) -> None:
        end = self.apex_frame if self.offset_frame is None else self.offset_frame
        if not 0 <= self.onset_frame <= self.apex_frame <= end:
            raise ValueError(
                f"expected 0 <= onset <= apex <= offset, got {self.onset_frame}, {self.apex_frame}, {self.offset_frame}"
            )

    @property
    def frames_of_sequence(self) -> tuple[int, ...]:
        """The frames of the sequence, ascending; in a short expression frames repeat."""
        return uniform_frames(self, self.sequence) if self.sequence else ()

    @property
    def needed(self) -> tuple[int, ...]:
        """The frames that later stages read, ascending."""
        return tuple(sorted({self.onset_frame, self.apex_frame, *self.frames_of_sequence}))


def find_keyframes(
    footage: Footage,
    open_detector: Callable[[], FaceFinder],
    *,
    onset_frame: int | None = None,
    apex_frame: int | None = None,
    offset_frame: int | None = None,
    fps: float | None = None,
    counts: DetectionCounts | None = None,
) -> KeyFrames:
    """Take what is annotated and spot the rest; with onset and apex given, no frame is decoded.

    Args:
        footage: The clip.
        open_detector: Gives the face finder; called only where something must be spotted.
        onset_frame: The annotated onset, if any.
        apex_frame: The annotated apex, if any.
        offset_frame: The annotated offset, if any.
        fps: Frames a second, where the footage does not say.
        counts: Counts the frames in which a face was looked for.

    Raises:
        MerError: The clip is too short, or a search found no face.
    """
    _check(footage, onset_frame, apex_frame, offset_frame)
    if onset_frame is not None and apex_frame is not None:
        return KeyFrames(onset_frame, apex_frame, offset_frame)
    finder, counts = open_detector(), counts if counts is not None else DetectionCounts()
    rate = fps or footage.fps or FALLBACK_FPS
    if onset_frame is None and apex_frame is None and offset_frame is None:
        found = spot_faces(footage, rate, finder, force=True, counts=counts)[0].best
        if found is None:
            raise without_motion(counts.frames, counts.with_face, footage.path)
        frames = found.onset_frame, found.apex_frame, found.offset_frame
        return KeyFrames(*frames, "spotted", "spotted", flags=found.flags)
    known = (onset_frame, apex_frame, offset_frame)
    spotted = _search(footage, finder, rate, counts, known)
    apex = spotted.apex_frame if apex_frame is None else apex_frame
    onset = min(spotted.onset_frame, apex) if onset_frame is None else onset_frame
    apex = max(apex, onset)
    # With the onset known, an offset that is not annotated stays unknown.
    end = offset_frame if onset_frame is not None else max(spotted.offset_frame, apex)
    end = end if offset_frame is None else max(offset_frame, apex)
    return KeyFrames(
        onset,
        apex,
        end,
        "spotted" if onset_frame is None else "annotated",
        "spotted" if apex_frame is None else "annotated",
    )


def _check(footage: Footage, onset_frame: int | None, apex_frame: int | None, offset_frame: int | None) -> None:
    """Refuse frames that cannot be."""
    if len(footage) < 2:
        raise MerError("a clip of one frame has no motion", where=footage.path, fix="give a clip with onset and apex")
    for name, frame in (("onset", onset_frame), ("apex", apex_frame), ("offset", offset_frame)):
        if frame is not None and not 0 <= frame < len(footage):
            what = f"{name} {frame} is outside the frames 0..{len(footage) - 1}"
            raise MerError(what, where=footage.path, fix="frames count from 0; correct the annotation")
    if onset_frame is not None and apex_frame is not None and onset_frame > apex_frame:
        raise MerError(f"onset {onset_frame} is after apex {apex_frame}", where=footage.path, fix="swap them")


def uniform_frames(keyframes: KeyFrames, count: int) -> tuple[int, ...]:
    """Frames for a model of sequences, evenly spaced from the onset to the offset, or to the apex where there is none.

    Args:
        keyframes: What is known of the expression.
        count: How many, 2 or more; in a shorter expression frames repeat.

    >>> uniform_frames(KeyFrames(10, 14, 18), 5)
    (10, 12, 14, 16, 18)
    """
    if count < 2:
        raise ValueError(f"count must be 2 or more, got {count}")
    end = keyframes.apex_frame if keyframes.offset_frame is None else keyframes.offset_frame
    return tuple(int(at) for at in np.rint(np.linspace(keyframes.onset_frame, end, count)))


def _search(
    footage: Footage,
    finder: FaceFinder,
    fps: float,
    counts: DetectionCounts,
    known: tuple[int | None, int | None, int | None],
) -> ClipInterval:
    """Spot an expression of which something is annotated, in the frames that can hold it."""
    onset_frame, apex_frame, offset_frame = known
    start, stop = onset_frame or 0, len(footage) if offset_frame is None else offset_frame + 1
    if apex_frame is not None:
        around = round(_AROUND_APEX_S * fps)
        start, stop = max(start, apex_frame - around), min(stop, apex_frame + around + 1)
    tracks = track(footage.read(range(start, stop)), start, stop, fps, lambda image: counts.at(finder, image))
    spotted = spot(tracks, fps, onset_frame=onset_frame, apex_frame=apex_frame)
    if spotted is None:
        raise without_motion(counts.frames, counts.with_face, footage.path)
    return spotted


def without_motion(looked_at: int, with_face: int, where: Path) -> MerError:
    """The error of a clip in which no two frames that follow each other show a face."""
    if not with_face:
        return faceless(looked_at, where)
    return MerError(
        f"no face was found in two frames that follow each other, of the {looked_at} that were looked at",
        where=where,
        fix="check that a face is visible and upright",
    )
