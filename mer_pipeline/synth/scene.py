"""Films a planned clip: every frame is one resampling of the subject's base picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage
from mer_pipeline.synth import imaging as pictures
from mer_pipeline.synth.action_units import EYE_LEFT, EYE_RIGHT, FaceAxes, displacement_field
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.plan import ClipPlan, Drift, contraction, lid_closure
from mer_pipeline.synth.subjects import FRAME_SIZE_WH, OVERSAMPLING, Subject

# Lamps on mains of 50 Hz flicker at 100 Hz, half of a 200 fps camera: a little off, so that it beats.
_FLICKER_HZ = 99.6
_NOISE_MARGIN = 64
_REACH_PX = 70  # the greatest drift, turn and growth together move no point of the face further


@dataclass(frozen=True)
class Camera:
    """What the camera adds to a scene.

    Attributes:
        fps: Frames per second.
        flicker: Relative amplitude of the lamps' flicker.
        noise: (480 + 64, 640 + 64, 3) int16, from which each frame's noise is cut; None for no noise.
    """

    fps: float
    flicker: float
    noise: npt.NDArray[np.int16] | None


def make_camera(options: Options, fps: float, seed: tuple[int, ...]) -> Camera:
    """Draw the noise once: drawing it for every frame would take longer than rendering the frame."""
    if options.noise == 0:
        return Camera(fps, options.flicker, None)
    rng = np.random.default_rng(seed)
    shape = (FRAME_SIZE_WH[1] + _NOISE_MARGIN, FRAME_SIZE_WH[0] + _NOISE_MARGIN, 3)
    noise = options.noise * rng.standard_normal(shape, dtype=np.float32)
    return Camera(fps, options.flicker, np.rint(noise).astype(np.int16))


def render(subject: Subject, plan: ClipPlan, camera: Camera) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a clip, (480, 640, 3) uint8 RGB, in order."""
    scene = _Scene.prepare(subject, plan)
    rng = np.random.default_rng([*plan.seed, 1])
    for frame in range(plan.n_frames):
        yield film(scene.at(frame), frame, plan.flicker_phase, camera, rng)


def film(
    picture: npt.NDArray[np.uint8], frame: int, flicker_phase: float, camera: Camera, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Light and noise of one frame."""
    if camera.flicker:
        phase = 2 * np.pi * _FLICKER_HZ * frame / camera.fps + flicker_phase
        picture = np.asarray(cv2.convertScaleAbs(picture, alpha=1 + camera.flicker * np.sin(phase)), np.uint8)
    if camera.noise is None:
        return picture.copy()
    top, left = rng.integers(0, _NOISE_MARGIN + 1, 2)
    width, height = FRAME_SIZE_WH
    grain = camera.noise[top : top + height, left : left + width]
    return np.asarray(cv2.add(picture, grain, dtype=cv2.CV_8U), np.uint8)


@dataclass(frozen=True)
class _Scene:
    """The still picture of a clip and what moves in it, in pixels of a frame.

    Attributes:
        neutral: (480, 640, 3) the frame without any motion.
        skin_xy: (480, 640, 2) displacement of the skin at the apex.
        head: (480, 640) how much of the head's drift a pixel follows.
        moving: rows and columns outside of which nothing moves.
    """

    subject: Subject
    plan: ClipPlan
    neutral: npt.NDArray[np.uint8]
    skin_xy: FloatImage
    head: FloatImage
    moving: tuple[slice, slice]

    @classmethod
    def prepare(cls, subject: Subject, plan: ClipPlan) -> _Scene:
        skin_xy = plan.amplitude_px * displacement_field(
            plan.combination.aus, subject.points_xy, FRAME_SIZE_WH, plan.strengths
        )
        head = head_mask(subject)
        drifts = plan.drift_limit != Drift((0.0, 0.0), 0.0, 1.0)
        moves = (np.abs(skin_xy).max(-1) > 0) | ((head > 0) & drifts)
        if plan.blink is not None:
            for eye in (EYE_RIGHT, EYE_LEFT):
                moves[eye_window(subject.points_xy, eye)] = True
        neutral = sample(subject.base_rgb, grid((slice(0, FRAME_SIZE_WH[1]), slice(0, FRAME_SIZE_WH[0]))))
        return cls(subject, plan, neutral, np.asarray(skin_xy, np.float32), head, _bounds(moves))

    def at(self, frame: int) -> npt.NDArray[np.uint8]:
        plan = self.plan
        part = contraction(frame, plan.onset_frame, plan.apex_frame, plan.offset_frame)
        closure, drift = lid_closure(frame, plan.blink), plan.drift(frame)
        still = drift == Drift((0.0, 0.0), 0.0, 1.0)
        if part == 0 and closure == 0 and still:
            return self.neutral
        source_xy = grid(self.moving)
        if still:
            source_xy += self._face_shift(part, closure)[self.moving]
        else:
            # The face moves first and the head carries it: undo the head, then look up the face where it then is.
            source_xy += self.head[self.moving][..., None] * undo(drift, self.moving, self.subject.center_xy)
            if part or closure:
                face = self._face_window()
                source_xy[face] += pictures.remap(self._face_shift(part, closure), source_xy[face], cv2.INTER_LINEAR)
        picture = self.neutral.copy()
        picture[self.moving] = sample(self.subject.base_rgb, source_xy)
        return picture

    def _face_window(self) -> tuple[slice, slice]:
        """Rows and columns of `moving` that the face can be in, wherever the head has drifted."""
        (left, top), (right, bottom) = self.subject.points_xy.min(0), self.subject.points_xy.max(0)
        rows, columns = self.moving
        return (
            slice(max(0, int(top) - _REACH_PX - rows.start), int(bottom) + _REACH_PX - rows.start),
            slice(max(0, int(left) - _REACH_PX - columns.start), int(right) + _REACH_PX - columns.start),
        )

    def _face_shift(self, part: float, closure: float) -> FloatImage:
        """(480, 640, 2) where the face's pixels come from, relative to where they are."""
        shift_xy = self.skin_xy * np.float32(-part)
        if closure > 0:
            for eye in (EYE_RIGHT, EYE_LEFT):
                window = eye_window(self.subject.points_xy, eye)
                shift_xy[window][..., 1] += lid_shift(self.subject.points_xy[list(eye)], window, closure)
        return np.asarray(shift_xy, np.float32)


def sample(base_rgb: npt.NDArray[np.uint8], source_xy: FloatImage) -> npt.NDArray[np.uint8]:
    """Look up points of a frame, (H, W, 2), in the base picture of twice its size."""
    map_xy = (source_xy + np.float32(0.5)) * np.float32(OVERSAMPLING) - np.float32(0.5)
    return pictures.remap(base_rgb, map_xy)


def grid(window: tuple[slice, slice]) -> FloatImage:
    """(H, W, 2) x, y of every pixel of a window (rows, columns)."""
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32)
    y = np.arange(rows.start, rows.stop, dtype=np.float32)
    return np.stack(np.meshgrid(x, y), axis=-1)


def _bounds(moves: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(moves.any(1)), np.flatnonzero(moves.any(0))
    if not rows.size:
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def undo(drift: Drift, window: tuple[slice, slice], center_xy: tuple[float, float]) -> FloatImage:
    """Way back from where the head has drifted to where it was, for every pixel of a window."""
    turn = np.deg2rad(drift.theta_deg)
    cosine, sine = np.cos(turn) / drift.scale, np.sin(turn) / drift.scale
    x = np.arange(window[1].start, window[1].stop) - center_xy[0]
    y = np.arange(window[0].start, window[0].stop) - center_xy[1]
    moved_x, moved_y = x - drift.shift_xy_px[0], y - drift.shift_xy_px[1]
    back = np.empty((len(y), len(x), 2), np.float32)
    # Sums of a row and a column: an affine map needs no more, and this is done for every frame.
    np.add.outer((sine * moved_y).astype(np.float32), (cosine * moved_x - x).astype(np.float32), out=back[..., 0])
    np.add.outer((cosine * moved_y - y).astype(np.float32), (-sine * moved_x).astype(np.float32), out=back[..., 1])
    return back


def head_mask(subject: Subject) -> FloatImage:
    """1 on the head with its hair, falling smoothly to 0 on neck and background, which stay."""
    axes = FaceAxes(subject.points_xy)
    face_uv = axes.to_face(grid((slice(0, FRAME_SIZE_WH[1]), slice(0, FRAME_SIZE_WH[0]))))
    radius = np.hypot(face_uv[..., 0] / 1.85, (face_uv[..., 1] + 0.05) / 2.05)
    t = np.clip((1.55 - radius) / 0.55, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def eye_window(points_xy: npt.NDArray[np.float64], eye: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns in which an eye's lids move."""
    opening_xy = points_xy[list(eye)]
    (x0, y0), (x1, y1) = np.floor(opening_xy.min(0)).astype(int), np.ceil(opening_xy.max(0)).astype(int)
    margin = round(0.35 * (x1 - x0))
    return slice(y0 - margin, y1 + margin + 1), slice(x0, x1 + 1)


def lid_shift(opening_xy: npt.NDArray[np.float64], window: tuple[slice, slice], closure: float) -> FloatImage:
    """Vertical shift that draws the upper lid down over the eye; the skin above stretches, the eye is covered."""
    x = np.arange(window[1].start, window[1].stop, dtype=np.float64)
    y = np.arange(window[0].start, window[0].stop, dtype=np.float64)[:, None]
    upper_xy = opening_xy[:9]
    lower_xy = np.vstack([opening_xy[8:], opening_xy[:1]])
    upper, lower = (_curve(line, x) for line in (upper_xy, lower_xy))
    eye_px = x[-1] - x[0]
    fold, lash = upper - 0.28 * eye_px, 0.08 * eye_px  # skin is taken from below the brow; lashes keep their width
    lid = upper + 0.86 * closure * (lower - upper)  # what stays open is the shadow between the lashes
    below = lower + 1.5
    stretched = fold + (y - fold) * (upper - lash - fold) / (lid - lash - fold)
    covered = below - (below - y) * (below - upper) / (below - lid)
    source = np.where(y <= lid - lash, stretched, np.where(y <= lid, y - lid + upper, covered))
    source = np.where((y <= fold) | (y >= below), y, source)
    return np.asarray(source - y, np.float32)


def _curve(line_xy: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    order = np.argsort(line_xy[:, 0])
    return np.interp(x, line_xy[order, 0], line_xy[order, 1])
