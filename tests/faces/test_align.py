import cv2
import numpy as np
import pytest

from mer_pipeline.faces.align import _GRID, align, face_to_unit, smooth_face, trusted_cells, unit_to_grid, warp
from mer_pipeline.faces.crop import crop
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.faces.landmarks import POINTS, FaceBox, Landmarks
from mer_pipeline.synth import synthesise
from mer_pipeline.video import open_footage
from studies.alignment import DISTURBED, measure_planted


@pytest.fixture(scope="module")
def portrait(raw):
    """A rendered neutral face and its landmarks."""
    image = open_footage(raw / "CASME2-RAW" / "sub01" / "EP02_01f").frame(0)
    with FaceMesh() as mesh:
        return image, mesh(image)[0]


def rigid(image, centre, shift, theta_deg, scale=1.0):
    """The image with its head moved: what is at p lands at centre + shift + scale R(theta) (p - centre)."""
    matrix = cv2.getRotationMatrix2D(centre, -theta_deg, scale)
    matrix[:, 2] += shift
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), matrix


def test_the_eyes_land_on_their_canonical_place(portrait):
    _, landmarks = portrait
    matrix = face_to_unit(landmarks)
    eyes = [landmarks.points_xy[[33, 133]].mean(0), landmarks.points_xy[[362, 263]].mean(0)]
    placed = [matrix @ [*eye, 1] for eye in eyes]
    assert np.allclose(placed, [(0.33, 0.37), (0.67, 0.37)])
    assert np.isclose(np.linalg.det(matrix[:, :2]), (0.34 / np.linalg.norm(eyes[1] - eyes[0])) ** 2)


@pytest.mark.parametrize(
    ("shift", "theta_deg", "scale"),
    [
        pytest.param((0.0, 0.0), 0.0, 1.0, id="still"),
        pytest.param((0.4, -0.3), 0.0, 1.0, id="below a pixel"),
        pytest.param((2.5, 1.5), 0.0, 1.0, id="shift"),
        pytest.param((-3.0, 0.2), 0.5, 1.0, id="shift and turn"),
        pytest.param((0.0, 0.0), 0.0, 1.005, id="growth"),
        pytest.param((1.0, -2.0), -1.0, 0.995, id="all three"),
        pytest.param((9.0, -4.0), 2.0, 1.02, id="a head that moves"),
    ],
)
def test_planted_head_drift_is_removed(portrait, shift, theta_deg, scale):
    image, landmarks = portrait
    centre = tuple(landmarks.points_xy.mean(0))
    moved, planted = rigid(image, centre, shift, theta_deg, scale)
    onset, apex = align({0: image, 5: moved}, 0, landmarks)
    assert (onset.frame, apex.frame, onset.drift_px, apex.registered) == (0, 5, 0.0, True)
    # Where points of the still face land in the crop, once from the onset and once from the moved frame.
    points = landmarks.points_xy
    after = cv2.transform(points[None], planted)[0]
    left_px = (cv2.transform(after[None], apex.to_unit) - cv2.transform(points[None], onset.to_unit))[0] * _GRID
    # The moved picture itself is exact to 1/32 pixel only, the step in which OpenCV places samples.
    assert np.quantile(np.linalg.norm(left_px, axis=1), 0.95) < 0.08


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([61, 291], id="mouth"),
        pytest.param([107, 336], id="inner brows"),
        pytest.param([168], id="bridge of the nose"),
        pytest.param([9, 66, 296, 105, 334], id="both brows and the forehead between"),
    ],
)
def test_motion_of_the_skin_is_not_taken_for_head_drift(portrait, points):
    image, landmarks = portrait
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    bump = np.zeros(image.shape[:2], np.float32)
    for x, y in landmarks.points_xy[points]:
        bump = np.maximum(bump, 3 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 16**2)).astype(np.float32))
    expressed = cv2.remap(image, columns, rows + bump, cv2.INTER_CUBIC)
    _, apex = align({0: image, 1: expressed}, 0, landmarks)
    assert apex.registered
    assert apex.drift_px < 0.06


def test_a_still_face_stays_the_same_picture(portrait):
    image, landmarks = portrait
    onset, apex = crop({0: image, 1: image}, align({0: image, 1: image.copy()}, 0, landmarks), 224)
    assert np.array_equal(onset, apex)


def test_registration_can_be_left_out(portrait):
    image, landmarks = portrait
    moved, _ = rigid(image, tuple(landmarks.points_xy.mean(0)), (2.0, 1.0), 0.0)
    for face in align({0: image, 1: moved}, 0, landmarks, registration="none"):
        assert np.array_equal(face.to_unit, face_to_unit(landmarks))
        assert (face.drift_px, face.registered) == (0.0, True)
    with pytest.raises(ValueError, match=r"registration must be one of .*, got 'rigid'"):
        align({0: image}, 0, landmarks, registration="rigid")


def test_a_head_that_keeps_moving_is_followed_to_either_side_of_the_onset(portrait):
    image, landmarks = portrait
    centre = tuple(landmarks.points_xy.mean(0))
    frames = {i: rigid(image, centre, (5.0 * (i - 3), 0.0), 0.0)[0] for i in range(7)}
    aligned = align(frames, 3, landmarks)
    assert [face.frame for face in aligned] == list(range(7))
    assert all(face.registered for face in aligned)
    scale = np.sqrt(np.linalg.det(face_to_unit(landmarks)[:, :2])) * _GRID
    assert np.allclose([face.drift_px for face in aligned], 5 * scale * np.abs(np.arange(7) - 3), atol=0.1)


def test_eyes_are_no_reference(portrait):
    _, landmarks = portrait
    to_unit = face_to_unit(landmarks)
    cells = trusted_cells(landmarks, to_unit).reshape(16, 16)
    for x, y in landmarks.eyes_xy @ to_unit[:, :2].T + to_unit[:, 2]:
        assert cells[int(16 * y), int(16 * x)] == 0
    assert cells[8, 8] == 1
    assert cells[15, 0] == 0


def test_what_was_planted_is_found_and_kept(tmp_path):
    """The table of `studies/alignment.py`, small: drift, noise and blinks at the strength it states."""
    raw = synthesise(tmp_path / "raw", subjects=2, clips=4, seed=3, options=DISTURBED)
    with FaceMesh() as mesh:
        measured = measure_planted(raw, mesh, usual_spotting=False)
    residual = {way: np.concatenate(parts) for way, parts in measured.residual_px.items()}
    assert len(measured.kept["stable"]) == 8
    assert measured.unregistered == 0
    assert np.median(residual["stable"]) < 0.1
    assert np.quantile(residual["stable"], 0.95) < 0.2
    assert np.quantile(residual["usual way"], 0.95) > 0.2
    assert min(measured.kept["stable"]) >= 0.95
    assert np.mean(np.abs(measured.apex_error["stable"]) <= 2) >= 0.9
    assert np.mean(np.abs(measured.onset_error["stable"]) <= 4) >= 0.8


def test_a_frame_without_anything_to_register_is_marked(portrait):
    image, landmarks = portrait
    _, apex = align({0: image, 1: np.full_like(image, 128)}, 0, landmarks)
    assert not apex.registered
    assert np.array_equal(apex.to_unit, face_to_unit(landmarks))


def test_warp_samples_once_and_exactly():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    to_unit = np.linalg.inv(np.vstack([unit_to_grid(32), [0, 0, 1]]))[:2]
    assert np.array_equal(warp(image, to_unit, 32), image)


def test_a_large_face_is_low_passed_before_it_is_shrunk():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    to_unit = np.linalg.inv(np.vstack([unit_to_grid(512), [0, 0, 1]]))[:2]
    assert warp(stripes, to_unit, 100)[10:-10, 10:-10].std() < 3


@pytest.mark.parametrize("width", [120, 300, 600, 1100])
@pytest.mark.parametrize("place", [(640, 360), (300, 500), (1279, 719), (-5000, 360), (640, 9000)], ids=str)
def test_a_face_of_any_size_is_smoothed_alike_wherever_it_is(width, place):
    # A gradient is what it was after any blur and any shrinking, and the last pixel stands for what is beyond.
    x, y = np.meshgrid(np.linspace(20, 200, 1280), np.linspace(0, 40, 720))
    image = np.repeat(np.rint(x + y).astype(np.uint8)[..., None], 3, 2)
    to_unit = np.array([[1 / width, 0, 0.5 - place[0] / width], [0, 1 / width, 0.5 - place[1] / width]])
    found = smooth_face(image, to_unit, 128)
    at = (np.arange(128) + 0.5) / 128 - 0.5
    there = (np.clip(middle + at * width, 0, side - 1) for middle, side in zip(place, (1280, 720), strict=True))
    column, row = np.meshgrid(*there)
    wrong = np.abs(found - (20 + column * 180 / 1279 + row * 40 / 719))
    assert wrong.max() < 3
    # Where the frame cuts the ramp off, its blur is another one; elsewhere rounding is all that is left.
    inside = (column > 60) & (column < 1220) & (row > 60) & (row < 660)
    assert not inside.any() or np.median(wrong[inside]) < 0.15


def test_crops_are_in_the_order_of_the_frames(portrait):
    image, landmarks = portrait
    aligned = align({3: image, 1: image}, 1, landmarks)
    assert [face.frame for face in aligned] == [1, 3]
    assert crop({1: image, 3: image}, aligned, 64).shape == (2, 64, 64, 3)


def test_contracts_say_what_they_expect():
    with pytest.raises(ValueError, match=rf"\({POINTS}, 2\), got \(5, 2\)"):
        Landmarks(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="x0 < x1"):
        FaceBox((2, 0, 1, 1))


def test_a_tightly_cropped_face_is_found(portrait):
    image, landmarks = portrait
    x0, y0, x1, y1 = (round(v) for v in landmarks.box.box_xyxy)
    with FaceMesh() as mesh:
        found = mesh(np.ascontiguousarray(image[y0:y1, x0:x1]))
    assert len(found) == 1
    assert np.abs(found[0].points_xy + np.array([x0, y0]) - landmarks.points_xy).mean() < 6
