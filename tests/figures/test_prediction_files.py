import dataclasses

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.align import face_to_unit
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.figures.expression_sheet import draw_sheet
from mer_pipeline.figures.overlay import Strip, _outlined, write_overlay
from mer_pipeline.figures.prediction_files import PredictionFiles
from mer_pipeline.inference import ClipResult, Predictor
from mer_pipeline.inference.result import Unclassified
from mer_pipeline.spotting.result import Timeline
from mer_pipeline.spotting.tracking import Place, Whereabouts
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.training import Plan, load_clips, load_recipe, train
from mer_pipeline.video import JpegVideoWriter, VideoWriter, open_footage, read_image


@pytest.fixture(scope="module")
def drawn(raw, run, tmp_path_factory):
    """A clip with uneven times, its result, its sheet and its overlay."""
    folder = tmp_path_factory.mktemp("drawn")
    row = pd.read_parquet(raw / "truth.parquet").iloc[0]
    frames = open_footage(raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"])
    times = np.cumsum(np.tile([1, 2, 1, 4], len(frames)))[: len(frames)] / 200
    with VideoWriter(folder / "clip.mp4", 100) as writer:
        for index, image in frames.read(range(len(frames))):
            writer.write(image, times[index] - times[0])
    sights = []
    with Predictor(run, "cpu") as predictor:
        pictures = PredictionFiles(folder / "o.mp4", folder / "s.png", 1)

        def on_expression(sight):
            sights.append(sight)
            pictures.on_expression(sight)

        result = predictor(folder / "clip.mp4", on_expression=on_expression)
        pictures.finish(result, predictor)
    return folder, result, pictures, sights[0], times - times[0]


def test_the_overlay_keeps_every_frame_and_its_time(drawn):
    folder, _result, pictures, _sight, times = drawn
    assert pictures.written == [folder / "s.png", folder / "o.mp4"]
    footage = open_footage(folder / "o.mp4")
    assert footage.times_s == pytest.approx(times, abs=1e-4)
    assert (folder / "o.mp4").stat().st_mode & 0o777 == 0o600
    with av.open(str(folder / "o.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width % 2, stream.height % 2) == ("h264", 0, 0)
        assert stream.height > 480 > stream.height - 300


def test_a_slow_overlay_has_the_same_frames_later(drawn, tmp_path):
    _folder, result, _pictures, _sight, times = drawn
    write_overlay([result], tmp_path / "slow.mp4", lambda image: [], slow=4.0)
    assert open_footage(tmp_path / "slow.mp4").times_s == pytest.approx(4 * times, abs=1e-4)


def test_the_overlay_marks_the_face_and_the_expression(drawn):
    folder, result, *_ = drawn
    original, footage = open_footage(folder / "clip.mp4"), open_footage(folder / "o.mp4")
    found = result.expressions[0]

    def changed(index):
        return np.abs(footage.frame(index)[:480].astype(int) - original.frame(index)).max(-1) > 60

    before, during = changed(0), changed(found.apex_frame)
    assert 200 < before.sum() < during.sum() < 0.1 * during.size, "thin at rest, thick during the expression"
    ys, xs = np.nonzero(during)
    assert 120 < np.ptp(xs) < 330
    assert 150 < np.ptp(ys) < 400
    strip = footage.frame(found.apex_frame)[480:]
    assert np.abs(strip.astype(int) - footage.frame(0)[480:]).max() > 100, "words and the mark of time change"


LARGE, SMALL = (
    Landmarks(np.array([(x, 20.0), (x + side, 20.0 + side)]), "picture") for x, side in ((10, 200), (300, 120))
)


class Still:
    """A film of one textured picture."""

    def __len__(self):
        return 3

    def read(self, frames):
        image = np.random.default_rng(0).integers(0, 256, (30, 60, 3), np.uint8)
        return ((index, cv2.resize(image, (480, 240))) for index in frames)


@pytest.mark.parametrize(
    ("where", "face"),
    [(Whereabouts(), LARGE), (Whereabouts([2], [Place.of(face_to_unit(SMALL))]), SMALL)],
    ids=["nothing is known: the largest", "the smaller one was classified"],
)
def test_the_overlay_outlines_the_face_whose_result_is_drawn(where, face):
    drawn = [faces[None].outline for _, _, faces in _outlined(Still(), 25.0, lambda image: [LARGE, SMALL], where)]
    assert len(drawn) == 3
    for outline in drawn:
        assert outline.mean(0) == pytest.approx(face.points_xy.mean(0), abs=1)


def test_a_result_knows_where_the_face_is_that_was_classified(drawn, run):
    folder, result, *_ = drawn
    onset, apex = result.expressions[0].onset_frame, result.expressions[0].apex_frame
    with Predictor(run, "cpu") as predictor:
        footage, find = open_footage(folder / "clip.mp4"), predictor.find_faces
        real = find(footage.frame(onset))[0]
        larger = iter([[Landmarks(real.points_xy * 3 - 2 * real.points_xy.min(0))]])
        predictor.find_faces = lambda image: [*next(larger, []), *find(image)]
        found = predictor(folder / "clip.mp4", onset_frame=onset, apex_frame=apex)
    assert (found.faces, [*found.where.frames]) == (2, [onset, apex])
    assert all(Place.of(face_to_unit(real)).away(place) < 0.05 for place in found.where.places)
    assert "where" not in found.as_json()


def test_the_sheet_shows_what_was_found(drawn):
    folder, _result, _pictures, sight, _times = drawn
    page = read_image(folder / "s.png")
    assert page.shape[1] == 1200
    assert np.array_equal(page, draw_sheet(sight))
    assert (folder / "s.png").stat().st_mode & 0o777 == 0o600
    assert len(np.unique(page @ np.array([1, 256, 65536]))) > 5000


@pytest.mark.parametrize(
    ("motion", "solver"), [("dis", "dis"), ("tvl1", "tvl1"), ("none", "tvl1")], ids=["dis", "tvl1", "no flow: tvl1"]
)
def test_the_sheet_draws_the_flow_of_the_chain(drawn, run, monkeypatch, motion, solver):
    folder, result, *_ = drawn
    found, seen, solvers = result.expressions[0], [], []

    def solve(onset, apex, method):
        solvers.append((method, onset.shape))
        return np.full((3, 64, 64), len(solvers), np.float16)

    monkeypatch.setattr("mer_pipeline.inference.predictor.motion", solve)
    with Predictor(run, "cpu") as predictor:
        predictor.model.parameters = dataclasses.replace(predictor.model.parameters, motion=motion, size=64)
        frames = {"onset_frame": found.onset_frame, "apex_frame": found.apex_frame}
        predictor(folder / "clip.mp4", **frames, on_expression=seen.append)
    assert solvers == [(solver, (64, 64, 3))]
    still = dataclasses.replace(seen[0], flow=np.zeros((3, 64, 64), np.float32))
    assert not np.array_equal(draw_sheet(seen[0]), draw_sheet(still))


def test_attention_lies_along_the_lines_of_its_axis(run):
    with Predictor(run, "cpu") as predictor:
        model = predictor.model
    import torch

    size = model.card.size
    seen = model.explain(torch.randn(1, 2, 3, size, size)).attention
    assert seen.weights.shape == (-(-size // 16), -(-size // 16))
    assert np.ptp(seen.weights) > 0
    assert 0 <= seen.theta_deg < 180
    assert "attend" not in vars(next(part for part in model.network.modules() if hasattr(part, "attend")))


def test_a_panel_says_the_last_expression_and_marks_all():
    result = ClipResult("x", fps=100, frames=1000, unclassified=[Unclassified(100, 150, 200, 1.0, 1.5, 2.0)])
    energy = np.abs(np.sin(np.linspace(0, 20, 500)))
    energy[100:120] = np.nan
    panel = Strip((1280, 720), result, Timeline(np.linspace(0, 10, 500), energy), 10.0)
    quiet, during, after, faceless = (
        panel.at(index, index / 100, has_face) for index, has_face in ((0, True), (150, True), (500, True), (0, False))
    )
    assert quiet.shape == (panel.height, 1280, 3)
    words = slice(0, round(2.5 * 0.031 * 1280))
    assert (during[words] != quiet[words]).any()
    assert (after[words] != during[words]).any()
    assert (faceless[words] != quiet[words]).any()
    assert panel.current(99) is None
    assert panel.current(200) is result.unclassified[0]


@pytest.mark.parametrize(
    ("overlay", "image", "message"), [("o.avi", None, r"must end in \.mp4"), (None, "s.jpg", r"must end in \.png")]
)
def test_a_wrong_name_is_refused_before_anything_is_computed(tmp_path, overlay, image, message):
    with pytest.raises(MerError, match=message):
        PredictionFiles(overlay and tmp_path / overlay, image and tmp_path / image, 1)


def test_a_video_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"), VideoWriter(tmp_path / "file" / "o.mp4", 25):
        pass


def test_a_video_appears_whole_or_not_at_all(tmp_path):
    def broken_off():
        with VideoWriter(tmp_path / "o.mp4", 25) as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8), 0.0)
            raise KeyError

    def broken_off_avi():
        with JpegVideoWriter(tmp_path / "o.avi", 25, (64, 64)) as writer:
            writer.write(cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
            raise OSError

    for error, broken in ((KeyError, broken_off), (OSError, broken_off_avi)):
        with pytest.raises(error):
            broken()
    assert list(tmp_path.iterdir()) == []


def test_the_sheet_of_fdp_shows_the_dynamic_image_beside_its_target(raw, tmp_path):
    preprocess(read_dataset(raw), tmp_path / "cache", Parameters(size=32, frames=4))
    small = {"epochs": 1, "frames": 4, "size": 32, "options.depths": [1, 1, 1, 1]}
    recipe = load_recipe("fdp", small)
    clips = load_clips(tmp_path / "cache", view=recipe.view, size=recipe.size, frames=recipe.frames)
    train(clips, recipe, tmp_path / "run", Plan("kfold:2"), device="cpu")
    sights = []
    with Predictor(tmp_path / "run", "cpu") as predictor:
        predictor(next((raw / "CASME2-RAW" / "sub01").iterdir()), fps=200, on_expression=sights.append)
    (sight,) = sights
    assert sight.attention is None
    assert sight.dynamic.built.shape == sight.dynamic.target.shape == (32, 32)
    # The target is stretched so that the greatest change is black or white; the rest is near stillness.
    assert abs(sight.dynamic.target - 0.5).max() == pytest.approx(0.5, abs=1e-5)
    page = draw_sheet(sight)
    assert page.shape[0] > draw_sheet(dataclasses.replace(sight, dynamic=None)).shape[0]
