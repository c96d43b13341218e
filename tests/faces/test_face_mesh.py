"""Face Mesh without MediaPipe: the points of MediaPipe 0.10.21."""

import numpy as np
import pytest

from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.faces.face_mesh.regions import Region, detected, distinct
from tests.faces.frames import FOUND, make_frames

FRAMES = {name: np.ascontiguousarray(frame) for name, frame in make_frames().items()}


@pytest.fixture(scope="module")
def mesh():
    with FaceMesh() as found:
        yield found


@pytest.mark.parametrize("name", FRAMES)
def test_the_points_are_those_of_mediapipe_0_10_21(mesh, name):
    expected, found = np.load(FOUND)[name], mesh(FRAMES[name])
    assert len(found) == len(expected) == {"two faces": 2, "no face": 0}.get(name, 1)
    for face, points_xy in zip(found, expected, strict=True):
        apart_px = np.linalg.norm(face.points_xy - points_xy, axis=1)
        assert apart_px.mean() < 0.01
        assert apart_px.max() < 0.1


def test_an_array_that_is_a_view_of_another_will_do(mesh):
    whole = FRAMES["one face"]
    (face,) = mesh(whole[:, ::-1][:, ::-1])
    assert np.array_equal(face.points_xy, mesh(whole)[0].points_xy)


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_faces_are_found_than_asked_for(most):
    assert len(FaceMesh(most)(FRAMES["two faces"])) == most


def test_a_tracked_face_is_searched_for_where_it_was(monkeypatch):
    searched = []
    detect = FaceMesh._detect
    monkeypatch.setattr(FaceMesh, "_detect", lambda self, canvas: searched.append(1) or detect(self, canvas))
    still = FaceMesh()
    tracking = FaceMesh(1, tracking=True)
    canvas = np.zeros((400, 400, 3), np.uint8)
    for step in range(5):
        canvas[:] = 0
        canvas[10 * step : 280 + 10 * step, 4 * step : 280 + 4 * step] = FRAMES["one face"]
        searched.clear()
        (face,) = tracking(canvas)
        assert len(searched) == (step == 0)
        eyes = np.linalg.norm(np.subtract(*face.eyes_xy))
        assert np.linalg.norm(face.points_xy - still(canvas)[0].points_xy, axis=1).mean() < 0.02 * eyes
    assert tracking(FRAMES["no face"]) == []
    searched.clear()
    assert len(tracking(FRAMES["one face"])) == 1
    assert searched == [1]


def test_a_region_is_level_with_the_eyes_and_holds_the_face():
    region = Region.around(np.array([10.0, 20.0]), np.array([30.0, 60.0]), np.array([[15.0, 30.0], [25.0, 40.0]]))
    assert (region.center_xy, region.side) == ((20.0, 40.0), 60.0)
    assert region.angle == pytest.approx(np.pi / 4)
    level, corner = region.to_picture(np.array([[1.0, 0.5], [0.5, 0.5]]))
    assert level == pytest.approx((20 + 30 / np.sqrt(2), 40 + 30 / np.sqrt(2)))
    assert corner == pytest.approx((20, 40))


def test_later_regions_push_out_those_they_overlap():
    first, beside, same = Region((10, 10), 10), Region((30, 10), 10), Region((11, 10), 10)
    assert distinct([first, beside, same]) == [beside, same]


def test_boxes_of_one_face_become_their_weighted_mean():
    boxes = np.zeros((4, 8, 2), np.float32)
    boxes[:, 0] = [(64, 64), (68, 64), (20, 20), (100, 100)]  # middles; the anchors are at 0
    boxes[:, 1] = [(40, 40), (40, 40), (10, 10), (-4, 10)]  # sizes; the last makes no sense
    logits = np.array([0.0, np.log(3), -1.0, 5.0], np.float32)  # probabilities 0.5, 0.75, 0.27, 0.99
    (face,) = detected(boxes, logits, np.zeros((4, 2)), 128)
    middle_x = (0.5 * 64 + 0.75 * 68) / 1.25
    assert face[:2] * 128 == pytest.approx(np.array([(middle_x - 20, 44), (middle_x + 20, 84)]))
