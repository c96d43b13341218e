"""Trainings that begin with the weights of another run."""

from dataclasses import replace

import pytest
import torch

from mer_pipeline.errors import MerError
from mer_pipeline.recipe import load_recipe
from mer_pipeline.runs.weights import load_network, save_network
from mer_pipeline.training import Plan, train
from tests.training.conftest import flow_clips

TINY = {"epochs": 1, "options.filters": [2, 2, 2]}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run on two other sets."""
    clips = flow_clips(subjects=1, clips=3, datasets=("samm", "mmew"))
    return train(
        clips, load_recipe("ststnet", TINY), tmp_path_factory.mktemp("earlier") / "run", Plan("lodo"), device="cpu"
    )


def trained(run, clips, out, **settings):
    recipe = load_recipe("ststnet", {**TINY, "lr": 0.0, "start": str(run.folder), **settings})
    return train(clips, recipe, out, Plan("lodo"), device="cpu")


def test_it_begins_where_the_other_ended_and_says_so(earlier, tmp_path, two_sets):
    run = trained(earlier, two_sets, tmp_path / "run")
    (before, card), (after, _) = load_network(earlier.folder), load_network(run.folder)
    learned = [name for name in before if "running" not in name and "tracked" not in name]
    assert learned
    for name in learned:  # nothing moves at a learning rate of 0
        torch.testing.assert_close(after[name], before[name])
    (note,) = [note for note in run.facts.notes if "begin as those" in note]
    assert note.startswith(f"{len(before)} of {len(before)} tensors begin as those of ststnet, trained on mmew, samm")
    assert card.datasets == ["mmew", "samm"]


def test_a_run_is_not_gone_on_with_from_other_weights(earlier, tmp_path, two_sets):
    """Folds that began with different weights would be scored as one system."""
    (copy := tmp_path / "copy").mkdir()
    weights = copy / "weights.safetensors"
    state, card = load_network(earlier.folder)
    save_network(copy, state, card)
    recipe = load_recipe("ststnet", {**TINY, "start": str(weights)})
    train(two_sets, recipe, tmp_path / "run", Plan("lodo"), device="cpu")
    save_network(copy, {name: tensor + 1 for name, tensor in state.items()}, card)
    with pytest.raises(MerError, match=r"the weights that this run began with .* have changed; restore them"):
        train(two_sets, recipe, tmp_path / "run", Plan("lodo"), device="cpu")


def test_other_classes_have_a_head_of_their_own(earlier, tmp_path, two_sets):
    clips = replace(two_sets, classes=("positive", "negative", "surprise"))
    run = trained(earlier, clips, tmp_path / "run")
    before, after = load_network(earlier.folder)[0], load_network(run.folder)[0]
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert "streams.0.0.weight" in kept
    assert not {"classify.weight", "classify.bias"} & kept


@pytest.mark.parametrize(
    ("datasets", "settings", "message"),
    [
        (("samm", "casme2"), {}, "its weights were trained on samm, whose clips are tested here"),
        (("casme2", "smic"), {"options.filters": [3, 3, 3]}, "no weight of it fits ststnet as it is built here"),
        (("casme2", "smic"), {"start": "absent"}, "no such model"),
    ],
    ids=["seen", "other shapes", "absent"],
)
def test_what_cannot_be_begun_with_leaves_no_run(earlier, tmp_path, datasets, settings, message):
    clips = flow_clips(subjects=1, clips=3, datasets=datasets)
    with pytest.raises(MerError, match=message):
        trained(earlier, clips, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
