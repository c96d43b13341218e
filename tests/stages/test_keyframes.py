import numpy as np
import pandas as pd
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.spotting.clip import interval, spot
from mer_pipeline.spotting.tracking import Tracks, track
from mer_pipeline.stages.keyframes import KeyFrames, find_keyframes, uniform_frames
from mer_pipeline.video import open_footage


@pytest.fixture(scope="module")
def mesh():
    with FaceMesh() as mesh:
        yield mesh


@pytest.fixture(scope="module")
def planted(raw):
    table = pd.read_parquet(raw / "truth.parquet")
    return [
        (row, open_footage(raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"]))
        for row in table.to_dict("records")
    ]


def no_mesh():
    raise AssertionError("a face was looked for")


def test_annotated_frames_are_taken_without_decoding(planted):
    _, footage = planted[0]
    before = footage.decoded
    found = find_keyframes(footage, no_mesh, onset_frame=3, apex_frame=9, offset_frame=20)
    assert found == KeyFrames(3, 9, 20)
    assert found.needed == (3, 9)
    assert footage.decoded == before


def test_a_missing_apex_is_spotted_inside_its_bounds(planted, mesh):
    errors = []
    for row, footage in planted:
        found = find_keyframes(
            footage, lambda: mesh, onset_frame=row["onset_frame"], offset_frame=row["offset_frame"], fps=200
        )
        assert (found.onset_source, found.apex_source) == ("annotated", "spotted")
        assert row["onset_frame"] <= found.apex_frame <= row["offset_frame"]
        errors.append(abs(found.apex_frame - row["apex_frame"]))
    assert np.quantile(errors, 0.9) <= 2, errors


def test_a_bare_clip_is_spotted(planted, mesh):
    looked = DetectionCounts()
    errors = []
    for row, footage in planted:
        found = find_keyframes(footage, lambda: mesh, fps=200, counts=looked)
        errors.append((found.onset_frame - row["onset_frame"], found.apex_frame - row["apex_frame"]))
    onset, apex = np.abs(np.array(errors)).T
    assert np.quantile(apex, 0.9) <= 2, errors
    assert np.quantile(onset, 0.8) <= 4, errors
    assert looked.with_face == looked.frames == len(planted)


@pytest.mark.parametrize(
    ("energy", "expected"),
    [
        pytest.param([0, 0, 0, 1, 3, 5, 3, 1, 0, 0], (2, 5, 8), id="one peak"),
        pytest.param([0, 0, 1, 2, 3], (0, 4, 4), id="the clip ends at the apex"),
        pytest.param([9, 5, 2, 0, 0], (0, 0, 4), id="the clip begins at the apex"),
        pytest.param([0, 0, 0], (0, 0, 0), id="no motion"),
    ],
)
def test_interval(energy, expected):
    assert interval(np.array(energy, float)) == expected


def tracks_of(course, noise=0.02, seed=0):
    """Skin of which a quarter moves along one pattern, as strongly as `course` says; in pixels."""
    rng = np.random.default_rng(seed)
    pattern = np.zeros((256, 2))
    pattern[100:140] = rng.normal(size=(40, 2))
    motion = np.array(course)[:, None, None] * pattern + noise * rng.normal(size=(len(course), 256, 2))
    return Tracks(0, motion.astype(np.float32), np.ones((1, 256)), np.zeros(len(course), np.int32))


def bump(frames, onset, apex, offset):
    """A raised cosine on either side of the apex."""
    at = np.arange(frames)
    part = np.clip(np.minimum((at - onset) / (apex - onset), (offset - at) / (offset - apex)), 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * part)


@pytest.mark.parametrize("start", [3, 40, 97, 100, 149, 203, 451, 698])
def test_what_is_spotted_does_not_depend_on_where_the_windows_lie(start):
    planted = start, start + 18, start + 44
    found = spot(tracks_of(bump(800, *planted)), fps=200)
    errors = np.abs(np.subtract((found.onset_frame, found.apex_frame, found.offset_frame), planted))
    assert errors[0] <= 3, found
    assert errors[1] <= 2, found
    assert errors[2] <= 4, found


def test_the_stronger_of_two_is_spotted():
    course = 0.6 * bump(600, 50, 70, 100) + bump(600, 400, 420, 450)
    assert abs(spot(tracks_of(course), fps=200).apex_frame - 420) <= 2


def test_a_slow_trend_is_no_expression():
    course = bump(140, 40, 58, 84)
    tracks = tracks_of(course)
    elsewhere = np.zeros((256, 2))
    elsewhere[20:60, 0] = 1.0
    drifting = tracks.motion_px + np.linspace(0, 2, 140)[:, None, None] * elsewhere
    found = spot(Tracks(0, drifting.astype(np.float32), tracks.trust, tracks.segment), fps=200)
    assert abs(found.apex_frame - 58) <= 3, found


def test_known_frames_are_kept():
    tracks = tracks_of(bump(140, 40, 58, 84))
    assert spot(tracks, fps=200, onset_frame=36).onset_frame == 36
    found = spot(tracks, fps=200, apex_frame=60)
    assert found.apex_frame == 60
    assert abs(found.onset_frame - 40) <= 3


def test_a_face_lost_midway_is_a_gap(planted, mesh):
    image = planted[0][1].frame(0)
    frames = [image] * 6 + [np.full_like(image, 127)] * 30 + [image] * 6
    tracks = track(enumerate(frames), 0, 42, 200, lambda picture: next(iter(mesh(picture)), None))
    assert set(tracks.segment[:6]) == {0}
    assert set(tracks.segment[6:36]) == {-1}
    assert np.isnan(tracks.motion_px[6:36]).all()
    assert tracks.segment[-1] in (-1, 1)  # a face is looked for ten times a second, not in every frame
    assert np.abs(tracks.motion_px[:6]).max() < 1e-3


@pytest.mark.parametrize(
    ("keyframes", "count", "expected"),
    [
        pytest.param(KeyFrames(10, 14, 18), 5, (10, 12, 14, 16, 18), id="onset to offset"),
        pytest.param(KeyFrames(10, 14, None), 3, (10, 12, 14), id="no offset: onset to apex"),
        pytest.param(KeyFrames(3, 4, 4), 4, (3, 3, 4, 4), id="fewer frames than asked for"),
    ],
)
def test_uniform_frames(keyframes, count, expected):
    assert uniform_frames(keyframes, count) == expected


def test_one_frame_is_no_sequence():
    with pytest.raises(ValueError, match="count must be 2 or more, got 1"):
        uniform_frames(KeyFrames(0, 1, 2), 1)


BAD = [
    pytest.param({"onset_frame": 9, "apex_frame": 3}, "onset 9 is after apex 3", id="onset after apex"),
    pytest.param({"onset_frame": 5, "apex_frame": 4000}, "apex 4000 is outside the frames 0..", id="apex outside"),
    pytest.param(
        {"onset_frame": 0, "offset_frame": 4000}, "offset 4000 is outside the frames 0..", id="offset outside"
    ),
]


@pytest.mark.parametrize(("frames", "message"), BAD)
def test_impossible_frames_are_refused(planted, frames, message):
    with pytest.raises(MerError, match=message):
        find_keyframes(planted[0][1], no_mesh, **frames)


def test_a_contract_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="expected 0 <= onset <= apex <= offset"):
        KeyFrames(5, 4, None)


@pytest.mark.shared
def test_a_clip_without_a_face_says_how_far_it_looked(shared, mesh):
    footage = open_footage(shared / "clips" / "no_face.mp4")
    with pytest.raises(MerError, match=r"no face was found in the \d+ frames that were looked at"):
        find_keyframes(footage, lambda: mesh)
