"""Films a planned clip or long video: every frame is one resampling of the subject's base picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Image, Mask, Matrix
from mer_pipeline.synth import imaging as pictures
from mer_pipeline.synth.action_units import EYE_LEFT, EYE_RIGHT, FaceAxes, displacement_field
from mer_pipeline.synth.imaging import Frames
from mer_pipeline.synth.long_plan import LongPlan, PlannedEvent
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.plan import ClipPlan, Drift, contraction, lid_closure
from mer_pipeline.synth.subjects import FRAME_SIZE_WH, OVERSAMPLING, Subject

# Lamps on mains of 50 Hz flicker at 100 Hz, half of a 200 fps camera: a little off, so that it beats.
_FLICKER_HZ = 99.6
_NOISE_MARGIN = 64
Area = tuple[slice, slice]  # rows and columns
WHOLE: Area = (slice(0, FRAME_SIZE_WH[1]), slice(0, FRAME_SIZE_WH[0]))
AT_REST = Drift((0.0, 0.0), 0.0, 1.0)
_MARGIN_PX = 25  # how far the face can be from where it is at rest in a long video, beside its drift
_SPEAKS, _SPEAKS_PX = "25+26", 4.0  # lips part and the jaw drops, in pixels of the frame
_REACH_PX = 70  # the greatest drift, turn and growth together move no point of the face further


@dataclass(frozen=True)
class FilmCamera:
    """What the camera adds to a scene.

    Attributes:
        fps: Frames per second.
        flicker: Relative amplitude of the lamps' flicker.
        noise: (480 + 64, 640 + 64, 3) int16, from which each frame's noise is cut; None for no noise.
    """

    fps: float
    flicker: float
    noise: npt.NDArray[np.int16] | None


def make_camera(options: Options, fps: float, seed: tuple[int, ...]) -> FilmCamera:
    """Draw the noise once: drawing it for every frame would take longer than rendering the frame."""
    if options.noise == 0:
        return FilmCamera(fps, options.flicker, None)
    rng = np.random.default_rng(seed)
    shape = (FRAME_SIZE_WH[1] + _NOISE_MARGIN, FRAME_SIZE_WH[0] + _NOISE_MARGIN, 3)
    noise = options.noise * rng.standard_normal(shape, dtype=np.float32)
    return FilmCamera(fps, options.flicker, np.rint(noise).astype(np.int16))


def render(subject: Subject, plan: ClipPlan | LongPlan, camera: FilmCamera, seed: Sequence[int]) -> Frames:
    """The frames of a clip or a long video, (480, 640, 3) uint8 RGB, in order; one at a time is in memory."""
    scene = ClipScene(subject, plan) if isinstance(plan, ClipPlan) else LongScene(subject, plan)
    rng = np.random.default_rng(seed)
    for frame in range(plan.n_frames):
        yield film(scene.at(frame), frame, plan.flicker_phase, camera, rng)


def film(picture: Image, frame: int, flicker_phase: float, camera: FilmCamera, rng: np.random.Generator) -> Image:
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


class Scene:
    """The still picture of a subject and what moves in it, in pixels of a frame.

    The face moves first and the head carries it: the head's movement is undone, and the face is looked up where it then
    is.

    Args:
        subject: Who is filmed.
        moving: Rows and columns outside of which nothing moves.
        face: Rows and columns outside of which the skin and the lids do not move by themselves.
        reach: Rows and columns within `moving` where the face can be, wherever the head has gone.
    """

    def __init__(self, subject: Subject, moving: Area, face: Area, reach: Area) -> None:
        self._subject, self._moving, self._face, self._reach = subject, moving, face, reach
        self._neutral = sample(subject.base_rgb, grid(WHOLE))
        self._grid = grid(moving)
        self._face_xy = np.array([face[1].start, face[0].start], np.float32)

    def _picture(self, back_xy: FloatImage | None, face_xy: FloatImage | None) -> Image:
        """(480, 640, 3) uint8 RGB without noise.

        Args:
            back_xy: The way back from where the head is to where it was, for the moving window; None where it rests.
            face_xy: Where the face's pixels come from, relative to where they are, for its window; None at rest.
        """
        if back_xy is None and face_xy is None:
            return self._neutral
        source_xy = self._grid.copy()
        if back_xy is not None:
            source_xy += back_xy
        if face_xy is not None and back_xy is not None:
            where_xy = source_xy[self._reach]
            source_xy[self._reach] += pictures.remap(face_xy, where_xy - self._face_xy, cv2.INTER_LINEAR)
        elif face_xy is not None:
            source_xy += face_xy[_inside(self._moving, self._face)]
        picture = self._neutral.copy()
        picture[self._moving] = sample(self._subject.base_rgb, source_xy)
        return picture

    def _face_shift(self, pulls: Iterable[tuple[FloatImage, float]], closures: Iterable[float]) -> FloatImage:
        """Where the face's pixels come from, relative to where they are: displacements in part, and falling lids."""
        rows, columns = self._face
        shift_xy = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 2), np.float32)
        for displacement_xy, part in pulls:
            shift_xy -= np.float32(part) * displacement_xy
        for closure in closures:
            for eye in (EYE_RIGHT, EYE_LEFT):
                window = eye_window(self._subject.points_xy, eye)
                opening_xy = self._subject.points_xy[list(eye)]
                shift_xy[_inside(window, self._face)][..., 1] += lid_shift(opening_xy, window, closure)
        return shift_xy


class ClipScene(Scene):
    """A planned clip: one expression, a slow drift, perhaps a blink."""

    def __init__(self, subject: Subject, plan: ClipPlan) -> None:
        self._plan = plan
        field = displacement_field(plan.combination.aus, subject.points_xy, FRAME_SIZE_WH, plan.strengths)
        self._skin_xy = np.asarray(plan.amplitude_px * field, np.float32)
        head = head_mask(subject)
        drifts = plan.drift_limit != AT_REST
        moves = (np.abs(self._skin_xy).max(-1) > 0) | ((head > 0) & drifts)
        if plan.blink is not None:
            for eye in (EYE_RIGHT, EYE_LEFT):
                moves[eye_window(subject.points_xy, eye)] = True
        moving = _bounds(moves)
        super().__init__(subject, moving, WHOLE, _inside(_around(subject.points_xy, _REACH_PX), moving))
        self._head = head[moving][..., None]

    def at(self, frame: int) -> Image:
        """A frame without light and noise, (480, 640, 3) uint8 RGB."""
        plan = self._plan
        part = contraction(frame, plan.onset_frame, plan.apex_frame, plan.offset_frame)
        closure, drift = lid_closure(frame, plan.blink), plan.drift(frame)
        back_xy = None if drift == AT_REST else self._head * undo(drift, self._moving, self._subject.center_xy)
        moved = part != 0 or closure != 0
        face_xy = self._face_shift([(self._skin_xy, part)], [closure] if closure > 0 else []) if moved else None
        return self._picture(back_xy, face_xy)


class LongScene(Scene):
    """A planned long video: expressions, blinks, turns of the head, and its sway."""

    def __init__(self, subject: Subject, plan: LongPlan) -> None:
        self._plan, self._head = plan, head_mask(subject)
        face = _around(subject.points_xy, _MARGIN_PX + 2 * round(plan.limits[0]))
        moving = _bounds(self._head > 0) if plan.sways else face
        super().__init__(subject, moving, face, _inside(face, moving))
        self._head, self._depth = self._head[moving], (self._head * _depth(subject))[moving]
        self._field: tuple[PlannedEvent, FloatImage] | None = None

    def at(self, frame: int) -> Image:
        """A frame without light and noise, (480, 640, 3) uint8 RGB."""
        events = (event for event in self._plan.events if event.start <= frame <= event.end)
        now = [(event, part) for event in events if (part := event.part(frame)) > 0]
        turns = [(event, part) for event, part in now if event.kind == "turn"]
        closures = [part for event, part in now if event.kind == "blink"]
        pulls = [(self._skin(event), part) for event, part in now if event.kind in ("micro", "macro")]
        spoken = [(event, self._plan.parted(event, frame)) for event, _ in now if event.kind == "speech"]
        pulls += [(self._skin(replace(event, aus=_SPEAKS, amount=_SPEAKS_PX)), part) for event, part in spoken]
        back_xy = self._head_shift(frame, turns) if self._plan.sways else None
        picture = self._picture(back_xy, self._face_shift(pulls, closures) if pulls or closures else None)
        for event, part in now:
            if event.kind == "hand":
                _lay_hand(picture, self._subject, part)
        return picture

    def _head_shift(self, frame: int, turns: list[tuple[PlannedEvent, float]]) -> FloatImage:
        """Way back from where the head is to where it was at rest, for the moving window."""
        back = self._head[..., None] * undo(self._plan.drift(frame), self._moving, self._subject.center_xy)
        for event, part in turns:
            angle = np.deg2rad(part * event.amount)
            axis = 1 if event.pitch else 0
            # A point at depth z moves by z sin(angle), and what lies aside by (cos(angle) - 1) of that.
            aside = self._grid[..., axis] - np.float32(self._subject.center_xy[axis])
            back[..., axis] -= np.float32(np.sin(angle)) * self._depth
            back[..., axis] += self._head * np.float32(1 - np.cos(angle)) * aside
        return np.asarray(back, np.float32)

    def _skin(self, event: PlannedEvent) -> FloatImage:
        """Displacement at the apex of an expression within the face's window; only that of the last one is kept."""
        if self._field is None or self._field[0] != event:
            field = displacement_field(event.aus, self._subject.points_xy, FRAME_SIZE_WH, event.strengths)
            self._field = event, np.ascontiguousarray(field[self._face]) * np.float32(event.amount)
        return self._field[1]


def _lay_hand(picture: Image, subject: Subject, part: float) -> None:
    """Lay a hand over the mouth, as far as it has come from below: an oval of the cheek's colour with fingers."""
    (left, top), (right, bottom) = subject.points_xy.min(0), subject.points_xy.max(0)
    width, mouth = float(right - left), subject.points_xy[13]
    skin = subject.points_xy[205].round().astype(int)
    colour = picture[skin[1] - 4 : skin[1] + 5, skin[0] - 4 : skin[0] + 5].reshape(-1, 3).mean(0) * 0.93
    y = float(mouth[1]) + (1 - part) * (float(bottom - top) * 0.9)
    for finger in range(4):
        middle = (round(float(mouth[0]) - 0.3 * width + 0.2 * finger * width), round(y))
        axes = (round(0.115 * width), round(0.34 * width))
        cv2.ellipse(picture, middle, axes, 8.0, 0.0, 360.0, tuple(colour.tolist()), -1, cv2.LINE_AA)
        cv2.ellipse(picture, middle, axes, 8.0, 0.0, 360.0, tuple((0.8 * colour).tolist()), 2, cv2.LINE_AA)


def _inside(window: Area, whole: Area) -> Area:
    """The part of a window (rows, columns) that lies in another, as seen from its corner."""
    rows, columns = (slice(max(0, w.start - o.start), w.stop - o.start) for w, o in zip(window, whole, strict=True))
    return rows, columns


def _around(points_xy: Matrix, margin: int) -> Area:
    (left, top), (right, bottom) = points_xy.min(0), points_xy.max(0)
    height, width = FRAME_SIZE_WH[1], FRAME_SIZE_WH[0]
    rows = slice(max(0, int(top) - margin), min(height, int(bottom) + margin))
    return rows, slice(max(0, int(left) - margin), min(width, int(right) + margin))


def sample(base_rgb: Image, source_xy: FloatImage) -> Image:
    """Look up points of a frame, (H, W, 2), in the base picture of twice its size."""
    map_xy = (source_xy + np.float32(0.5)) * np.float32(OVERSAMPLING) - np.float32(0.5)
    return pictures.remap(base_rgb, map_xy)


def grid(window: Area) -> FloatImage:
    """(H, W, 2) x, y of every pixel of a window (rows, columns)."""
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32)
    y = np.arange(rows.start, rows.stop, dtype=np.float32)
    return np.stack(np.meshgrid(x, y), axis=-1)


def _bounds(moves: Mask) -> Area:
    rows, columns = np.flatnonzero(moves.any(1)), np.flatnonzero(moves.any(0))
    if not rows.size:
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def undo(drift: Drift, window: Area, center_xy: tuple[float, float]) -> FloatImage:
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
    face_uv = axes.to_face(grid(WHOLE))
    radius = np.hypot(face_uv[..., 0] / 1.85, (face_uv[..., 1] + 0.05) / 2.05)
    t = np.clip((1.55 - radius) / 0.55, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def eye_window(points_xy: Matrix, eye: tuple[int, ...]) -> Area:
    """Rows and columns in which an eye's lids move."""
    opening_xy = points_xy[list(eye)]
    (x0, y0), (x1, y1) = np.floor(opening_xy.min(0)).astype(int), np.ceil(opening_xy.max(0)).astype(int)
    margin = round(0.35 * (x1 - x0))
    return slice(y0 - margin, y1 + margin + 1), slice(x0, x1 + 1)


def lid_shift(opening_xy: Matrix, window: Area, closure: float) -> FloatImage:
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


def _curve(line_xy: Matrix, x: Matrix) -> Matrix:
    order = np.argsort(line_xy[:, 0])
    return np.asarray(np.interp(x, line_xy[order, 0], line_xy[order, 1]))


def _depth(subject: Subject) -> FloatImage:
    """(480, 640) how far each point of the head stands before its axis, in pixels: an ellipsoid with a nose."""
    axes = FaceAxes(subject.points_xy)
    face_uv = axes.to_face(grid(WHOLE)).astype(np.float32)
    u, v = face_uv[..., 0], face_uv[..., 1]
    skull = 1.5 * np.sqrt(np.clip(1 - (u / 1.9) ** 2 - ((v - 0.3) / 2.4) ** 2, 0, None))
    nose = 0.35 * np.exp(-0.5 * ((u / 0.16) ** 2 + ((v - 0.6) / 0.22) ** 2))
    # It turns about the middle of the face, which stays where it is: a head that turns is held up by its neck.
    return np.asarray(pictures.blur((skull + nose - 1.0).astype(np.float32), 4) * axes.pupils_px, np.float32)
