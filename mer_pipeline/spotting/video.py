"""Every expression of a video of any length, micro and macro apart.

`LiveSpotter` is fed frame by frame; where a single expression is wanted of a clip in which none was spotted, the
strongest motion of the whole clip is given, and marked.
"""

from __future__ import annotations

import functools
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Matrix
from mer_pipeline.choices import GREATEST_FPS
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.faces.landmarks import FaceFinder
from mer_pipeline.faces.registration import CELLS
from mer_pipeline.progress import Progress, silent
from mer_pipeline.spotting.clip import spot
from mer_pipeline.spotting.intervals import is_micro
from mer_pipeline.spotting.live import LiveSpotter
from mer_pipeline.spotting.result import TIMELINE_POINTS, Event, Interval, Kind, Spotting, Timeline, merged
from mer_pipeline.spotting.tracking import Tracked, Tracks
from mer_pipeline.video import Excerpt, Footage, Window, open_footage

# Below this rate a micro-expression (1/25 to 1/5 s) spans too few frames to be seen rising and falling.
FEW_FPS = 60.0
_SAME_RATE = 0.02  # 29.97 for 30, 59.94 for 60
# Bits a second and pixel below which a film is strongly compressed; what is found in such is in benchmarks/reports.
_FEW_BITS = 1.0


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


class _Kept:
    """Keeps the tracks of a whole clip, of which a single expression is wanted whatever it is."""

    def __init__(self, frames: int) -> None:
        self._motion = np.full((frames, CELLS * CELLS, 2), np.nan, np.float32)
        self._segment = np.full(frames, -1, np.int32)
        self._trust: list[Matrix] = []

    def add(self, index: int, face: Tracked) -> None:
        """Take in a frame."""
        self._motion[index], self._segment[index] = face.motion_px, face.segment
        if face.segment == len(self._trust):
            self._trust.append(face.trust)

    def strongest(self, fps: float) -> Interval | None:
        """The motion that stands out most, spotted or not."""
        found = spot(Tracks(0, self._motion, np.array(self._trust).reshape(-1, CELLS * CELLS), self._segment), fps)
        if found is None:
            return None
        frames = found.onset_frame, found.apex_frame, found.offset_frame
        kind: Kind = "micro" if is_micro(frames[2] - frames[0], fps) else "macro"
        moved = np.hypot(*np.moveaxis(self._motion[frames[1]] - self._motion[frames[0]], -1, 0))
        strength = float((moved * (self._trust[self._segment[frames[1]]] > 0)).max())
        return Interval.at(frames, fps, kind, round(strength, 3), 0.0, ("not spotted",))


@os_errors()
def spot_video(
    video: str | Path,
    *,
    fps: float | None = None,
    force_fps: bool = False,
    window: Window | None = None,
    progress: Progress = silent,
    detector: Detector | None = None,
    find_faces: FaceFinder | None = None,
) -> Spotting:
    """Spot every expression of a video, in memory that does not grow with its length.

    Args:
        video: A video file or a folder of frames.
        fps: The rate of frames that do not say theirs.
        force_fps: Let `fps` override what the medium says.
        window: Where to search; None for everywhere. Frames and seconds are the video's own all the same.
        progress: Called after every second of video.
        detector: Finds faces; None for Face Mesh.
        find_faces: A detector that is open already, in the place of `detector`.

    Raises:
        MerError: The video is unreadable, has one frame or no face, or is a frame folder whose rate is not given.
    """
    video = Path(video)
    footage = open_footage(video)
    rate, own_times, said = rate_of(footage, fps, force=force_fps)
    if rate is None:
        raise MerError("a folder of frames does not say its rate", where=video, fix="give --fps")
    with ExitStack() as stack:
        finder = find_faces or stack.enter_context((detector or Detector()).open())
        part = window.of(footage, rate, own_times) if window else footage
        found = spot_footage(part, rate, finder, own_times=own_times, progress=progress)
    if window and isinstance(part, Excerpt):
        found, said = in_film(found, part), [*said, window.words]
    return replace(found, warnings=[*said, *found.warnings])


def in_film(found: Spotting, part: Excerpt) -> Spotting:
    """What was spotted in a part of a video, counted from the video's beginning."""
    return replace(
        found,
        intervals=[part.in_film(each) for each in found.intervals],
        events=[part.in_film(each) for each in found.events],
        timeline=replace(found.timeline, seconds=found.timeline.seconds + part.start_s),
        forced=None if found.forced is None else part.in_film(found.forced),
    )


def rate_of(footage: Footage, fps: float | None, *, force: bool = False) -> tuple[float | None, bool, list[str]]:
    """Frames a second of a medium; whether its own times count; and what the reader should know of it.

    Args:
        footage: The medium.
        fps: What the user says; None for what the medium says.
        force: Whether the user is right where both differ.

    Raises:
        MerError: Both differ: a wrong rate makes long expressions short ones. Or the medium states none that can be.
    """
    stated = footage.fps
    if stated is not None and stated > GREATEST_FPS and not (force and fps):
        raise MerError(
            f"it states {stated:.4g} frames a second, more than {GREATEST_FPS:g}",
            where=footage.path,
            fix="give the rate of its camera by --fps with --force-fps",
        )
    said = compression_warnings(footage)
    if fps is None or footage.fps is None or abs(fps / footage.fps - 1) <= _SAME_RATE:
        return footage.fps or fps, footage.fps is not None, said
    if not force:
        raise MerError(
            f"{fps:g} frames a second were asked for, and it states {footage.fps:.4g}",
            where=footage.path,
            fix="leave --fps out, or add --force-fps if the file is wrong (a recording that was slowed down)",
        )
    return fps, False, [f"taken for {fps:g} frames a second by --force-fps; it states {footage.fps:.4g}", *said]


def doubt_of(footage: Footage) -> float:
    """How much more than usual must stand out: more, the fewer bits a second the file has for a pixel.

    What compression leaves out of a moving face, and puts right at its key frames, looks like movements. The bar rises
    by 30 % for each halving below `_FEW_BITS`.
    """
    bits = footage.bits_a_second
    return 1.0 if bits is None or bits >= _FEW_BITS else 1 + 0.3 * float(np.log2(_FEW_BITS / max(bits, 1e-3)))


def compression_warnings(footage: Footage) -> list[str]:
    """What the reader should know where little of the picture is left."""
    bits = footage.bits_a_second
    if bits is None or bits >= _FEW_BITS:
        return []
    return [
        f"strongly compressed ({bits:.2g} bits a second for each pixel; cameras write 2 and more): small movements are "
        "lost in it, and some of what is found may be compression; take the camera's own file"
    ]


def spot_footage(
    footage: Footage,
    fps: float,
    find_faces: FaceFinder,
    *,
    own_times: bool = True,
    force: bool = False,
    counts: DetectionCounts | None = None,
    progress: Progress = silent,
) -> Spotting:
    """Spot every expression of a video that is open already; see `spot_video`.

    Args:
        footage: The video.
        fps: Frames a second.
        find_faces: Finds faces.
        own_times: Whether seconds are those at which the medium shows its frames.
        force: Whether the strongest motion is wanted where nothing is spotted; memory then grows with the length.
        counts: Counts the frames in which a face was looked for.
        progress: Called after every second of video.

    Raises:
        MerError: The video is unreadable, or has one frame or no face.
    """
    if len(footage) < 2:
        raise MerError("a clip of one frame has no motion", where=footage.path, fix="give a video of the expression")
    counts = DetectionCounts() if counts is None else counts
    shown_s = footage.times_s if own_times else None
    times_s = np.arange(len(footage)) / fps if shown_s is None else shown_s
    course, kept = _Course(len(footage), times_s), _Kept(len(footage)) if force else None
    look = functools.partial(counts.at, find_faces)
    if kept is None:
        spotter = LiveSpotter(fps, look, doubt=doubt_of(footage), on_energy=course.add)
    else:
        spotter = LiveSpotter(fps, look, doubt=doubt_of(footage), on_energy=course.add, on_tracked=kept.add)
    intervals, done, broken = _spot_frames(footage, spotter, progress)
    if not counts.with_face:
        raise faceless(counts.frames, footage.path)
    forced = kept.strongest(fps) if kept is not None and not intervals else None
    return Spotting(
        str(footage.path),
        fps,
        done,
        counts.faces,
        counts.frames,
        counts.with_face,
        [_timed(interval, times_s) for interval in sorted(intervals, key=lambda each: each.onset_frame)],
        [_event_timed(event, times_s) for event in merged(spotter.events)],
        [*face_warnings(fps, counts), *([] if broken is None else [_cut_short(done, len(footage), broken)])],
        course.timeline,
        forced=None if forced is None else _timed(forced, times_s),
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
    return intervals + spotter.finish(done), done, broken


def _timed(interval: Interval, times_s: npt.NDArray[np.float64]) -> Interval:
    """With the times at which the medium shows the frames: a rate may vary."""
    onset_s, apex_s, offset_s = (
        round(float(times_s[frame]), 4) for frame in (interval.onset_frame, interval.apex_frame, interval.offset_frame)
    )
    return replace(interval, onset_s=onset_s, apex_s=apex_s, offset_s=offset_s)


def _event_timed(event: Event, times_s: npt.NDArray[np.float64]) -> Event:
    first_s, last_s = (round(float(times_s[frame]), 4) for frame in (event.first_frame, event.last_frame))
    return replace(event, first_s=first_s, last_s=last_s)


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
