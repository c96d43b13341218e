import dataclasses

import cv2
import numpy as np
import pytest

from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.faces import dlib as detect_dlib
from mer_pipeline.faces.align import face_to_unit, trusted_cells, warp
from mer_pipeline.faces.detectors import Detector, choose_detector
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.faces.follow import follow, spans
from mer_pipeline.faces.landmarks import Landmarks, whole_picture
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.video import open_footage
from tests.faces.dlib_predictor import train_predictor
from tests.faces.frames import make_frames


@pytest.fixture(scope="module")
def predictor(raw, tmp_path_factory):
    return train_predictor(raw, tmp_path_factory.mktemp("dlib") / "p68.dat")


@pytest.fixture(scope="module")
def onset(raw):
    clip = read_dataset(raw).clips[0]
    return open_footage(clip.source).frame(clip.onset_frame)


@pytest.fixture(scope="module")
def mesh_face(onset):
    with FaceMesh() as mesh:
        return mesh(onset)[0]


@pytest.fixture(scope="module")
def real_frames(shared):
    footage = open_footage(shared / "clips" / "pexels_face.mp4")
    return [np.ascontiguousarray(footage.frame(index)[::2, ::2]) for index in (0, 200, 400)]


@pytest.fixture
def frames(request):
    """Synthetic frames, or real ones, whose faces are about as large as those: 110 to 140 px wide."""
    if request.param == "real":
        return request.getfixturevalue("real_frames")
    made = make_frames()
    return [np.ascontiguousarray(made[name]) for name in ("one face", "the other person", "leaning")]


# How far from Face Mesh another detector may be, in px: on average over all points where it has the same, and in the
# middles of the eyes. This dlib predictor is a small one that was trained on a few synthetic frames.
@pytest.mark.parametrize("frames", ["synthetic", pytest.param("real", marks=pytest.mark.shared)], indirect=True)
@pytest.mark.parametrize(("name", "points_px", "eyes_px"), [("mediapipe-tasks", 0.05, 0.05), ("dlib", None, 20)])
def test_the_detectors_agree(predictor, frames, name, points_px, eyes_px):
    with Detector().open() as mesh, Detector(name, predictor if name == "dlib" else None).open() as other:
        for frame in frames:
            (expected,), (found,) = mesh(frame), other(frame)
            assert np.linalg.norm(found.eyes_xy - expected.eyes_xy, axis=1).max() < eyes_px
            if points_px is not None:
                assert np.linalg.norm(found.points_xy - expected.points_xy, axis=1).mean() < points_px


# The small predictor has learnt frames only, so of a crop it is asked less.
@pytest.mark.parametrize(
    ("crop", "error"), [pytest.param(False, 0.06, id="frame"), pytest.param(True, 0.3, id="tight crop")]
)
def test_dlib_places_the_face_as_face_mesh_does(predictor, onset, mesh_face, crop, error):
    x0, y0, x1, y1 = (round(edge) for edge in mesh_face.box.box_xyxy) if crop else (0, 0, 640, 480)
    with Detector("dlib", predictor).open() as faces:
        (face,) = faces(onset[y0:y1, x0:x1])
    assert (face.scheme, face.points_xy.shape) == ("dlib68", (68, 2))
    eye_distance = np.linalg.norm(np.diff(mesh_face.eyes_xy, axis=0))
    assert np.abs(np.add(face.eyes_xy, (x0, y0)) - mesh_face.eyes_xy).max() < error * eye_distance
    middles = face.eye_openings_xy.mean(1)
    assert np.abs(middles - face.eyes_xy).max() < 0.2 * eye_distance  # the outline belongs to its corners
    assert trusted_cells(face, face_to_unit(face)).sum() > 40


def test_a_set_is_preprocessed_with_dlib(raw, predictor, tmp_path):
    annotations = read_dataset(raw)
    summary = preprocess(annotations, tmp_path, Parameters(size=32, detector=choose_detector("dlib", predictor)))
    assert (summary.ok, summary.failures) == (15, [])
    table = read_manifests(tmp_path)
    assert set(table["detector"]) == {"dlib"}
    assert table["registered"].all()
    # Another detector finds anew, and nothing is mixed up.
    again = preprocess(annotations, tmp_path, Parameters(size=32, detector=choose_detector("none")))
    assert again.stages["keyframes"]["cached"] == again.stages["detect"]["computed"] == 15


def not_68(folder):
    (folder / "p.dat").write_bytes(b"nothing that dlib wrote")
    return folder / "p.dat"


BAD_CHOICES = [
    pytest.param("dlib", lambda at: None, {}, ("68 points", "shape_predictor_68_face_landmarks.dat", "dlib.net",
                 "300-W", "commercial"), id="dlib without a predictor"),
    pytest.param("dlib", lambda at: at / "absent.dat", {}, ("absent.dat: no such file", "commercial"), id="absent"),
    pytest.param("dlib", lambda at: None, {"MER_DLIB_PREDICTOR": "/absent.dat"}, ("/absent.dat: no such file",),
                 id="absent file in the environment"),
    pytest.param("none", not_68, {}, ("--predictor belongs to --detector dlib",), id="a predictor for nobody"),
    pytest.param("mediapipe", not_68, {}, ("--predictor belongs to --detector dlib, not to face-mesh",), id="old name"),
    pytest.param("hog", lambda at: None, {}, ("no detector is called 'hog'", "face-mesh, mediapipe-"), id="unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "environment", "parts"), BAD_CHOICES)
def test_a_bad_choice_says_what_to_do(name, make, environment, parts, tmp_path):
    with pytest.raises(MerError) as error:
        choose_detector(name, make(tmp_path), environment)
    for part in parts:
        assert part in str(error.value)


def test_a_file_that_is_no_predictor_is_refused(tmp_path):
    chosen = choose_detector("dlib", not_68(tmp_path))
    with pytest.raises(MerError, match="not a predictor that dlib can read"), chosen.open():
        pass


def test_the_environment_names_the_predictor_and_dlib_may_be_absent(tmp_path, monkeypatch):
    file = not_68(tmp_path)
    assert choose_detector("dlib", None, {"MER_DLIB_PREDICTOR": str(file)}).file == file
    monkeypatch.setattr(detect_dlib.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MerError, match=r"pip install 'mer-pipeline\[dlib\]'"):
        choose_detector("dlib", file)


def test_a_cropped_picture_is_the_unit_square():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (face,) = whole_picture(image)
    assert np.allclose(face_to_unit(face), [[1 / 64, 0, 0.5 / 64], [0, 1 / 64, 0.5 / 64]])
    assert np.array_equal(warp(image, face_to_unit(face), 64), image)
    assert trusted_cells(face, face_to_unit(face)).min() == 0  # the eyes, which blink


def test_a_cropped_picture_that_is_not_square_keeps_its_shape():
    image = np.zeros((80, 60, 3), np.uint8)
    to_unit = face_to_unit(whole_picture(image)[0])
    corners = np.array([(-0.5, -0.5), (59.5, 79.5)]) @ to_unit[:, :2].T + to_unit[:, 2]
    assert np.allclose(corners, [(0.125, 0), (0.875, 1)])


def face_at(x, y, side):
    rng = np.random.default_rng(7)
    points = rng.uniform(0, 1, (478, 2))
    points[:2] = (0, 0), (1, 1)
    return Landmarks(points * side + (x, y))


BIG, SMALL = face_at(0, 0, 100), face_at(300, 50, 60)
FOLLOWED = [
    pytest.param({0: [BIG], 9: [BIG]}, BIG, (), 1, id="one face"),
    pytest.param({0: [BIG, SMALL], 9: [BIG, SMALL]}, BIG, (), 2, id="the larger of two"),
    pytest.param({0: [BIG, SMALL], 9: [SMALL]}, SMALL, (), 2, id="the one that persists"),
    pytest.param({0: [BIG], 4: [], 5: [], 9: [face_at(8, 3, 100)]}, BIG, (4, 5), 1, id="lost midway"),
    pytest.param({0: [BIG], 9: [face_at(500, 0, 100)]}, BIG, (9,), 2, id="somebody else takes over"),
]


@pytest.mark.parametrize(("found", "face", "gap", "faces"), FOLLOWED)
def test_one_face_is_followed(found, face, gap, faces):
    followed = follow(found)
    assert np.array_equal(followed.landmarks[max(0, *followed.landmarks) if face is not BIG else 0].points_xy,
                          face.points_xy)  # fmt: skip
    assert (followed.gap_frames, followed.faces) == (gap, faces)
    assert ("the largest that persists" in " ".join(followed.warnings)) == (faces > 1)
    assert (f"lost in frames {spans(gap)}" in " ".join(followed.warnings)) == bool(gap)


def test_no_face_at_all():
    assert follow({0: [], 1: []}) is None


def write_clip(folder, frames):
    folder.mkdir()
    for number, frame in enumerate(frames, 1):
        cv2.imwrite(str(folder / f"img{number}.png"), frame[..., ::-1])
    return folder


def test_two_people_get_a_warning_and_a_lost_apex_fails(raw, onset, tmp_path):
    annotations = read_dataset(raw)
    both = np.hstack([onset, cv2.copyMakeBorder(cv2.resize(onset, (400, 300)), 90, 90, 0, 0, cv2.BORDER_REPLICATE)])
    nobody = np.full_like(onset, 90)
    at = {"onset_frame": 0, "apex_frame": 1, "offset_frame": 1}
    clips = [
        dataclasses.replace(annotations.clips[0], source=write_clip(tmp_path / "two", [both, both]), **at),
        dataclasses.replace(annotations.clips[1], source=write_clip(tmp_path / "lost", [onset, nobody]), **at),
    ]
    summary = preprocess(dataclasses.replace(annotations, clips=tuple(clips)), tmp_path / "c", Parameters(size=32))
    table = read_manifests(tmp_path / "c")
    assert table["status"].tolist() == ["ok", "failed"]
    assert table["faces"][0] == 2
    assert [w["clip"] for w in summary.warnings] == [clips[0].clip_id]
    assert "2 faces" in table["warnings"][0] == summary.warnings[0]["text"]
    assert "the face is lost in frames 1, and 1 is the apex" in table["reason"][1]
