"""What is drawn of an epoch, and that a step asks the device for nothing."""

import pytest
import torch

from mer_pipeline.recipe import load_recipe, model_names
from mer_pipeline.training import ClipSet
from mer_pipeline.training.steps import Objective, steps
from tests.training.conftest import flow_clips

NOWHERE, SIZE = torch.device("meta"), 64
SHAPES = {"pair": (2, 3), "flow": (1, 3), "sequence": (8, 1), "flow_sequence": (8, 3)}


def blank(view, size, frames):
    """Three clips of nothing."""
    shown, channels = SHAPES[view]
    ids = [f"one/{row}/c" for row in range(3)]
    return ClipSet(
        clip_ids=ids,
        groups=[name[:-2] for name in ids],
        labels=torch.arange(3),
        images=torch.zeros(3, frames if shown > 2 else shown, channels, size, size),
        aus=torch.zeros(3, 21),
        aus_known=torch.ones(3, dtype=torch.bool),
        classes=("a", "b", "c"),
        label_set="none",
        view=view,
    )


@pytest.mark.parametrize(("model", "prior"), [*((name, "none") for name in model_names()), ("ststnet", "shipped")])
def test_a_step_asks_the_device_for_nothing(model, prior):
    """Tensors of the device `meta` have no values: a step that needs one on the host, or mixes devices, fails."""
    recipe = load_recipe(model, {"au_loss": 0.1, "prior": prior, "flip": 0.5})
    size = recipe.size or SIZE
    network = recipe.outline(size, 3).train()
    clips = blank(network.view, size, network.frames).at(NOWHERE)
    objective = Objective(clips, recipe, torch.ones(3, device=NOWHERE), torch.ones(21, device=NOWHERE))
    (step,) = steps(torch.arange(3), recipe, torch.Generator(), NOWHERE)
    loss = objective.loss(network, step)
    loss.backward()
    torch.optim.AdamW(network.parameters()).step()
    assert (loss.shape, loss.device) == ((), NOWHERE)


def test_an_epoch_draws_what_its_steps_would_draw_one_by_one():
    recipe = load_recipe("ststnet", {"batch": 4, "flip": 0.5, "shift": 0.1})
    rows, generator = torch.arange(10, 19), torch.Generator().manual_seed(3)
    drawn = list(steps(rows, recipe, generator, torch.device("cpu")))
    again = torch.Generator().manual_seed(3)
    order = rows[torch.randperm(9, generator=again)]
    # A last batch of one joins its neighbour.
    assert [len(step.rows) for step in drawn] == [4, 5]
    for step, part in zip(drawn, (order[:4], order[4:]), strict=True):
        change, held = torch.rand(4, len(part), generator=again), torch.rand(len(part), generator=again)
        assert torch.equal(step.rows, part)
        assert torch.equal(step.change[0], torch.where(change[0] < 0.5, -1.0, 1.0))
        assert torch.equal(step.change[2:], (change[2:] * 2 - 1) * 2 * 0.1)
        assert torch.equal(step.substituted, held < recipe.au_substitution)


def test_clips_are_copied_to_a_device_once():
    clips = flow_clips()
    assert clips.at(torch.device("cpu")) is clips
    there = clips.at(NOWHERE)
    assert there is clips.at(NOWHERE)
    assert {getattr(there, name).device for name in ("images", "labels", "aus", "aus_known")} == {NOWHERE}


def test_pictures_that_do_not_fit_stay(monkeypatch):
    monkeypatch.setattr("mer_pipeline.inputs.clip_set.free_memory_mb", lambda device: 0)
    there = flow_clips().at(NOWHERE)
    assert (there.images.device.type, there.labels.device.type) == ("cpu", "meta")
