"""Long synthetic videos for spotting: one video a subject, filmed frame by frame, and the truth of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mer_pipeline.arrays import FloatImage
from mer_pipeline.progress import Progress
from mer_pipeline.synth import imaging as pictures
from mer_pipeline.synth.action_units import EYE_LEFT, EYE_RIGHT, FaceAxes, displacement_field
from mer_pipeline.synth.files import replaced
from mer_pipeline.synth.long_plan import Event, LongPlan, draw_long
from mer_pipeline.synth.media import Frames, write_h264
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.portrait import Portrait
from mer_pipeline.synth.scene import (
    Camera,
    eye_window,
    film,
    grid,
    head_mask,
    lid_shift,
    make_camera,
    sample,
    undo,
)
from mer_pipeline.synth.subjects import FRAME_SIZE_WH, Subject, draw_traits, make_subject

NAME = "long"
DEFAULT_FPS, DEFAULT_SECONDS = 200.0, 60.0
_FOR_SUBJECT, _FOR_EVENTS, _FOR_FILM, _FOR_NOISE = 11, 12, 13, 14
_WHOLE = (slice(0, FRAME_SIZE_WH[1]), slice(0, FRAME_SIZE_WH[0]))
_MARGIN_PX = 25  # how far the face can be from where it is at rest, beside its drift


def write_long(
    out: Path,
    truth: str,
    portraits: tuple[Portrait, Portrait],
    *,
    subjects: int,
    expressions: int,
    seed: int,
    options: Options,
    progress: Progress,
) -> None:
    """Write `s01.mp4` and so on, and the truth, into a folder.

    Args:
        out: Exists and is empty.
        truth: Name of the table: a row an event, with its video, kind (micro, macro, blink, turn), frames and seconds.
        portraits: What faces are drawn from.
        subjects: One video each.
        expressions: In each video.
        seed: What all randomness is drawn from.
        options: Rate, length, strength of the motion, and what disturbs it.
        progress: Told after every second of video.

    Raises:
        MerError: The expressions do not fit.
        OSError: A file cannot be written.
    """
    fps, seconds = options.fps or DEFAULT_FPS, options.seconds or DEFAULT_SECONDS
    plans = [draw_long(options, fps, seconds, expressions, (seed, index, _FOR_EVENTS)) for index in range(subjects)]
    camera = make_camera(options, fps, (seed, 0, _FOR_NOISE))
    rows: list[dict[str, object]] = []
    for index, plan in enumerate(plans):
        rng = np.random.default_rng((seed, index, _FOR_SUBJECT))
        subject = make_subject(portraits, draw_traits(rng), rng)
        video = f"s{index + 1:02d}.mp4"
        frames = render_long(subject, plan, camera, (seed, index, _FOR_FILM))
        write_h264(out / video, _told(frames, plan, index, subjects, progress), fps)
        rows += [_row(video, plan, event, seed) for event in plan.events]
    with replaced(out / truth) as temporary:
        pd.DataFrame(rows).to_parquet(temporary, index=False)


def render_long(subject: Subject, plan: LongPlan, camera: Camera, seed: tuple[int, ...]) -> Frames:
    """The frames of a long video, (480, 640, 3) uint8 RGB, in order; one at a time is in memory."""
    scene, rng = _Scene(subject, plan), np.random.default_rng(seed)
    for frame in range(plan.n_frames):
        yield film(scene.at(frame), frame, plan.flicker_phase, camera, rng)


def _told(frames: Frames, plan: LongPlan, index: int, videos: int, progress: Progress) -> Frames:
    """The same frames; tells how many seconds of all videos are done."""
    whole, step = int(plan.n_frames / plan.fps), max(1, round(plan.fps))
    for done, frame in enumerate(frames, 1):
        yield frame
        if done % step == 0:
            progress("synth", index * whole + done // step, videos * whole, f"s{index + 1:02d}")


def _row(video: str, plan: LongPlan, event: Event, seed: int) -> dict[str, object]:
    apex = (event.top + event.leave) // 2
    return {
        "video": video,
        "subject": video[1:3],
        "kind": event.kind,
        "emotion": event.emotion,
        "aus": event.aus,
        "onset_frame": event.start,
        "apex_frame": apex,
        "offset_frame": event.end,
        "onset_s": event.start / plan.fps,
        "apex_s": apex / plan.fps,
        "offset_s": event.end / plan.fps,
        "fps": plan.fps,
        "n_frames": plan.n_frames,
        "amplitude_px": event.amount if event.emotion else 0.0,
        "turn_deg": event.amount if event.kind == "turn" else 0.0,
        "seed": seed,
    }


class _Scene:
    """The still picture of a video and what moves in it."""

    def __init__(self, subject: Subject, plan: LongPlan) -> None:
        self._subject, self._plan = subject, plan
        self._neutral = sample(subject.base_rgb, grid(_WHOLE))
        self._head = head_mask(subject)
        self._face = _around(subject.points_xy, _MARGIN_PX + 2 * round(plan.limits[0]))
        rows, columns = (np.flatnonzero((self._head > 0).any(axis)) for axis in (1, 0))
        whole_head = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        self._moving = whole_head if plan.sways else self._face
        self._grid = grid(self._moving)
        self._depth = self._head * _depth(subject)
        self._field: tuple[Event, FloatImage] | None = None

    def at(self, frame: int) -> npt.NDArray[np.uint8]:
        """(480, 640, 3) uint8 RGB without noise."""
        now = [(event, part) for event in self._near(frame) if (part := event.part(frame)) > 0]
        if not now and not self._plan.sways:
            return self._neutral
        source_xy = self._grid.copy()
        if self._plan.sways:
            source_xy += self._head_shift(frame, [each for each in now if each[0].kind == "turn"])
        skin = [each for each in now if each[0].kind != "turn"]
        if skin:
            # The face moves first and the head carries it: look up the face where the head has come from.
            rows, columns = (
                slice(face.start - moving.start, face.stop - moving.start)
                for face, moving in zip(self._face, self._moving, strict=True)
            )
            where_xy = source_xy[rows, columns]
            shift_xy = self._face_shift(skin)
            source_xy[rows, columns] = where_xy + pictures.remap(
                shift_xy, where_xy - np.array([self._face[1].start, self._face[0].start], np.float32), 1
            )
        picture = self._neutral.copy()
        picture[self._moving] = sample(self._subject.base_rgb, source_xy)
        return picture

    def _near(self, frame: int) -> Iterator[Event]:
        return (event for event in self._plan.events if event.start <= frame <= event.end)

    def _head_shift(self, frame: int, turns: list[tuple[Event, float]]) -> FloatImage:
        """Way back from where the head is to where it was at rest, for the moving window."""
        back = self._head[self._moving][..., None] * undo(
            self._plan.drift(frame), self._moving, self._subject.center_xy
        )
        for event, part in turns:
            angle = np.deg2rad(part * event.amount)
            axis = 1 if event.pitch else 0
            # A point at depth z moves by z sin(angle), and what lies aside by (cos(angle) - 1) of that.
            aside = self._grid[..., axis] - np.float32(self._subject.center_xy[axis])
            back[..., axis] -= np.float32(np.sin(angle)) * self._depth[self._moving]
            back[..., axis] += self._head[self._moving] * np.float32(1 - np.cos(angle)) * aside
        return np.asarray(back, np.float32)

    def _face_shift(self, now: list[tuple[Event, float]]) -> FloatImage:
        """Where the face's pixels come from, relative to where they are; for the face's window."""
        rows, columns = self._face
        shift_xy = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 2), np.float32)
        for event, part in now:
            if event.kind != "blink":
                shift_xy -= np.float32(part) * self._skin(event)
                continue
            for eye in (EYE_RIGHT, EYE_LEFT):
                window = eye_window(self._subject.points_xy, eye)
                inside = tuple(
                    slice(each.start - face.start, each.stop - face.start)
                    for each, face in zip(window, self._face, strict=True)
                )
                shift_xy[inside][..., 1] += lid_shift(self._subject.points_xy[list(eye)], window, part)
        return shift_xy

    def _skin(self, event: Event) -> FloatImage:
        """Displacement at the apex of an expression within the face's window; only that of the last one is kept."""
        if self._field is None or self._field[0] is not event:
            field = displacement_field(event.aus, self._subject.points_xy, FRAME_SIZE_WH, event.strengths)
            self._field = event, np.ascontiguousarray(field[self._face]) * np.float32(event.amount)
        return self._field[1]


def _around(points_xy: npt.NDArray[np.float64], margin: int) -> tuple[slice, slice]:
    (left, top), (right, bottom) = points_xy.min(0), points_xy.max(0)
    height, width = FRAME_SIZE_WH[1], FRAME_SIZE_WH[0]
    rows = slice(max(0, int(top) - margin), min(height, int(bottom) + margin))
    return rows, slice(max(0, int(left) - margin), min(width, int(right) + margin))


def _depth(subject: Subject) -> FloatImage:
    """(480, 640) how far each point of the head stands before its axis, in pixels: an ellipsoid with a nose."""
    axes = FaceAxes(subject.points_xy)
    face_uv = axes.to_face(grid(_WHOLE)).astype(np.float32)
    u, v = face_uv[..., 0], face_uv[..., 1]
    skull = 1.5 * np.sqrt(np.clip(1 - (u / 1.9) ** 2 - ((v - 0.3) / 2.4) ** 2, 0, None))
    nose = 0.35 * np.exp(-0.5 * ((u / 0.16) ** 2 + ((v - 0.6) / 0.22) ** 2))
    # It turns about the middle of the face, which stays where it is: a head that turns is held up by its neck.
    return np.asarray(pictures.blur((skull + nose - 1.0).astype(np.float32), 4) * axes.pupils_px, np.float32)
