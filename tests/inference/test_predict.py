import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import safetensors.torch

from mer_pipeline.errors import MerError
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.inference import Predictor
from mer_pipeline.inference.load import load_model, newest_run
from mer_pipeline.runs.weights import load_network, save_network
from mer_pipeline.spotting.video import face_warnings
from mer_pipeline.stages.keyframes import KeyFrames
from mer_pipeline.video import VideoWriter, open_footage


@pytest.fixture(scope="module")
def row(raw):
    return pd.read_parquet(raw / "truth.parquet").iloc[4]


@pytest.fixture(scope="module")
def clip(raw, row):
    return raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"]


@pytest.fixture(scope="module")
def long_clip(clip, tmp_path_factory):
    """Four seconds at 200 frames a second with two expressions."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    footage = open_footage(clip)
    frames = [image for _, image in footage.read(range(len(footage)))]
    still = [frames[0]] * 300
    with VideoWriter(path, 200) as writer:
        for index, image in enumerate([*still, *frames, *still, *frames, *still[:100]]):
            writer.write(image, index / 200)
    return path


def changed(run, folder, **values):
    """The final network of a run with other values in its card."""
    state, card = load_network(run)
    save_network(folder, state, dataclasses.replace(card, **values))
    return folder


def test_a_fold_predicts_the_clips_of_its_held_out_subject(raw, run):
    truth = pd.read_parquet(raw / "truth.parquet")
    row = truth[truth["subject"] == "03"].iloc[0]
    with Predictor(run / "folds" / "casme2-03", "cpu") as predictor:
        assert predictor.card.held_out == "casme2/03"
        result = predictor(raw / "CASME2-RAW" / "sub03" / row["clip"], fps=row["fps"])
    (found,) = result.expressions
    assert result.as_json()["expressions"][0]["emotion"] in predictor.card.classes
    assert found.onset_frame < found.apex_frame <= found.offset_frame < result.frames
    assert (found.kind, found.onset_s) == ("micro", pytest.approx(found.onset_frame / row["fps"], abs=1e-4))


def test_the_crop_of_prediction_is_the_crop_of_training(run, cache, clip, row):
    """With the annotated frames, prediction must see what training saw, to the last bit."""
    from mer_pipeline.training import load_clips
    from mer_pipeline.training.loop import predict as predict_rows

    clips = load_clips(cache)
    with Predictor(changed(run, cache.parent / "plain", temperature=1.0), "cpu") as predictor:
        result = predictor(clip, onset_frame=row["onset_frame"], apex_frame=row["apex_frame"])
        at = list(clips.clip_ids).index(row["clip_id"])
        expected = predict_rows(predictor.model.network, clips, [at], "predicted", predictor.model.device)[0].softmax(0)
    assert list(result.expressions[0].probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-3)


def test_action_units_that_are_given_reach_the_classifier(run, clip, row):
    frames = {"onset_frame": row["onset_frame"], "apex_frame": row["apex_frame"]}

    def told(aus):
        with Predictor(run, "cpu", aus=aus) as predictor:
            return predictor(clip, **frames).expressions[0]

    own, none, given = told("predicted"), told("none"), told("4+R14")
    assert (own.aus_source, none.aus_source, given.aus_source) == ("predicted", "none", "given")
    assert own.aus == none.aus == given.aus, "the estimate is the network's own, whatever it is told"
    assert len({tuple(found.probabilities.values()) for found in (own, none, given)}) == 3
    vector = [float(number in (4, 14)) for number in AU_NUMBERS]
    model = load_model(run, "cpu")
    images = dict(open_footage(clip).read([row["onset_frame"], row["apex_frame"]]))
    with Predictor(run, "cpu") as predictor:
        keyframes = KeyFrames(row["onset_frame"], row["apex_frame"], None)
        answer = predictor.classify(images, keyframes).output
    assert list(given.probabilities.values()) == pytest.approx(
        model.run(answer.pictures, vector).probabilities.tolist(), abs=1e-4
    )


@pytest.mark.parametrize(
    ("aus", "message"),
    [
        ("smile", "not Action Unit notation"),
        ("annotated", "a new clip has no annotation; write its Action Units"),
        ("61", "'61' has none of the Action Units that networks know; they are 1,"),
    ],
)
def test_wrong_action_units_are_refused(run, aus, message):
    with pytest.raises(MerError, match=message):
        Predictor(run, "cpu", aus=aus)


def test_a_temperature_softens_probabilities(run, clip, row, tmp_path):
    def most(model):
        with Predictor(model, "cpu", confidence=0.0) as predictor:
            return predictor(clip, onset_frame=row["onset_frame"], apex_frame=row["apex_frame"]).expressions[0]

    sharp = most(changed(run, tmp_path / "sharp", temperature=0.2))
    soft = most(changed(run, tmp_path / "soft", temperature=50.0))
    assert sharp.emotion == soft.emotion
    assert sharp.probability > soft.probability
    assert soft.probability == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    ("trained", "source", "said"),
    [([], "none", "trained without Action Units: none are named"), ([4, 12], "predicted", ""), (None, "predicted", "")],
)
def test_action_units_that_were_not_trained_are_not_named(run, clip, row, tmp_path, trained, source, said):
    with Predictor(changed(run, tmp_path / "run", au_trained=trained, au_f1={}), "cpu") as predictor:
        found = predictor(clip, onset_frame=row["onset_frame"], apex_frame=row["apex_frame"]).expressions[0]
    assert list(found.aus) == [str(number) for number in (AU_NUMBERS if trained is None else trained)]
    assert (found.aus_source, predictor.card.au_words) == (source, said)


def test_a_card_says_which_action_units_were_trained(raw, run):
    planted = [parse_aus(text).vector() for text in pd.read_parquet(raw / "truth.parquet")["aus"]]
    assert load_model(run, "cpu").card.au_trained == [
        number for number, shown in zip(AU_NUMBERS, np.any(planted, 0), strict=True) if shown
    ]


DEMONSTRATION = "a demonstration model, trained on synthetic clips alone: its emotions mean nothing"
LIKELY = [
    pytest.param(0.0, None, 5, "uncertain", id="every class is likely"),
    pytest.param(1.0, None, 1, "expression", id="no class reaches it: the most probable stands alone"),
    pytest.param(0.0, 0.0, 5, "expression", id="a threshold of the user's own"),
    pytest.param(None, None, 0, "uncertain", id="an older card: below 0.4"),
]


@pytest.mark.parametrize(("least", "confidence", "count", "verdict"), LIKELY)
def test_uncertain_is_more_than_one_likely_class(run, clip, row, tmp_path, least, confidence, count, verdict):
    folder = changed(run, tmp_path / "m", least_probability=least, temperature=20.0)  # soft: about 0.2 each
    with Predictor(folder, "cpu", confidence=confidence) as predictor:
        found = predictor(clip, onset_frame=row["onset_frame"], apex_frame=row["apex_frame"]).expressions[0]
    assert (len(found.likely), found.verdict) == (count, verdict)
    assert found.likely[:1] in ([], [found.emotion])


def test_verdicts(run, clip, row, tmp_path):
    still = tmp_path / "still.mp4"
    rng = np.random.default_rng(0)
    first = open_footage(clip).frame(0)
    with VideoWriter(still, 100) as writer:
        for index in range(60):
            noise = rng.normal(0, 1, first.shape)
            writer.write(np.clip(first + noise, 0, 255).astype(np.uint8), index / 100)
    with Predictor(run, "cpu", confidence=1.0) as predictor:
        assert predictor(clip, fps=200).expressions[0].verdict == "uncertain"
        assert predictor(still).expressions[0].verdict == "no micro-expression"
        # Whoever names the frames has seen something.
        assert predictor(still, onset_frame=3, apex_frame=30).expressions[0].verdict == "uncertain"
    with Predictor(run, "cpu", confidence=0.0) as predictor:
        assert predictor(clip, fps=200).expressions[0].verdict == "expression"


def test_every_micro_expression_of_a_long_clip_is_judged(run, long_clip, row):
    with Predictor(run, "cpu") as predictor:
        sights = []
        result = predictor(long_clip, on_expression=sights.append)
        one = predictor(long_clip, every=False)
    starts = [300, 600 + row["n_frames"]]
    assert [found.kind for found in result.expressions] == ["micro", "micro"]
    for start, found in zip(starts, result.expressions, strict=True):
        assert found.apex_frame == pytest.approx(start + row["apex_frame"], abs=6)
        assert found.apex_s == pytest.approx(found.apex_frame / 200, abs=1e-3)
    assert len(one.expressions) == 1
    assert [sight.expression for sight in sights] == result.expressions
    assert sights[0].onset.shape == sights[0].apex.shape == (448, 448, 3)


def test_a_long_clip_without_a_face_is_an_error(run, tmp_path):
    with VideoWriter(tmp_path / "wall.mp4", 25) as writer:
        for index in range(100):
            writer.write(np.full((96, 128, 3), 120, np.uint8), index / 25)
    with Predictor(run, "cpu") as predictor, pytest.raises(MerError, match="no face was found in the"):
        predictor(tmp_path / "wall.mp4")


def test_weights_that_do_not_fit_are_refused(run, tmp_path):
    shutil.copytree(run / "final", tmp_path / "m")
    state, _ = load_network(run)
    state.pop(next(iter(state)))
    text = (run / "final" / "card.json").read_text()
    safetensors.torch.save_file(state, tmp_path / "m" / "weights.safetensors", metadata={"card": text})
    with pytest.raises(MerError, match="do not fit this version's network; train again"):
        Predictor(tmp_path / "m")


def test_the_newest_finished_run_is_found(run, tmp_path):
    for name in ("a/final", "b/seed-1/final", "c/folds/x"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        shutil.copy(run / "final" / "card.json", folder)
    assert newest_run(tmp_path) == tmp_path / "b" / "seed-1"
    with pytest.raises(MerError, match=r"no trained network; make one with mer train .* a model is part"):
        newest_run(tmp_path / "absent")


@pytest.mark.parametrize(
    ("fps", "looked", "expected"),
    [
        pytest.param(200, DetectionCounts(9, 9, 1), [], id="nothing to say"),
        pytest.param(25, DetectionCounts(9, 9, 1), ["25 fps: .* spans only 1.0 to 5.0 frames"], id="slow"),
        pytest.param(None, DetectionCounts(9, 4, 1), ["no face in 5 of the 9 frames"], id="face lost"),
        pytest.param(
            200,
            DetectionCounts(9, 9, 2),
            ["2 faces in one frame: one of them is followed, the largest first"],
            id="two faces",
        ),
    ],
)
def test_warnings(fps, looked, expected):
    found = face_warnings(fps, looked)
    assert len(found) == len(expected)
    assert all(re.search(pattern, text) for pattern, text in zip(expected, found, strict=True))


def test_onset_and_apex_in_one_frame_are_told(run, clip):
    with Predictor(run, "cpu") as predictor:
        result = predictor(clip, onset_frame=5, apex_frame=5)
    assert result.warnings == [DEMONSTRATION, "onset and apex are one frame: there is no motion to classify"]


def test_json_is_json(run, clip):
    with Predictor(run, "cpu") as predictor:
        values = predictor(clip, fps=200).as_json()
    assert json.loads(json.dumps(values)) == values
    assert "timeline" not in values
