"""Spotting in rendered videos: what is found, what is told, and how much is kept in memory."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from mer_pipeline.datasets.long_videos import read_long
from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.spotting.evaluate import spot_videos
from mer_pipeline.spotting.intervals import MARGIN_S
from mer_pipeline.spotting.live import LiveSpotter
from mer_pipeline.spotting.result import TIMELINE_POINTS, Interval
from mer_pipeline.spotting.score import pooled
from mer_pipeline.spotting.video import doubt_of, rate_of, spot_video
from mer_pipeline.spotting.watch import Course
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.video import FOR_MEASURING, VideoWriter, Window, open_footage


@pytest.fixture(scope="module")
def mesh():
    with FaceMesh() as mesh:
        yield mesh


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def spotting(long_set, mesh, told):
    return spot_video(long_set / "s01.mp4", find_faces=mesh, progress=lambda *step: told.append(step))


def spans(intervals):
    return {k: [(i.onset_frame, i.offset_frame) for i in intervals if i.kind == k] for k in ("micro", "macro")}


def test_every_planted_expression_is_found_and_no_blink(spotting, long_set):
    (known,) = read_long(long_set).videos
    scores = pooled([(spans(spotting.intervals), known.spans)])
    assert scores["micro"].f1 >= 0.75, spotting.intervals
    assert scores["all"].f1 >= 0.85, spotting.intervals
    starts = [interval.onset_frame for interval in spotting.intervals]
    assert starts == sorted(starts)
    for each in spotting.intervals:
        assert each.onset_s == pytest.approx(each.onset_frame / 30, abs=1e-3)
        assert each.apex_s == pytest.approx(each.apex_frame / 30, abs=1e-3)


def test_what_is_told_beside_the_intervals(spotting, told):
    assert (spotting.fps, spotting.frames, spotting.faces) == (30, 480, 1)
    # Once a second, and while lids move.
    assert 16 <= spotting.with_face == spotting.looked_at <= 60
    assert spotting.warnings == ["30 fps: a micro-expression (1/25 to 1/5 s) spans only 1.2 to 6.0 frames"]
    assert [step[:3] for step in told] == [("spot", 30 * second, 480) for second in range(1, 17)]
    assert "frames/s" in told[-1][3]
    values = spotting.as_json()
    assert "timeline" not in values
    assert "error" not in values
    assert set(values["intervals"][0]) == {
        "onset_frame", "apex_frame", "offset_frame", "strength", "kind", "onset_s", "apex_s", "offset_s",
        "salience", "flags",
    }  # fmt: skip


def test_the_timeline_rises_where_the_expressions_are(spotting, long_set):
    timeline = spotting.timeline
    assert len(timeline.seconds) == len(timeline.energy) == 480
    assert np.isfinite(timeline.energy).all()
    truth = pd.read_parquet(long_set / "truth.parquet").query("kind in ['micro', 'macro']")
    during = np.zeros(480, bool)
    for row in truth.itertuples():
        during[row.onset_frame : row.offset_frame] = True
    assert timeline.energy[during].mean() > 2 * timeline.energy[~during].mean()


def test_a_timeline_has_bounded_length_and_keeps_short_peaks():
    course = Course(100_000, np.arange(100_000) / 200)
    for first in range(0, 100_000, 400):
        values = np.zeros(400)
        values[7] = first == 40_000
        course.add(first, values)
    assert len(course.timeline.energy) == TIMELINE_POINTS
    assert course.timeline.seconds[int(course.timeline.energy.argmax())] == pytest.approx(40_007 / 200, abs=0.2)


def test_live_frames_give_the_same_expressions_soon_after_they_are_over(spotting, long_set, mesh):
    spotter = LiveSpotter(30, lambda image: next(iter(mesh(image)), None))
    found, kept = [], 0
    for index, image in open_footage(long_set / "s01.mp4").read(range(480)):
        for interval in spotter.push(index, image):
            assert index - interval.apex_frame <= (MARGIN_S + 2.0) * 30 + 1
            found.append(interval)
        kept = max(kept, len(spotter._rows))
    live = len(found)
    found += spotter.finish()
    assert live >= 2
    assert sorted(i.onset_frame for i in found) == [i.onset_frame for i in spotting.intervals]
    assert kept <= (2 * MARGIN_S + 2.0) * 30 + 2
    assert spotter.finish() == []


def test_a_camera_may_leave_frames_out(long_set, mesh, spotting):
    spotter = LiveSpotter(30, lambda image: next(iter(mesh(image)), None))
    found = []
    for index, image in open_footage(long_set / "s01.mp4").read(range(480)):
        if index % 7:
            found += spotter.push(index, image)
    found += spotter.finish()
    planted = {interval.kind: interval for interval in spotting.intervals}
    same = pooled([(spans(found), spans(spotting.intervals))])["all"]
    assert same.hits >= len(spotting.intervals) - 1, (found, planted)


def test_a_face_that_leaves_ends_what_was_seen(long_set, mesh):
    images = [image for _, image in open_footage(long_set / "s01.mp4").read(range(200))]
    spotter = LiveSpotter(30, lambda image: next(iter(mesh(image)), None))
    found = []
    for index, image in enumerate([*images, *[np.full_like(images[0], 127)] * 20, *images]):
        found += spotter.push(index, image)
    found += spotter.finish()
    first, second = ([i for i in found if (i.onset_frame > 205) == late] for late in (False, True))
    assert first
    assert len(first) == len(second)
    assert all(interval.offset_frame < 200 for interval in first)


def test_an_impossible_interval_is_refused():
    with pytest.raises(ValueError, match="expected 0 <= onset <= apex <= offset"):
        Interval(5, 4, 9, 1.0, "micro", 0, 0, 0)


def test_a_folder_of_frames_needs_a_rate(raw, mesh):
    with pytest.raises(MerError, match="does not say its rate; give --fps"):
        spot_video(next((raw / "CASME2-RAW" / "sub01").iterdir()), find_faces=mesh)


@pytest.mark.shared
def test_a_video_without_a_face_is_an_error(shared, mesh):
    with pytest.raises(MerError, match="no face was found in the"):
        spot_video(shared / "clips" / "no_face.mp4", find_faces=mesh)


def test_speech_and_hands_are_events_and_no_expressions(tmp_path, mesh):
    """Rests with a hand or with speech between two expressions."""
    options = Options(fps=25, seconds=12, noise=1.0, speech_share=0.5, hand_share=1.0)
    synthesise(tmp_path / "set", layout="long", subjects=1, clips=2, seed=71, options=options)
    truth = pd.read_parquet(tmp_path / "set" / "truth.parquet")
    assert {"speech", "hand"} <= set(truth["kind"])
    (known,) = read_long(tmp_path / "set").videos
    found = spot_video(known.video, find_faces=mesh)
    for row in truth[truth["kind"].isin(["speech", "hand"])].itertuples():
        assert any(each.meets(row.onset_frame, row.offset_frame) for each in found.events), (row, found.events)
    assert pooled([(spans(found.intervals), known.spans)])["all"].false_alarms == 0


def test_a_video_that_is_cut_short_is_spotted_as_far_as_it_goes(long_set, mesh, tmp_path):
    with VideoWriter(tmp_path / "whole.mp4", 30, FOR_MEASURING) as writer:
        for _, image in open_footage(long_set / "s01.mp4").read(range(120)):
            writer.write(image)
    content = bytearray((tmp_path / "whole.mp4").read_bytes())
    cut = int(len(content) * 0.6)
    content[cut : cut + len(content) // 10] = bytes(len(content) // 10)
    (tmp_path / "damaged.mp4").write_bytes(content)
    found = spot_video(tmp_path / "damaged.mp4", find_faces=mesh)
    assert 30 < found.frames < 120
    assert any(f"only the first {found.frames} of 120 frames" in warning for warning in found.warnings)


def test_one_bad_video_stops_none_and_counts_as_missed(long_set, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    table = pd.read_parquet(long_set / "truth.parquet")
    table.assign(video="bad.mp4").to_csv(tmp_path / "truth.csv", index=False)
    result = spot_videos([], truth=tmp_path / "truth.csv")
    (failed,) = result.videos
    assert "not a readable video" in failed.as_json()["error"]
    assert result.scores["all"].misses == 4
    with pytest.raises(MerError, match="the truth does not know this video"):
        spot_videos([long_set / "s01.mp4"], truth=tmp_path / "truth.csv")


DISTURBED = {
    "noise": 2.0, "blink_share": 1.0, "drift_px": 6.0, "drift_deg": 3.0, "drift_scale": 0.02, "turn_deg": 8.0,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fps", [200, 100, 30])
@pytest.mark.parametrize(
    ("disturbance", "least_f1"),
    [pytest.param({"noise": 0.0}, 0.9, id="clean"), pytest.param(DISTURBED, 0.75, id="disturbed")],
)
def test_planted_micro_expressions_are_spotted(tmp_path, fps, disturbance, least_f1):
    """Six micro- and two macro-expressions in each of two videos of half a minute."""
    options = Options(fps=fps, seconds=30, **disturbance)
    synthesise(tmp_path / "set", layout="long", subjects=2, clips=8, seed=60, options=options)
    result = spot_videos([], truth=tmp_path / "set")
    assert result.scores["micro"].f1 >= least_f1, result.scores
    assert result.scores["macro"].f1 >= least_f1 - 0.15, result.scores


@pytest.mark.parametrize(
    ("bits", "doubt"), [(None, 1.0), (12.0, 1.0), (1.0, 1.0), (0.8, 1.097), (0.5, 1.3), (0.25, 1.6), (0.0, 3.99)]
)
def test_the_fewer_bits_the_more_must_stand_out(bits, doubt):
    film = Mock(bits_a_second=bits, fps=30.0)
    assert doubt_of(film) == pytest.approx(doubt, abs=0.01)
    said = rate_of(film, None)[2]
    assert [each.startswith("strongly compressed") for each in said] == [True] * (doubt > 1.25)


def test_a_strongly_compressed_film_says_so(tmp_path, mesh, long_set):
    """A still face: an encoder that has nothing to do writes next to nothing."""
    path, image = tmp_path / "still.mp4", open_footage(long_set / "s01.mp4").frame(0)
    with VideoWriter(path, 30, replace(FOR_MEASURING, crf=35)) as writer:
        for _ in range(60):
            writer.write(image)
    still = open_footage(path)
    assert still.bits_a_second == pytest.approx(8 * path.stat().st_size / 2 / image[..., 0].size)
    assert any("strongly compressed" in each for each in spot_video(path, find_faces=mesh).warnings)


def test_what_a_film_is_doubted_by_reaches_its_spotter(long_set, mesh, spotting, monkeypatch):
    monkeypatch.setattr("mer_pipeline.spotting.video.doubt_of", lambda footage: 50.0)
    first = spotting.intervals[0]
    window = Window(max(0.0, first.onset_s - 1.5), first.offset_s + 1.5)
    assert spot_video(long_set / "s01.mp4", find_faces=mesh, window=window).intervals == []
    monkeypatch.undo()
    assert spot_video(long_set / "s01.mp4", find_faces=mesh, window=window).intervals
