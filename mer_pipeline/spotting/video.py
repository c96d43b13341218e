"""Every expression of a video of any length, micro and macro apart.

`LiveSpotter` is fed frame by frame; where a single expression is wanted of a clip in which none was spotted, the
strongest motion of the whole clip is given, and marked.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.choices import GREATEST_FPS
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.faces.landmarks import FaceFinder
from mer_pipeline.progress import Progress, silent
from mer_pipeline.spotting.everyone import Everyone, FaceChoice
from mer_pipeline.spotting.result import Spotting
from mer_pipeline.spotting.watch import OnFace, Watch
from mer_pipeline.video import Excerpt, Footage, Window, open_footage

# Below this rate a micro-expression (1/25 to 1/5 s) spans too few frames to be seen rising and falling.
FEW_FPS = 60.0
_SAME_RATE = 0.02  # 29.97 for 30, 59.94 for 60
# Bits a second and pixel below which films are doubted, and below which so much is lost that the reader should know;
# what is found in such films is in benchmarks/reports.
_FEW_BITS, _LITTLE_LEFT = 1.0, 0.6


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
    """Spot every expression of the largest face of a video, in memory that does not grow with its length.

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
    return spot_people(
        video, face="largest", fps=fps, force_fps=force_fps, window=window, progress=progress, detector=detector,
        find_faces=find_faces,
    )[0]  # fmt: skip


@os_errors()
def spot_people(
    video: str | Path,
    *,
    face: FaceChoice = "all",
    fps: float | None = None,
    force_fps: bool = False,
    window: Window | None = None,
    progress: Progress = silent,
    detector: Detector | None = None,
    find_faces: FaceFinder | None = None,
    on_face: OnFace | None = None,
) -> list[Spotting]:
    """Spot every expression of every face of a video as `spot_video` does; one result a face, by number.

    `face` is `all`; the number of one, counted from 1 in the order of their appearance, the largest first; or
    `largest`: one at a time. `on_face` is called with every face of every frame, its key, the frame's index, and when
    it is shown.

    Raises:
        MerError: As for `spot_video`; or there is no face of this number.
    """
    video = Path(video)
    footage = open_footage(video)
    rate, own_times, said = rate_of(footage, fps, force=force_fps)
    if rate is None:
        raise MerError("a folder of frames does not say its rate", where=video, fix="give --fps")
    with ExitStack() as stack:
        finder = find_faces or stack.enter_context((detector or Detector()).open())
        part = window.of(footage, rate, own_times) if window else footage
        on_face = later(on_face, part)
        found = spot_faces(part, rate, finder, face=face, own_times=own_times, progress=progress, on_face=on_face)
    if window:
        found, said = [in_film(each, part) for each in found], [*said, window.words]
    return [replace(each, warnings=[*said, *each.warnings]) for each in found]


def later(on_face: OnFace | None, part: Footage) -> OnFace | None:
    """The same callback, given frames that are counted from the film's beginning."""
    if on_face is None or not isinstance(part, Excerpt):
        return on_face
    return lambda key, index, seconds, face: on_face(key, index + part.first, seconds + part.start_s, face)


def in_film(found: Spotting, part: Footage) -> Spotting:
    """What was spotted in a part of a video, counted from the video's beginning."""
    if not isinstance(part, Excerpt):
        return found
    return replace(
        found,
        intervals=[part.in_film(each) for each in found.intervals],
        events=[part.in_film(each) for each in found.events],
        timeline=replace(found.timeline, seconds=found.timeline.seconds + part.start_s),
        forced=None if found.forced is None else part.in_film(found.forced),
        where=found.where.later(part.first),
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
    if bits is None or bits >= _LITTLE_LEFT:
        return []
    return [
        f"strongly compressed ({bits:.2g} bits a second for each pixel; cameras write 2 and more): small movements are "
        "lost in it, and some of what is found may be compression; take the camera's own file"
    ]


def spot_faces(
    footage: Footage,
    fps: float,
    find_faces: FaceFinder,
    *,
    face: FaceChoice = "largest",
    own_times: bool = True,
    force: bool = False,
    counts: DetectionCounts | None = None,
    progress: Progress = silent,
    on_face: OnFace | None = None,
) -> list[Spotting]:
    """Spot every expression of the faces of a video that is open already; see `spot_people`.

    Args:
        footage: The video.
        fps: Frames a second.
        find_faces: Finds faces.
        face: Which of them.
        own_times: Whether seconds are those at which the medium shows its frames.
        force: Whether the strongest motion is wanted where nothing is spotted; memory then grows with the length.
        counts: Counts the frames in which a face was looked for.
        progress: Called after every second of video.
        on_face: See `spot_people`.

    Raises:
        MerError: The video is unreadable, or has one frame or no face, or none of this number.
    """
    if len(footage) < 2:
        raise MerError("a clip of one frame has no motion", where=footage.path, fix="give a video of the expression")
    counts = DetectionCounts() if counts is None else counts
    shown_s = footage.times_s if own_times else None
    times_s = np.arange(len(footage)) / fps if shown_s is None else shown_s
    make = functools.partial(Watch, fps, times_s, doubt=doubt_of(footage), force=force, on_face=on_face)
    if face == "largest":
        one = make(functools.partial(counts.at, find_faces))
        done, broken = _each_frame(footage, fps, one.push, progress)
    else:
        everyone = Everyone(fps, functools.partial(counts.all, find_faces), make, face, len(footage))
        done, broken = _each_frame(footage, fps, everyone.push, progress)
    if not counts.with_face:
        raise faceless(counts.frames, footage.path)
    said = [] if broken is None else [f"only the first {done} of {len(footage)} frames could be read: {broken.what}"]
    if face != "largest":
        return everyone.spottings(footage.path, done, times_s, counts, [*rate_warnings(fps), *said])
    found = one.spotting(str(footage.path), done, [*face_warnings(fps, counts), *said])
    return [replace(found, faces=counts.faces, looked_at=counts.frames, with_face=counts.with_face,
                    others_in_view=max(0, counts.faces - 1))]  # fmt: skip


def _each_frame(
    footage: Footage, fps: float, push: Callable[[int, Image], None], progress: Progress
) -> tuple[int, MerError | None]:
    """Read a video; how many of its frames could be, and why not all, where that is so."""
    done, broken, started = 0, None, time.monotonic()
    try:
        for index, image in footage.read(range(len(footage))):
            push(index, image)
            done = index + 1
            if done % max(1, round(fps)) == 0 or done == len(footage):
                speed = done / max(1e-9, time.monotonic() - started)
                progress("spot", done, len(footage), f"{footage.path.name}, working at {speed:.0f} frames/s")
    except MerError as error:
        if not done:
            raise
        broken = error
    return done, broken


def faceless(looked_at: int, where: Path) -> MerError:
    """The error of a clip without any face."""
    return MerError(
        f"no face was found in the {looked_at} frames that were looked at",
        where=where,
        fix="check that a face is visible and upright",
    )


def rate_warnings(fps: float | None) -> list[str]:
    """What the reader of a result should know of a clip's frame rate."""
    if fps is None or fps >= FEW_FPS:
        return []
    return [f"{fps:.3g} fps: a micro-expression (1/25 to 1/5 s) spans only {fps / 25:.1f} to {fps / 5:.1f} frames"]


def face_warnings(fps: float | None, counts: DetectionCounts) -> list[str]:
    """What the reader of a result should know of a clip's frame rate and of the faces in it."""
    warnings = rate_warnings(fps)
    if counts.with_face < counts.frames:
        missing = f"{counts.frames - counts.with_face} of the" if counts.with_face else "any of the"
        warnings.append(f"no face in {missing} {counts.frames} frames that were looked at")
    if counts.faces > 1:
        warnings.append(
            f"{counts.faces} faces in one frame: one of them is followed, the largest first; --face all follows each"
        )
    return warnings
