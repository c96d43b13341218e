"""A cache and runs of the version before cards named their chain: read as they are, with the same numbers."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from mer_pipeline.cache.chain import read_chain
from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets import read_dataset
from mer_pipeline.evaluation.compare import compare
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference import Predictor
from mer_pipeline.inference.model import _parameters
from mer_pipeline.inputs.views import VIEWS
from mer_pipeline.reports import write_report
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.training import Plan, load_clips, load_recipe, train

HERE = Path(__file__).parent / "data" / "before"
WRITTEN_S = 1_700_000_000  # the frames' modification time, which belongs to the keys of the cache
GIVEN = Parameters(32, motion="tvl1", frames=3)  # to the stages that made the cache
# As an older version trained, whose heads had no scale for Action Units and whose estimates began at even odds.
OLDER = {"options.head": "literal", "au_start": "even", "au_weights": "none"}
SMALL = {**OLDER, "epochs": 2, "options.channels": [8, 8, 8, 8], "options.stem": [4, 4], "options.position": False}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    folder = tmp_path_factory.mktemp("before")
    for part in ("raw", "cache", "runs"):
        shutil.copytree(HERE / part, folder / part)
    frames = list((folder / "raw").rglob("*.jpg"))
    assert len(frames) == 20
    for frame in frames:
        os.utime(frame, (WRITTEN_S, WRITTEN_S))
    return folder


def test_a_second_preprocess_on_the_old_cache_computes_nothing(before):
    summary = preprocess(read_dataset(before / "raw" / "small"), before / "cache", GIVEN)
    stages = ("keyframes", "detect", "align", "crop", "motion")
    assert summary.stages == {stage: {"computed": 0, "cached": 4, "failed": 0} for stage in stages}
    assert summary.decoded_frames == 0
    assert summary.notes == ["small: what MediaPipe 0.10.21 found is kept; --detector face-mesh finds all faces anew"]
    assert set(read_manifests(before / "cache")["detector"]) == {"mediapipe"}
    assert read_chain(before / "cache" / "small").detector == ("mediapipe",)


@pytest.fixture
def copied(before, tmp_path):
    """The old cache, to be changed."""
    return Path(shutil.copytree(before / "cache", tmp_path / "cache"))


def without_landmarks(cache, annotations):
    for path in (cache / "objects" / "detect" / "19").iterdir():
        path.unlink()
    return annotations


def with_a_new_clip(cache, annotations):
    added = dataclasses.replace(annotations.clips[0], name="new", onset_frame=0)
    return dataclasses.replace(annotations, clips=(*annotations.clips, added))


@pytest.mark.parametrize(
    ("change", "keep"),
    [(without_landmarks, True), (with_a_new_clip, True), (lambda _, annotations: annotations, False)],
    ids=["landmarks are lost", "a clip is new", "asked for"],
)
def test_old_landmarks_serve_all_clips_or_none(before, copied, change, keep):
    annotations = change(copied, read_dataset(before / "raw" / "small"))
    kept = sorted(path.name for path in (copied / "objects" / "detect").rglob("*") if path.is_file())
    summary = preprocess(annotations, copied, GIVEN, keep_landmarks=keep)
    assert summary.stages["detect"] == {"computed": len(annotations.clips), "cached": 0, "failed": 0}
    assert summary.notes == [
        "small: all faces are found anew by face-mesh; what MediaPipe 0.10.21 found stays in the cache"
    ]
    assert read_chain(copied / "small").detector == Detector().identity
    assert set(read_manifests(copied)["detector"]) == {"face-mesh"}
    assert set(kept) < {path.name for path in (copied / "objects" / "detect").rglob("*")}
    assert preprocess(annotations, copied, GIVEN).notes == []


def test_a_clip_that_had_no_face_leaves_the_others_landmarks(before, copied):
    annotations = read_dataset(before / "raw" / "small")
    without_landmarks(copied, annotations)
    table = read_manifests(copied)
    (lost,) = [at for at, key in enumerate(table["detect_key"]) if key.startswith("19")]
    table.loc[lost, "status"] = "failed"
    table.to_parquet(copied / "small" / "manifest.parquet")
    summary = preprocess(annotations, copied, GIVEN)
    assert summary.stages["detect"] == {"computed": 0, "cached": 3, "failed": 1}
    assert summary.failures[0]["reason"].startswith("MediaPipe 0.10.21 found no face here; --detector face-mesh")


def test_a_card_that_names_the_old_landmarks_takes_face_mesh_and_says_so(before):
    chain = read_chain(before / "cache" / "small")
    _, card = load_network(before / "runs" / "tiny")
    parameters, notes = _parameters(dataclasses.replace(card, chain=chain), VIEWS["pair"], None)
    assert parameters.detector == Detector("face-mesh")
    assert [note for note in notes if "0.10.21" in note] == [
        "the network was trained on landmarks of MediaPipe 0.10.21; face-mesh runs the same models, 0.002 px apart on "
        "average"
    ]


@pytest.mark.parametrize("view", ["pair", "sequence", "flow", "flow_sequence"])
def test_the_old_cache_is_shown_in_every_view(before, view):
    clips = load_clips(before / "cache", view=view, frames=3)
    assert (len(clips.clip_ids), clips.chain.detector, clips.chain.size) == (4, ("mediapipe",), 32)


@pytest.mark.parametrize(("run", "expected"), [("tiny", "predicted"), ("flow/seed-0", "predicted-flow")])
def test_an_old_run_predicts_what_it_predicted(before, run, expected):
    with Predictor(before / "runs" / run, "cpu") as predictor:
        for told in json.loads((HERE / f"{expected}.json").read_text()):
            found = predictor(before / told["clip"], onset_frame=1, apex_frame=3, fps=200).as_json()
            (was,), (now,) = told["expressions"], found["expressions"]
            assert now["probabilities"] == pytest.approx(was["probabilities"], abs=1e-3)
            assert now["aus"] == pytest.approx(was["aus"], abs=1e-3)
            assert {key: now[key] for key in was if key not in ("probabilities", "aus")} == {
                key: was[key] for key in was if key not in ("probabilities", "aus")
            }
            (note,) = set(found["warnings"]) - set(told["warnings"])
            assert note.startswith("the network's card does not say how its faces were found")


def test_old_runs_are_compared_and_reported(before, tmp_path):
    found = compare([Run(before / "runs" / "tiny"), Run(before / "runs" / "flow")]).as_json()
    page = write_report(before / "runs" / "tiny", tmp_path / "tiny.html", cache=before / "cache").read_text()
    assert [run["uf1"] for run in found["runs"]] == pytest.approx(
        [json.loads((HERE / "runs" / run / "metrics.json").read_text())["uf1"] for run in ("tiny", "flow")]
    )
    assert "facesleuth-tiny was trained in 2 folds" in page


@pytest.mark.parametrize(
    ("run", "model", "settings", "seeds"),
    [
        ("tiny", "facesleuth-tiny", SMALL, 1),
        ("flow", "ststnet", {"epochs": 2, "au_start": "even", "au_weights": "none"}, 2),
    ],
)
def test_an_old_run_goes_on_with_the_same_numbers(before, tmp_path, run, model, settings, seeds):
    """One fold and the final network are trained anew, the other fold is taken as it is."""
    shutil.copytree(before / "runs" / run, tmp_path / run)
    parts = [tmp_path / run] if seeds == 1 else sorted((tmp_path / run).glob("seed-*"))
    weights = {part: load_network(part)[0] for part in parts}
    for part in parts:
        shutil.rmtree(part / "folds" / "small-p2")
        shutil.rmtree(part / "final")
    recipe = load_recipe(model, settings)
    clips = load_clips(before / "cache", view=recipe.view, size=recipe.size, frames=recipe.frames)
    train(clips, recipe, tmp_path / run, Plan(seeds=seeds), device="cpu")
    was, now = (json.loads((folder / run / "metrics.json").read_text()) for folder in (HERE / "runs", tmp_path))
    for values in (was, now):
        for timed in ("seconds", "run", "runs"):
            values.pop(timed, None)
    assert set(now) >= set(was)
    # The counts were of the first seed and are of all.
    assert [sum(row) for row in now["confusion"]] == [seeds * sum(row) for row in was["confusion"]]
    assert seeds > 1 or now["confusion"] == was["confusion"]
    for score in ("uf1", "uar", "accuracy", "folds", "clips", "theta_deg"):
        assert now[score] == pytest.approx(was[score], abs=1e-3), score
    for part in parts:
        again, card = load_network(part)
        assert card.chain.detector == ("mediapipe",)
        for name, tensor in weights[part].items():
            assert again[name].float().numpy() == pytest.approx(tensor.float().numpy(), abs=1e-4), name
