"""Every expression of a video of any length, micro and macro apart.

One mechanism serves files and cameras: `LiveSpotter` is fed frame by frame and gives back each expression once it is
over. It keeps some seconds of tracks (2 kB a frame) and no pictures, so an hour needs no more memory than a minute.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.faces.landmarks import FaceFinder
from mer_pipeline.progress import Progress, silent
from mer_pipeline.spotting.intervals import MARGIN_S, Candidate, NoiseFloor, energy, find_intervals, is_micro
from mer_pipeline.spotting.tracking import FindFace, Tracked, Tracker
from mer_pipeline.video import Footage, open_footage

Kind = Literal["micro", "macro"]
TIMELINE_POINTS = 4000
# Below this rate a micro-expression (1/25 to 1/5 s) spans too few frames to be seen rising and falling.
FEW_FPS = 60.0
_USUAL_S = 60.0  # what a face does all the time is learnt from so much of it


@dataclass(frozen=True)
class Interval:
    """One expression; frames are 0-based, seconds count from the first frame.

    Attributes:
        strength: How far the skin moved at the apex, in pixels of a 224 pixel crop.
        kind: `micro` up to half a second, else `macro`.
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int
    strength: float
    kind: Kind
    onset_s: float
    apex_s: float
    offset_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.onset_frame <= self.apex_frame <= self.offset_frame:
            raise ValueError(f"expected 0 <= onset <= apex <= offset, got {self}")


@dataclass(frozen=True)
class Timeline:
    """How much the skin of the face moves over a video, for drawing.

    Attributes:
        seconds: (points,) from the first frame, ascending; at most `TIMELINE_POINTS`.
        energy: (points,) the strongest motion within each point's share of the video, pixels of a 224 pixel crop; NaN
            where there is no face.
    """

    seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    energy: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Spotting:
    """What was found in one video.

    Attributes:
        video: The path that was given.
        fps: Frames a second that times are counted by.
        frames: How many were seen.
        faces: The largest number of faces seen in one frame.
        looked_at, with_face: In how many frames a face was looked for, and found.
        intervals: In time order.
        warnings: What the reader of the result should know.
        timeline: The course of motion.
        error: Why there is no result; None where there is one.
    """

    video: str
    fps: float
    frames: int
    faces: int = 0
    looked_at: int = 0
    with_face: int = 0
    intervals: list[Interval] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline)
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values without the timeline; `error` is there only where something failed."""
        values = asdict(replace(self, timeline=Timeline()))
        left_out = {"timeline"} if self.error else {"timeline", "error"}
        return {key: value for key, value in values.items() if key not in left_out}


class LiveSpotter:
    """Spots expressions in frames that arrive one by one; files are spotted by it too.

    An expression is given back when `MARGIN_S` of what follows its apex are known, or the face is lost.

    Args:
        fps: Frames a second.
        look: Finds the face in a frame.
        on_energy: Called with the index of a first frame and, (frames,) from there, how far the skin is from rest.
        hop_s: How often what has gathered is judged; often costs time, seldom delays.
    """

    def __init__(
        self,
        fps: float,
        look: FindFace,
        *,
        on_energy: Callable[[int, npt.NDArray[np.float64]], None] = lambda first, energy: None,  # noqa: ARG005
        hop_s: float = 2.0,
    ) -> None:
        self.fps = fps
        self._tracker = Tracker(fps, look)
        self._on_energy = on_energy
        self._hop, self._margin = max(1, round(hop_s * fps)), round(MARGIN_S * fps)
        self._usual = NoiseFloor(kept=max(1, round(_USUAL_S / hop_s)))
        self._rows: list[npt.NDArray[np.float32]] = []
        self._first = 0  # index of the first row
        self._judged = 0  # index of the first frame that is not judged yet
        self._face: Tracked | None = None
        self._last: list[Interval] = []

    @property
    def has_face(self) -> bool:
        """Whether the last frame shows a face."""
        return self._face is not None

    def push(self, index: int, image: Image) -> list[Interval]:
        """Take the next frame; gives back the expressions that have become certain.

        Args:
            index: Of the frame; where a camera left frames out, the skin is taken to have moved evenly.
            image: (H, W, 3) RGB.
        """
        face, found = self._tracker.push(index, image), []
        if self._face is not None and (face is None or face.segment != self._face.segment):
            found = self.finish()
        if face is None:
            return found
        row = face.motion_px.astype(np.float32)
        if self._face is None:
            self._first = self._judged = index
        else:
            left_out = index - self._first - len(self._rows)
            last = self._rows[-1]
            self._rows += [last + np.float32(at / (left_out + 1)) * (row - last) for at in range(1, left_out + 1)]
        self._face = face
        self._rows.append(row)
        while self._first + len(self._rows) >= self._judged + self._hop + self._margin:
            found += self._judge(self._judged + self._hop)
            keep = max(0, self._judged - self._margin - self._first)
            del self._rows[:keep]
            self._first += keep
        return found

    def finish(self) -> list[Interval]:
        """The expressions of what has gathered, as if no frame followed; then it begins anew."""
        found = self._judge(self._first + len(self._rows)) if self._face is not None else []
        self._rows, self._face = [], None
        return found

    def _judge(self, until: int) -> list[Interval]:
        """The expressions whose apex lies before a frame and was not judged before."""
        assert self._face is not None
        motion, since = np.array(self._rows), self._judged
        found = find_intervals(motion, self._face.trust, self.fps, self._usual)
        self._on_energy(since, energy(motion, self._face.trust, self.fps)[since - self._first : until - self._first])
        self._judged = until
        new = [self._interval(each) for each in found if since <= self._first + each.apex < until]
        # A plateau may have had its apex before this window's share in the last one, and have it within now.
        new = [each for each in new if not any(_same(each, other) for other in self._last)]
        self._last = new or self._last
        return new

    def _interval(self, found: Candidate) -> Interval:
        onset, apex, offset = (self._first + frame for frame in (found.onset, found.apex, found.offset))
        kind: Kind = "micro" if is_micro(offset - onset, self.fps) else "macro"
        onset_s, apex_s, offset_s = (frame / self.fps for frame in (onset, apex, offset))
        return Interval(onset, apex, offset, round(found.strength, 3), kind, onset_s, apex_s, offset_s)


def _same(a: Interval, b: Interval) -> bool:
    """Whether two intervals share more than half of the shorter one."""
    shared = min(a.offset_frame, b.offset_frame) - max(a.onset_frame, b.onset_frame)
    return 2 * shared > min(a.offset_frame - a.onset_frame, b.offset_frame - b.onset_frame)


class _Course:
    """Gathers a timeline of bounded length.

    Args:
        frames: Of the whole video.
        times_s: (frames,) when each frame is shown.
    """

    def __init__(self, frames: int, times_s: npt.NDArray[np.float64]) -> None:
        self._frames, self._points = frames, min(frames, TIMELINE_POINTS)
        self._seconds = times_s[np.arange(self._points) * frames // max(1, self._points)]
        self._energy = np.full(self._points, np.nan)

    def add(self, first: int, energy_px: npt.NDArray[np.float64]) -> None:
        """Take in the frames from one on."""
        point = (first + np.arange(len(energy_px))) * self._points // self._frames
        np.fmax.at(self._energy, point, energy_px)

    @property
    def timeline(self) -> Timeline:
        return Timeline(self._seconds, self._energy)


@os_errors()
def spot_video(
    video: str | Path,
    *,
    fps: float | None = None,
    progress: Progress = silent,
    detector: Detector | None = None,
    find_faces: FaceFinder | None = None,
) -> Spotting:
    """Spot every expression of a video, in memory that does not grow with its length.

    Args:
        video: A video file or a folder of frames.
        fps: Overrides what the medium says.
        progress: Called after every second of video.
        detector: Finds faces; None for Face Mesh.
        find_faces: A detector that is open already, in the place of `detector`.

    Raises:
        MerError: The video is unreadable, has one frame or no face, or is a frame folder whose rate is not given.
    """
    video = Path(video)
    footage, counts = open_footage(video), DetectionCounts()
    rate = fps or footage.fps
    if rate is None:
        raise MerError("a folder of frames does not say its rate", where=video, fix="give --fps")
    shown_s = footage.times_s if fps is None else None
    times_s = np.arange(len(footage)) / rate if shown_s is None else shown_s
    course = _Course(len(footage), times_s)
    with ExitStack() as stack:
        finder = find_faces or stack.enter_context((detector or Detector()).open())
        spotter = LiveSpotter(rate, functools.partial(counts.at, finder), on_energy=course.add)
        intervals, done, broken = _spot_frames(footage, spotter, progress)
    if not counts.with_face:
        raise faceless(counts.frames, video)
    if len(footage) < 2:
        raise MerError("one frame has no motion", where=video, fix="give a video of the expression")
    return Spotting(
        str(video),
        rate,
        done,
        counts.faces,
        counts.frames,
        counts.with_face,
        [_timed(interval, times_s) for interval in sorted(intervals, key=lambda each: each.onset_frame)],
        [*face_warnings(rate, counts), *([] if broken is None else [_cut_short(done, len(footage), broken)])],
        course.timeline,
    )


def _spot_frames(
    footage: Footage, spotter: LiveSpotter, progress: Progress
) -> tuple[list[Interval], int, MerError | None]:
    """The intervals of a video, how many of its frames could be read, and why not all, where that is so."""
    intervals: list[Interval] = []
    done, broken, started = 0, None, time.monotonic()
    try:
        for index, image in footage.read(range(len(footage))):
            intervals += spotter.push(index, image)
            done = index + 1
            if done % max(1, round(spotter.fps)) == 0 or done == len(footage):
                speed = done / max(1e-9, time.monotonic() - started)
                progress("spot", done, len(footage), f"{footage.path.name}, {speed:.0f} frames a second")
    except MerError as error:
        if not done:
            raise
        broken = error
    return intervals + spotter.finish(), done, broken


def _timed(interval: Interval, times_s: npt.NDArray[np.float64]) -> Interval:
    """With the times at which the medium shows the frames: a rate may vary."""
    onset_s, apex_s, offset_s = (
        round(float(times_s[frame]), 4) for frame in (interval.onset_frame, interval.apex_frame, interval.offset_frame)
    )
    return replace(interval, onset_s=onset_s, apex_s=apex_s, offset_s=offset_s)


def faceless(looked_at: int, where: Path) -> MerError:
    """The error of a clip without any face."""
    return MerError(
        f"no face was found in the {looked_at} frames that were looked at",
        where=where,
        fix="check that a face is visible and upright",
    )


def _cut_short(done: int, frames: int, error: MerError) -> str:
    return f"only the first {done} of {frames} frames could be read: {error.what}"


def face_warnings(fps: float | None, counts: DetectionCounts) -> list[str]:
    """What the reader of a result should know of a clip's frame rate and of the faces in it."""
    warnings = []
    if fps is not None and fps < FEW_FPS:
        warnings.append(
            f"{fps:.3g} fps: a micro-expression (1/25 to 1/5 s) spans only {fps / 25:.1f} to {fps / 5:.1f} frames"
        )
    if counts.with_face < counts.frames:
        missing = f"{counts.frames - counts.with_face} of the" if counts.with_face else "any of the"
        warnings.append(f"no face in {missing} {counts.frames} frames that were looked at")
    if counts.faces > 1:
        warnings.append(f"{counts.faces} faces in one frame: one of them is followed, the largest first")
    return warnings
