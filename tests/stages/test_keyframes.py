import numpy as np
import pandas as pd
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.stages.detect import FaceMesh
from mer_pipeline.stages.keyframes import KeyFrames, Looked, find_keyframes, interval
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
    assert np.median(errors) <= 3, errors


def test_a_bare_clip_is_spotted(planted, mesh):
    looked = Looked()
    errors = []
    for row, footage in planted:
        found = find_keyframes(footage, lambda: mesh, fps=200, looked=looked)
        errors.append((found.onset_frame - row["onset_frame"], found.apex_frame - row["apex_frame"]))
    onset, apex = np.abs(np.array(errors)).T
    assert np.median(apex) <= 4, errors
    assert np.median(onset) <= 10, errors
    assert looked.with_face == looked.frames == len(planted)


@pytest.mark.parametrize(
    ("energy", "expected"),
    [
        pytest.param([0, 0, 0, 1, 3, 5, 3, 1, 0, 0], (2, 5, 8), id="one peak"),
        pytest.param([0, 0, 1, 2, 3], (1, 4, 4), id="the clip ends at the apex"),
        pytest.param([9, 5, 2, 0, 0], (0, 0, 3), id="the clip begins at the apex"),
        pytest.param([0, 0, 0], (0, 0, 0), id="no motion"),
    ],
)
def test_interval(energy, expected):
    assert interval(np.array(energy, float)) == expected


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
