"""Long videos: what is planted, when, and how it lies on disk."""

import filecmp
import itertools

import cv2
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.synth.long_plan import PlannedEvent, draw_long
from mer_pipeline.synth.scene import LongScene, make_camera, render
from mer_pipeline.synth.subjects import draw_traits, make_subject
from mer_pipeline.video import open_footage


@pytest.mark.parametrize("fps", [25, 30, 60, 100, 200])
def test_events_are_as_long_as_they_must_be_at_any_rate(fps):
    for seed in range(5):
        plan = draw_long(Options(blink_share=1, turn_deg=8), fps, 60, 12, (seed,))
        kinds = {kind: [e for e in plan.events if e.kind == kind] for kind in ("micro", "macro", "blink", "turn")}
        assert (len(kinds["micro"]), len(kinds["macro"])) == (8, 4)
        assert len(kinds["blink"]) >= 8
        assert len(kinds["turn"]) >= 1
        for event in plan.events:
            length_s = (event.end - event.start) / fps
            assert event.kind != "micro" or 0.2 - 1 / fps <= length_s <= 0.5 + 1 / fps
            assert event.kind != "macro" or length_s > 0.7
            assert event.start >= 0
            assert event.end < plan.n_frames
        ordered = sorted(kinds["micro"] + kinds["macro"] + kinds["turn"], key=lambda e: e.start)
        for before, after in itertools.pairwise(ordered):
            assert after.start - before.end >= 0.25 * fps, "expressions and turns keep apart"


def test_macro_expressions_are_held_as_long_as_asked():
    plans = [draw_long(Options(hold_s=hold), 30, 120, 9, (0,)) for hold in (1.0, 20.0)]
    short, long = ([(e.leave - e.top) / 30 for e in plan.events if e.kind == "macro"] for plan in plans)
    assert max(short) <= 1.0 + 1 / 30
    assert 5 < max(long) <= 20 + 1 / 30
    micro = ([(e.end - e.start) for e in plan.events if e.kind == "micro"] for plan in plans)
    assert next(micro) == next(micro), "what comes and goes stays as it was"


def test_an_event_rises_holds_and_falls():
    event = PlannedEvent("macro", 10, 14, 16, 20)
    assert [round(event.part(frame), 2) for frame in range(9, 22)] == [
        0, 0, 0.1, 0.5, 0.9, 1, 1, 1, 0.9, 0.5, 0.1, 0, 0,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="expected 0 <= start < top"):
        PlannedEvent("micro", 5, 5, 6, 7)


def test_what_moves_is_what_the_plan_says(subject):
    options = Options(fps=30, seconds=8, noise=0, blink_share=0, amplitude_px=(2, 2))
    plan = draw_long(options, 30, 8, 2, (1,))
    first, *frames = render(subject, plan, make_camera(options, 30, (0,)), (0,))
    assert first.shape == (480, 640, 3)
    energy = np.array([cv2.norm(frame, first, cv2.NORM_L1) for frame in (first, *frames)])
    assert len(energy) == 240
    moving = np.zeros(240, bool)
    for event in plan.events:
        moving[event.start + 1 : event.end] = True
        assert energy[event.start : event.end + 1].argmax() == event.top - event.start
    assert not energy[~moving].any()


def test_a_turn_moves_the_nose_farther_than_the_temples(subject):
    options = Options(noise=0, turn_deg=10)
    plans = (draw_long(options, 30, 20, 2, (seed,)) for seed in range(20))
    plan, turn = next((plan, e) for plan in plans for e in plan.events if e.kind == "turn" and not e.pitch)
    scene = LongScene(subject, plan)
    back = scene._head_shift(turn.top, [(turn, 1.0)])[..., 0]
    rows, columns = scene._moving

    def moved(point):
        x, y = np.rint(subject.points_xy[point]).astype(int)
        return abs(back[y - rows.start, x - columns.start])

    assert moved(1) > moved(168) > 0, "the tip of the nose, then its bridge"
    assert moved(1) > 3 * min(moved(127), moved(356))


def test_files_and_truth(tmp_path):
    told = []
    synthesise(
        tmp_path / "a", layout="long", subjects=2, clips=3, seed=5,
        options=Options(fps=24, seconds=7, blink_share=1), progress=lambda *step: told.append(step[:3]),
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["s01.mp4", "s02.mp4", "truth.parquet"]
    footage = open_footage(tmp_path / "a" / "s02.mp4")
    assert (len(footage), footage.fps) == (168, 24)
    assert footage.frame(0).shape == (480, 640, 3)
    truth = pd.read_parquet(tmp_path / "a" / "truth.parquet")
    assert set(truth.columns) >= {
        "video", "subject", "kind", "aus", "emotion", "onset_frame", "apex_frame", "offset_frame", "onset_s", "apex_s",
        "offset_s", "fps", "n_frames", "amplitude_px",
    }  # fmt: skip
    assert truth.query("kind == 'micro'").groupby("video").size().tolist() == [2, 2]
    assert truth.query("kind == 'macro'").groupby("video").size().tolist() == [1, 1]
    assert (truth["onset_s"] * 24).round().astype(int).tolist() == truth["onset_frame"].tolist()
    assert told == [("synth", second, 14) for second in range(1, 15)]


def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        options = Options(fps=30, seconds=3, blink_share=1, drift_px=2)
        synthesise(tmp_path / name, layout="long", subjects=1, clips=1, seed=seed, options=options)
    names = ["s01.mp4", "truth.parquet"]
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False)[0] == names
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "c", names, shallow=False)[0] == []


def test_frames_are_rendered_while_they_are_written(tmp_path, monkeypatch):
    """Memory does not grow with the length: no frame is kept."""
    drawn, written = [], []

    def draw(picture, frame, *_):
        drawn.append(frame)
        return picture

    def write(self, image, seconds=None):
        written.append(len(drawn))

    monkeypatch.setattr("mer_pipeline.synth.scene.film", draw)
    monkeypatch.setattr("mer_pipeline.video.VideoWriter.write", write)
    synthesise(tmp_path / "a", layout="long", subjects=1, clips=1, options=Options(fps=30, seconds=4, noise=0))
    assert written == list(range(1, 121))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            {"layout": "long", "clips": 9, "options": Options(seconds=5)}, "9 expressions do not fit into 5 s; take",
            id="too many",
        ),
        pytest.param({"options": Options(fps=30)}, "fps is for long videos, not for casme2; add --layout", id="rate"),
        pytest.param({"options": Options(turn_deg=3)}, "turn_deg is for long videos", id="turns"),
    ],
)  # fmt: skip
def test_impossible_arguments_leave_nothing_behind(tmp_path, arguments, message):
    with pytest.raises(MerError, match=message):
        synthesise(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "value"), [("fps", 5), ("seconds", 1), ("turn_deg", 16)])
def test_options_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number from"):
        Options(**{name: value})


def test_lost_frames_show_the_one_before_and_compression_makes_a_film_small(tmp_path):
    sizes, same = {}, {}
    for name, harm in {"good": {}, "lost": {"lost": 0.3}, "small": {"compression": 35}}.items():
        options = Options(fps=15, seconds=2.5, noise=4.0, **harm)
        synthesise(tmp_path / name, layout="long", subjects=1, clips=1, seed=2, options=options)
        film = tmp_path / name / "s01.mp4"
        footage = open_footage(film)
        images = [image.astype(int) for _, image in footage.read(range(len(footage)))]
        sizes[name] = film.stat().st_size
        same[name] = np.mean([np.abs(a - b).mean() < 0.5 for a, b in itertools.pairwise(images)])
    assert sizes["small"] < sizes["good"] / 4
    assert same["good"] == 0
    assert 0.1 < same["lost"] < 0.6


def test_darker_and_older_faces_keep_their_place(subject, portraits):
    def shown(options):
        rng = np.random.default_rng(5)
        return make_subject(portraits, draw_traits(rng, options), rng)

    dark, old = shown(Options(tones=1.0)), shown(Options(ages=1.0))
    x, y = np.rint(2 * subject.points_xy[[50, 280, 10]]).astype(int).T  # both cheeks and the forehead
    assert (dark.base_rgb[y, x].mean(0) < 0.9 * subject.base_rgb[y, x].mean(0)).all()
    face = np.s_[2 * 180 : 2 * 330, 2 * 250 : 2 * 390]
    assert (
        np.abs(np.diff(old.base_rgb[face].astype(int), axis=0)).mean()
        > 1.1 * np.abs(np.diff(subject.base_rgb[face].astype(int), axis=0)).mean()
    )
    assert np.array_equal(dark.points_xy, subject.points_xy)
    assert np.array_equal(old.points_xy, subject.points_xy)
