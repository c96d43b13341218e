import shutil

import pandas as pd
import pytest
import safetensors.torch

from mer_pipeline.errors import MerError
from mer_pipeline.inference import Predictor
from mer_pipeline.inference.predict import _warnings
from mer_pipeline.runs import load_network
from mer_pipeline.stages.keyframes import KeyFrames, Looked


def test_a_fold_predicts_the_clips_of_its_held_out_subject(raw, run):
    truth = pd.read_parquet(raw / "truth.parquet")
    row = truth[truth["subject"] == "03"].iloc[0]
    with Predictor(run / "folds" / "casme2-03", "cpu") as predictor:
        assert predictor.card.held_out == "casme2/03"
        result = predictor(raw / "CASME2-RAW" / "sub03" / row["clip"], fps=row["fps"])
    (found,) = result.expressions
    assert result.as_json()["expressions"][0]["emotion"] in predictor.card.classes
    assert found.onset_frame < found.apex_frame <= found.offset_frame < result.frames


def test_the_crop_of_prediction_is_the_crop_of_training(raw, run, cache):
    """With the annotated frames, prediction must see what training saw, to the last bit."""
    from mer_pipeline.training import load_clips
    from mer_pipeline.training.loop import predict as predict_rows

    clips = load_clips(cache)
    row = pd.read_parquet(raw / "truth.parquet").iloc[4]
    with Predictor(run, "cpu") as predictor:
        result = predictor(
            raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"],
            onset_frame=row["onset_frame"],
            apex_frame=row["apex_frame"],
        )
        at = list(clips.clip_ids).index(row["clip_id"])
        expected = predict_rows(predictor._network, clips, [at], "predicted", predictor._device)[0]
    assert list(result.expressions[0].probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-3)


def test_weights_that_do_not_fit_are_refused(run, tmp_path):
    shutil.copytree(run / "final", tmp_path / "m")
    state, _ = load_network(run)
    state.pop(next(iter(state)))
    text = (run / "final" / "card.json").read_text()
    safetensors.torch.save_file(state, tmp_path / "m" / "weights.safetensors", metadata={"card": text})
    with pytest.raises(MerError, match="do not fit this version's network; train again"):
        Predictor(tmp_path / "m")


@pytest.mark.parametrize(
    ("fps", "looked", "keyframes", "expected"),
    [
        pytest.param(200, Looked(9, 9, 1), KeyFrames(1, 5, 9), [], id="nothing to say"),
        pytest.param(25, Looked(9, 9, 1), KeyFrames(1, 5, 9), ["25 fps: .* spans only 1.0 to 5.0 frames"], id="slow"),
        pytest.param(None, Looked(9, 4, 1), KeyFrames(1, 5, 9), ["no face in 5 of the 9 frames"], id="face lost"),
        pytest.param(200, Looked(9, 9, 2), KeyFrames(1, 5, 9), ["2 faces: the largest is used"], id="two faces"),
        pytest.param(200, Looked(9, 9, 1), KeyFrames(5, 5, 9), ["there is no motion to judge"], id="no motion"),
    ],
)
def test_warnings(fps, looked, keyframes, expected):
    import re

    found = _warnings(fps, looked, keyframes)
    assert len(found) == len(expected)
    assert all(re.search(pattern, text) for pattern, text in zip(expected, found, strict=True))
