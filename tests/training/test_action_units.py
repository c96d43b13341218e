"""Action Units are heard by the classifier, and how well they are found is scored."""

import dataclasses

import numpy as np
import pytest
import torch

from mer_pipeline.cache.chain import Chain
from mer_pipeline.evaluation.compare import compare
from mer_pipeline.evaluation.metrics import unit_scores
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.networks import build
from mer_pipeline.reports import write_report
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.training import ClipSet, Plan, load_recipe, model_names, train
from mer_pipeline.training.loop import predict, start_au_head, train_network

CPU = torch.device("cpu")
SLIM = {"options.stem": [8, 12], "options.channels": [12, 16, 16, 32]}
# What lets two dozen steps be enough.
QUICK = {"epochs": 16, "batch": 16, "lr": 5e-3, "weight_decay": 0.0, "flip": 0.0, "rotation_deg": 0.0, "shift": 0.0}
# Models that take Action Units when asked to.
ASKED = {
    "mmnet": {**SLIM, "options.au_input": True, "options.head": "branch"},
    "resnet18": {"epochs": 6, "options.au_input": True, "options.head": "branch"},
}
# The authors' head hears Action Units where the picture names nothing and is shifted and turned, as in their training.
RELEASE = {"epochs": 32, "batch": 20, "flip": 0.5, "rotation_deg": 3.0, "shift": 15 / 224}
CLASSES = 4


def entries():
    """Every model of the zoo that takes Action Units, in a small size; and those that can be asked to."""
    for name in model_names():
        recipe = load_recipe(name)
        if "au_input" in recipe.network_options:
            small = {"options.embed_dim": 8} if recipe.network == "facesleuth" else {}
            small |= SLIM if recipe.network.startswith("facesleuth") else {}
            release = recipe.network_options["head"] == "release"
            settings = {**QUICK, **small, **ASKED.get(name, {}), **(RELEASE if release else {})}
            yield pytest.param(name, settings, (40, 0) if release else (16, 4), id=name)


def a_set(view: str, count: int = 16, planted: int = 4) -> ClipSet:
    """Clips whose Action Units name the class, and by default their pictures too."""
    generator, labels = torch.Generator().manual_seed(0), torch.arange(count) % CLASSES
    size = 28 if view == "flow" else 32
    if view == "flow":
        images = 0.3 * torch.randn(count, 1, 3, size, size, generator=generator)
    else:
        images = torch.randint(60, 200, (count, 1, 3, size, size), generator=generator).repeat(1, 2, 1, 1, 1)
        images[:, 1] += torch.randint(-5, 6, images[:, 1].shape, generator=generator)
    for row, label in enumerate(labels):
        images[row, -1, :, 6 * label : 6 * label + 6, 8:20] += 1 if view == "flow" else planted
    aus = torch.zeros(count, len(AU_NUMBERS))
    aus[torch.arange(count), 3 * labels] = 1
    aus[torch.arange(count), 15 + torch.arange(count) % 5] = 1
    return ClipSet(
        clip_ids=[f"s/{row % 4}/{row}" for row in range(count)],
        groups=[f"s/{row % 4}" for row in range(count)],
        labels=labels,
        images=images if view == "flow" else images.to(torch.uint8),
        aus=aus,
        aus_known=torch.ones(count, dtype=torch.bool),
        classes=tuple("abcd"),
        label_set="four",
        view=view,
        chain=Chain(size, (), "", "published"),
    )


def swapped_answers(model: str, settings: dict, of: tuple[int, int] = (16, 4)) -> tuple[float, float]:
    """Accuracy of an overfitted network, and the share of answers that the Action Units of another class change."""
    recipe = load_recipe(model, settings)
    clips = a_set(recipe.view, *of)
    everyone = range(len(clips.clip_ids))
    network = train_network(clips, everyone, (), recipe, seed=0, device=CPU, on_epoch=lambda *_: None).network
    own = predict(network, clips, everyone, "annotated", CPU).argmax(1)
    others = dataclasses.replace(clips, aus=clips.aus.roll(-1, 0))
    other = predict(network, others, everyone, "annotated", CPU).argmax(1)
    return (own == clips.labels).float().mean().item(), (own != other).float().mean().item()


def test_no_model_that_takes_action_units_is_left_out():
    takes = {name for name in model_names() if load_recipe(name).network_options.get("au_input")}
    assert takes | set(ASKED) == {entry.id for entry in entries()}
    assert len(takes) >= 6


@pytest.mark.parametrize(("model", "settings", "of"), list(entries()))
def test_other_action_units_change_a_third_of_the_answers(model, settings, of):
    accuracy, changed = swapped_answers(model, settings, of)
    assert accuracy > 0.9
    assert changed >= 1 / 3


@pytest.mark.parametrize(
    ("model", "settings"),
    [("facesleuth-tiny", {"options.head": "literal"}), ("facesleuth-paper", {"options.embed_dim": 8})],
    ids=["literal head", "release's head"],
)
def test_the_papers_heads_do_not_hear_them_where_pictures_name_the_class(model, settings):
    accuracy, changed = swapped_answers(model, {**QUICK, **SLIM, **settings})
    assert accuracy > 0.9
    assert changed < 0.1


def test_the_estimate_starts_at_the_base_rates_of_the_training_clips():
    annotated = torch.zeros(9, 21)
    annotated[0, 0] = annotated[:, 1] = 1
    network = build("facesleuth-flow", classes=3, size=28, stem=[4, 4], channels=[4, 4, 4, 4])
    recipe = load_recipe("facesleuth-flow")
    bias = network.action_units.head[-1].bias
    weight = start_au_head(network, annotated, recipe)
    odds = torch.tensor([0.15 / 0.85, 0.95 / 0.05, 0.05 / 0.95])
    assert weight[:3].tolist() == pytest.approx(odds.rsqrt().clamp(min=1).tolist(), rel=1e-5)
    assert bias[:3].tolist() == pytest.approx((weight[:3] * odds).log().tolist(), rel=1e-5)
    plain = load_recipe("facesleuth-flow", {"au_weights": "none"})
    assert start_au_head(network, annotated, plain).tolist() == [1] * 21
    assert bias[:3].tolist() == pytest.approx(odds.log().tolist(), rel=1e-5)


def test_unit_scores_are_of_units_that_occur_and_of_annotated_clips():
    truth, found = np.zeros((4, 21), np.float32), np.full((4, 21), 0.1, np.float32)
    truth[:2, 3], truth[:, 4] = 1, 1
    found[:, 3] = [0.9, 0.2, 0.6, 0.1]
    scores = unit_scores(found, truth, np.array([True, True, True, False]))
    assert list(scores) == [AU_NUMBERS[3]]
    one = scores[AU_NUMBERS[3]]
    assert (one.clips, one.f1, one.auc) == (2, 0.5, 0.5)
    assert one.constant_f1 == pytest.approx(2 * 2 / (3 + 2))


def test_a_run_scores_its_estimates(tmp_path):
    settings = {**QUICK, **SLIM, "epochs": 2}
    run = train(a_set("flow"), load_recipe("facesleuth-flow", settings), tmp_path / "run", Plan(seeds=2), device="cpu")
    scores = run.metrics.au_scores
    assert set(scores) == {AU_NUMBERS[at] for at in (0, 3, 6, 9, 15, 16, 17, 18, 19)}
    assert Run(tmp_path / "run").metrics.au_scores == scores
    assert run.metrics.as_json()["au_macro_f1"] == pytest.approx(sum(one.f1 for one in scores.values()) / 9)
    _, card = load_network(tmp_path / "run" / "seed-0" / "final")
    assert set(card.au_f1) == {str(number) for number in scores}
    assert card.au_words.startswith("Action Units of new subjects: F1 0.")
    compared = compare([run, run]).as_json()["runs"]
    assert compared[0]["au_macro_f1"] == run.metrics.au_macro_f1
    page = write_report(tmp_path / "run").read_text()
    assert "own estimate of the Action Units" in page
    without = train(a_set("flow"), load_recipe("ststnet", {"epochs": 1}), tmp_path / "no", device="cpu")
    assert without.metrics.au_scores == {}
    assert without.metrics.as_json()["au_macro_f1"] is None
