"""What is spotted in real films, against what a person saw in them frame by frame."""

from pathlib import Path

import pandas as pd
import pytest

from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.spotting.video import spot_video

TRUTH = pd.read_csv(Path(__file__).parents[2] / "studies" / "annotations" / "filmed_faces.csv")
pytestmark = pytest.mark.shared


@pytest.fixture(scope="module", params=["pexels_face.mp4", "face_noface.mov"])
def film(request, shared):
    with FaceMesh() as mesh:
        return TRUTH[TRUTH["clip"] == request.param], spot_video(shared / "clips" / request.param, find_faces=mesh)


def test_every_blink_is_an_event_and_no_expression(film):
    seen, found = film
    blinks = [each for each in found.events if each.kind == "blink"]
    for row in seen[seen["kind"] == "blink"].itertuples():
        assert any(each.meets(row.first_frame, row.last_frame) for each in blinks), row
    assert [each for each in found.intervals if each.kind == "micro"] == []


def test_a_smile_is_a_macro_expression(film):
    """Within three frames: the first smile of each film."""
    seen, found = film
    smile = next(seen[seen["note"].str.startswith("smile", na=False)].itertuples())
    near = [each for each in found.intervals if abs(each.onset_frame - smile.first_frame) <= 3]
    assert [each.kind for each in near] == ["macro"]
    assert abs(near[0].apex_frame - smile.peak_frame) <= 3
    assert abs(near[0].offset_frame - smile.last_frame) <= 3
    assert "blink" in near[0].flags


def test_what_hides_a_face_or_ends_it_is_an_event(film):
    seen, found = film
    for kind, event in (("hand", "hidden"), ("no face", "no face")):
        for row in seen[seen["kind"] == kind].itertuples():
            assert any(e.kind == event and e.meets(row.first_frame, row.last_frame) for e in found.events), row
