import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.reports import write_report
from mer_pipeline.runs.weights import load_network
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import synthesise
from mer_pipeline.training import OPTIMISTIC, compare, load_clips, load_recipe, train
from mer_pipeline.training.augment import augment, draw

TINY = {"epochs": 2, "options.attention": "soa"}


@pytest.fixture(scope="module")
def clips(cache):
    return load_clips(cache)


def test_clips_keep_their_labels_and_action_units(clips, cache):
    assert len(clips.clip_ids) == 15
    assert clips.label_set == "casme2-5"
    assert set(clips.class_counts.values()) == {3}
    assert clips.aus_known.all()
    assert clips.images.shape == (15, 2, 3, 64, 64)
    assert (clips.images[:, 0] != clips.images[:, 1]).any()


def test_a_run_is_scored_with_spotted_onset_and_apex_too(raw, cache, tmp_path):
    """As a new video is: of the clips that have both, and by the same networks."""
    folder = shutil.copytree(cache, tmp_path / "cache")
    kept = read_dataset(raw)
    unknown = kept.without_key_frames()
    assert {(clip.onset_frame, clip.apex_frame, clip.offset_frame) for clip in unknown.clips} == {(None, None, None)}
    some = dataclasses.replace(unknown, clips=unknown.clips[::5])  # one of each subject: spotting is slow
    preprocess(some, folder / "spotted", Parameters(size=64))
    both = load_clips(folder)
    assert (both.keyframes, int(both.spotted_known.sum())) == ("annotated", 3)
    found = train(both, load_recipe("facesleuth-tiny", {"epochs": 1}), tmp_path / "r", device="cpu")
    scores = found.metrics.by_keyframes
    assert {name: one.clips for name, one in scores.items()} == {"annotated": 3, "spotted": 3}
    (fold, *_) = found.folds
    again = [p.probabilities for p in fold.spotted]
    same = [p.probabilities for p in found.predictions if p.clip_id == fold.spotted[0].clip_id]
    assert again != same, "other frames are shown"
    assert "as in a new video" in write_report(tmp_path / "r", cache=folder).read_text()
    alone = train(load_clips(cache), load_recipe("facesleuth-tiny", {"epochs": 1}), tmp_path / "a", device="cpu")
    assert alone.metrics.scores == found.metrics.scores
    assert alone.metrics.by_keyframes == {}


def test_subjects_of_one_person_are_held_out_together(cache, tmp_path):
    folder = shutil.copytree(cache, tmp_path / "cache")
    (folder / "same_person.csv").write_text("subject,person\ncasme2/03,anna\ncasme2/01,anna\n")
    merged = load_clips(folder)
    assert (set(merged.groups), merged.merged) == ({"casme2/02", "casme2/03"}, {"casme2/01": "casme2/03"})
    found = train(merged, load_recipe("facesleuth-tiny", {"epochs": 1}), tmp_path / "r", device="cpu").check()
    assert (found.metrics.subjects, found.facts.merged) == (2, merged.merged)
    assert {fold.held_out: len(fold.clips) for fold in found.folds} == {"casme2/02": 5, "casme2/03": 10}
    assert compare([found, found]).comparisons[0].difference["uf1"].subjects == 2
    (folder / "same_person.csv").write_text("subject,person\ncasme2/03,anna\ncasme2/03,berta\n")
    with pytest.raises(MerError, match="casme2/03 stands in two rows"):
        load_clips(folder)


def test_a_run_folder_holds_everything(run, clips):
    facts = json.loads((run / "run.json").read_text())
    assert facts["recipe"]["model"] == "facesleuth-tiny"
    assert {"versions", "hardware", "data", "protocol", "selection", "command"} <= set(facts)
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"run", "model", "attention", "protocol", "classes", "folds", "clips", "selection", "accuracy", "uf1", "uar",
            "oracle", "theta_deg", "seconds"} <= set(metrics)  # fmt: skip
    assert metrics["folds"] == 3
    assert metrics["oracle"]["note"] == OPTIMISTIC
    assert set(metrics["controls"]) == {"majority", "svm", "shuffled", "aus-only"}
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    # Three AU sources after the last epoch, and one optimistic choice.
    assert len(rows) == 4 * 15
    truth = dict(zip(clips.clip_ids, clips.labels.tolist(), strict=True))
    for row in rows:
        assert clips.classes[truth[row["clip_id"]]] == row["truth"]
        assert row["clip_id"].startswith(row["fold"] + "/")
    for folder in [*(run / "folds").iterdir(), run / "final"]:
        _, card = load_network(folder)
        assert card.classes == list(clips.classes)
        assert (folder / "card.json").is_file()
        assert card.subjects == (3 if card.held_out is None else 2)


def table(run):
    return (run / "predictions.csv").read_text()


def test_same_seed_same_numbers_also_after_an_interruption(clips, tmp_path):
    recipe = load_recipe("facesleuth-tiny", TINY)
    whole = train(clips, recipe, tmp_path / "whole", device="cpu").metrics.as_json()

    def stop(task, done, total, detail=""):
        if done == 3:  # in the middle of the second fold
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(clips, recipe, tmp_path / "parts", device="cpu", progress=stop)
    first = next((tmp_path / "parts" / "folds").glob("*/result.json"))
    written = first.stat().st_mtime_ns
    events = []
    resumed = train(
        clips, recipe, tmp_path / "parts", device="cpu", progress=lambda *event: events.append(event)
    ).metrics.as_json()
    assert table(tmp_path / "whole") == table(tmp_path / "parts")
    assert resumed["uf1"] == whole["uf1"]
    assert first.stat().st_mtime_ns == written
    assert "was finished before" in events[0][3]
    assert events[-1][1] == events[-1][2] == 2 * 4

    other = train(clips, dataclasses.replace(recipe, seed=1), tmp_path / "other", device="cpu").metrics.as_json()
    assert table(tmp_path / "other") != table(tmp_path / "whole")
    assert other["folds"] == 3


def test_a_folder_of_another_run_is_refused(clips, run, tmp_path):
    with pytest.raises(MerError, match="run with another recipe; choose another --out"):
        train(clips, load_recipe("facesleuth-tiny", {"epochs": 3}), run, device="cpu")
    shuffled = dataclasses.replace(clips, labels=clips.labels.flip(0))
    with pytest.raises(MerError, match="run with another data"):
        train(shuffled, load_recipe("facesleuth-tiny", {"epochs": 1}), run, device="cpu")
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(MerError, match="not a run folder"):
        train(clips, load_recipe("facesleuth-tiny"), tmp_path, device="cpu")


@pytest.mark.parametrize("model", ["facesleuth-tiny"])
@pytest.mark.parametrize("attention", ["cva", "soa", "soa-shared", "horizontal", "none"])
def test_every_attention_mode_trains(clips, tmp_path, model, attention):
    rows = [row for row, group in enumerate(clips.groups) if group != "casme2/03"]
    two = dataclasses.replace(
        clips,
        clip_ids=[clips.clip_ids[row] for row in rows],
        groups=[clips.groups[row] for row in rows],
        **{name: getattr(clips, name)[rows] for name in ("labels", "images", "aus", "aus_known")},
    )
    recipe = load_recipe(model, {"epochs": 1, "options.attention": attention, "class_weights": "balanced"})
    summary = train(two, recipe, tmp_path / "run", device="cpu").metrics.as_json()
    assert summary["attention"] == attention
    assert len(summary["theta_deg"]) == {"soa": 4, "soa-shared": 1}.get(attention, 0)


@pytest.fixture(scope="module")
def learnable(tmp_path_factory):
    """Enough subjects to learn from, every class once a subject."""
    folder = tmp_path_factory.mktemp("learnable")
    synthesise(folder / "raw", subjects=5, clips=5, seed=0)
    preprocess(read_dataset(folder / "raw"), folder / "cache", Parameters(size=64))
    return load_clips(folder / "cache")


LEARNING = {"epochs": 40, "batch": 8, "options.attention": "soa", "options.position": False}


@pytest.mark.slow  # the demo, whose score `scripts/check_demo.py` holds, shows it for the same network and more clips
def test_loso_is_far_above_chance(learnable, tmp_path):
    found = train(learnable, load_recipe("facesleuth-tiny", LEARNING), tmp_path / "run", device="cpu")
    assert found.metrics.scores.uar > 0.6


@pytest.mark.slow  # a small network's is among the tests of selections
def test_loso_with_shuffled_labels_is_near_chance(learnable, tmp_path):
    order = torch.randperm(len(learnable.labels), generator=torch.Generator().manual_seed(1))
    shuffled = dataclasses.replace(learnable, labels=learnable.labels[order])
    found = train(shuffled, load_recipe("facesleuth-tiny", LEARNING), tmp_path / "run", device="cpu")
    assert found.metrics.scores.uar < 0.4  # five classes: 1/5, and 25 clips scatter


def changed(images, seed=0, **how):
    nothing = {"flip": 0.0, "rotation_deg": 0.0, "shift": 0.0}
    recipe = load_recipe("facesleuth-tiny", {**nothing, **how})
    return augment(images, draw(len(images), recipe, torch.Generator().manual_seed(seed)))


def test_augmentation_changes_both_frames_alike():
    pairs = torch.rand(6, 1, 3, 32, 32).repeat(1, 2, 1, 1, 1)
    moved = changed(pairs, flip=0.5, rotation_deg=10.0, shift=0.1)
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert not torch.allclose(moved, pairs)


def test_augmentation_of_nothing_is_nothing():
    pairs = torch.rand(3, 2, 3, 16, 16)
    assert torch.equal(changed(pairs), pairs)
    assert torch.allclose(changed(pairs, flip=1.0), pairs.flip(-1), atol=1e-5)


def test_a_shift_stays_inside_its_bound():
    pairs = torch.zeros(64, 1, 1, 33, 33)
    pairs[..., 16, 16] = 1
    moved = changed(pairs, shift=0.1)
    where = torch.tensor(
        np.argwhere(moved.flatten(1).numpy() == moved.flatten(1).max(1, keepdim=True)[0].numpy())[:, 1]
    )
    distance = torch.stack([where // 33 - 16, where % 33 - 16]).abs()
    assert 2 <= distance.max() <= 4
