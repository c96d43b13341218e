"""What is planted is what moves."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mer_pipeline.synth.action_units import ACTION_UNITS, FaceAxes, displacement_field
from mer_pipeline.synth.emotions import Combination
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.plan import ClipPlan, draw_clip
from mer_pipeline.synth.scene import make_camera, render
from mer_pipeline.synth.subjects import FRAME_SIZE_WH, Subject

Frames = npt.NDArray[np.uint8]
BROW_RIGHT, BROW_LEFT, CORNER_RIGHT, CORNER_LEFT, CHIN = 105, 334, 61, 291, 175


def plan_of(aus: str, options: Options, seed: int = 0) -> ClipPlan:
    return draw_clip("any", {"any": (Combination(aus, 1, 1),)}, options, (seed, 0, 0))


def film(subject: Subject, plan: ClipPlan, options: Options) -> Frames:
    return np.stack(list(render(subject, plan, make_camera(options, 200.0, (0,)), (*plan.seed, 1))))


def flow(before: Frames, after: Frames) -> npt.NDArray[np.float32]:
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    return dis.calc(grey[0], grey[1], None)


@pytest.mark.parametrize("aus", ["12", "1+2", "4+7+L10", "14+17"])
def test_nothing_moves_until_the_onset_and_most_at_the_apex(subject: Subject, aus: str) -> None:
    options = Options(noise=0)
    plan = plan_of(aus, options)
    frames = film(subject, plan, options)
    energy = np.abs(frames.astype(int) - frames[plan.onset_frame]).sum((1, 2, 3))
    assert len(frames) == plan.n_frames
    assert not energy[: plan.onset_frame + 1].any()
    assert not energy[plan.offset_frame :].any()
    assert energy.argmax() == plan.apex_frame
    assert (np.diff(energy[plan.onset_frame : plan.apex_frame + 1]) >= 0).all()


@pytest.mark.parametrize("amplitude_px", [0.8, 1.5, 3.0])
@pytest.mark.parametrize("aus", ["12", "1+2", "4+9"])
def test_flow_finds_the_planted_amplitude(subject: Subject, aus: str, amplitude_px: float) -> None:
    options = Options(noise=0, amplitude_px=(amplitude_px, amplitude_px))
    plan = plan_of(aus, options)
    frames = film(subject, plan, options)
    planted = amplitude_px * displacement_field(aus, subject.points_xy, FRAME_SIZE_WH, plan.strengths)
    strong = np.hypot(planted[..., 0], planted[..., 1]) > 0.5 * amplitude_px
    found = flow(frames[plan.onset_frame], frames[plan.apex_frame])
    share = (found[strong] * planted[strong]).sum() / (planted[strong] ** 2).sum()
    assert share == pytest.approx(1, abs=0.15)


FIELDS = [
    pytest.param("12", (CORNER_RIGHT, CORNER_LEFT), (BROW_RIGHT, BROW_LEFT), id="smile moves corners, not brows"),
    pytest.param("R12", (CORNER_RIGHT,), (CORNER_LEFT, BROW_RIGHT), id="right smile"),
    pytest.param("L12", (CORNER_LEFT,), (CORNER_RIGHT, BROW_LEFT), id="left smile"),
    pytest.param("1+2", (BROW_RIGHT, BROW_LEFT), (CORNER_RIGHT, CORNER_LEFT, CHIN), id="brows"),
    pytest.param("L2", (BROW_LEFT,), (BROW_RIGHT, CORNER_LEFT), id="left brow"),
    pytest.param("17", (171, 396), (BROW_RIGHT, BROW_LEFT), id="chin"),
]


@pytest.mark.parametrize(("aus", "moving", "still"), FIELDS)
def test_each_unit_moves_its_own_landmarks(
    subject: Subject, aus: str, moving: tuple[int, ...], still: tuple[int, ...]
) -> None:
    field = displacement_field(aus, subject.points_xy, FRAME_SIZE_WH)
    lengths = np.hypot(field[..., 0], field[..., 1])
    at = {i: lengths[round(subject.points_xy[i, 1]), round(subject.points_xy[i, 0])] for i in (*moving, *still)}
    assert all(at[i] > 0.5 for i in moving), at
    assert all(at[i] < 0.02 for i in still), at


@pytest.mark.parametrize("number", sorted(ACTION_UNITS))
def test_fields_are_of_unit_length_smooth_and_inside_the_face(subject: Subject, number: int) -> None:
    field = displacement_field(str(number), subject.points_xy, FRAME_SIZE_WH)
    lengths = np.hypot(field[..., 0], field[..., 1])
    assert lengths.max() == pytest.approx(1)
    # At 3 px the picture would fold where a field changes by 1 a pixel.
    assert 3 * max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 0.75
    rows, columns = np.nonzero(lengths)
    low, high = subject.points_xy.min(0) - 25, subject.points_xy.max(0) + 25
    assert low[0] < columns.min() <= columns.max() < high[0]
    assert low[1] < rows.min() <= rows.max() < high[1]


UP, DOWN, OUT = (0, -1), (0, 1), (1, 0)


@pytest.mark.parametrize(
    ("aus", "landmark", "towards_xy"),
    [
        pytest.param("1", 336, UP, id="inner brow up"),
        pytest.param("2", BROW_LEFT, UP, id="outer brow up"),
        pytest.param("4", 336, (-0.5, 0.8), id="left brow down and in"),
        pytest.param("L12", CORNER_LEFT, (0.75, -0.65), id="left corner up and out"),
        pytest.param("R12", CORNER_RIGHT, (-0.75, -0.65), id="right corner up and out"),
        pytest.param("14", CORNER_LEFT, OUT, id="dimple out"),
        pytest.param("15", CORNER_LEFT, DOWN, id="corner down"),
        pytest.param("10", 269, UP, id="upper lip up"),
        pytest.param("17", 396, UP, id="chin up"),
        pytest.param("25", 314, DOWN, id="lower lip down"),
    ],
)
def test_directions(subject: Subject, aus: str, landmark: int, towards_xy: tuple[float, float]) -> None:
    field = displacement_field(aus, subject.points_xy, FRAME_SIZE_WH)
    x, y = np.rint(subject.points_xy[landmark]).astype(int)
    moved = field[y, x] / np.hypot(*field[y, x])
    assert moved @ np.array(towards_xy) / np.hypot(*towards_xy) > 0.9


def test_drift_is_the_transform_that_the_truth_tells(subject: Subject) -> None:
    options = Options(noise=0, amplitude_px=(0, 0), drift_px=6, drift_deg=3, drift_scale=0.02)
    plan = plan_of("12", options, seed=2)
    frames = film(subject, plan, options)
    drift, pivot = plan.drift(plan.apex_frame), np.array(subject.center_xy)
    turn = np.deg2rad(drift.theta_deg)
    linear = drift.scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    forward = np.column_stack([linear, pivot + drift.shift_xy_px - linear @ pivot])
    onset, apex = frames[plan.onset_frame], frames[plan.apex_frame]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    undone = cv2.warpAffine(apex, forward, FRAME_SIZE_WH, flags=flags)
    (x0, y0), (x1, y1) = np.rint(subject.points_xy.min(0)).astype(int), np.rint(subject.points_xy.max(0)).astype(int)
    face = slice(y0, y1), slice(x0, x1)
    left = np.abs(flow(onset, undone)[face])
    assert left.mean() < 0.05
    assert np.abs(flow(onset, apex)[face]).mean() > 0.5, "the head has drifted"
    corner = slice(0, 30), slice(0, 30)
    assert (frames[:, corner[0], corner[1]] == onset[corner]).all(), "the background stays"
    before = flow(onset, frames[plan.onset_frame])
    assert not before.any()


def test_drift_is_zero_at_the_onset_and_within_its_limit() -> None:
    options = Options(drift_px=4, drift_deg=2, drift_scale=0.02)
    for seed in range(20):
        plan = plan_of("12", options, seed)
        assert plan.drift(plan.onset_frame).shift_xy_px == (0, 0)
        drifts = [plan.drift(frame) for frame in range(plan.n_frames)]
        assert 1.9 < max(np.hypot(*d.shift_xy_px) for d in drifts) <= 4 + 1e-9
        assert max(abs(d.theta_deg) for d in drifts) <= 2 + 1e-9
        assert max(abs(d.scale - 1) for d in drifts) <= 0.02 + 1e-9


def test_a_blink_shuts_both_eyes_and_moves_nothing_else(subject: Subject) -> None:
    options = Options(noise=0, amplitude_px=(0, 0), blink_share=1)
    plan = plan_of("12", options)
    assert plan.blink is not None
    frames = film(subject, plan, options).astype(int)
    assert (frames[plan.blink.start_frame] == frames[plan.blink.end_frame]).all()
    changed = np.abs(frames[plan.blink.frame] - frames[plan.blink.end_frame]).sum(-1)
    for pupil in (468, 473):
        x, y = np.rint(subject.points_xy[pupil]).astype(int)
        assert changed[y - 2 : y + 3, x - 2 : x + 3].mean() > 30
    mouth_y = round(subject.points_xy[1, 1])
    assert not changed[mouth_y:].any()
    assert 20 <= plan.blink.end_frame - plan.blink.start_frame <= 30, "100 to 150 ms"


def test_noise_and_flicker_have_the_stated_strength(subject: Subject) -> None:
    options = Options(noise=2, amplitude_px=(0, 0))
    frames = film(subject, plan_of("12", options), options)[:6, :30, :30].astype(float)
    assert np.diff(frames, axis=0).std() == pytest.approx(2 * np.sqrt(2), rel=0.1)
    options = Options(noise=0, flicker=0.05, amplitude_px=(0, 0))
    means = film(subject, plan_of("12", options), options).mean((1, 2, 3))
    assert 0.02 < np.ptp(means) / means.mean() / 2 <= 0.055


def test_the_mirrored_face_still_knows_left_from_right(portraits: tuple) -> None:
    for portrait in portraits:
        assert FaceAxes(portrait.points_xy).left_xy[0] > 0.99
