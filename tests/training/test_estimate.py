"""What a training would cost, foreseen without a step."""

import pytest

from mer_pipeline.training import Plan, load_clips, load_recipe, long_training


@pytest.mark.parametrize(
    ("model", "epochs", "hours"),
    [("resnet18", 100_000, True), ("resnet18", 1, False), ("facesleuth-tiny", 99, False)],
    ids=["long", "short", "small"],
)
def test_a_training_of_more_than_an_hour_on_a_cpu_is_said_before_it(cache, model, epochs, hours):
    clips = load_clips(cache)
    said = long_training(clips, load_recipe(model, {"epochs": epochs}), Plan(seeds=1, jobs=1), "cpu")
    assert [("--dry-run measures it" in warning) for warning in said] == [True] * hours
