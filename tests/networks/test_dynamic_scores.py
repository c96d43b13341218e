"""FDP's dynamic image and ranking, scored over clips."""

import pytest
import torch
from scipy import ndimage, stats

from mer_pipeline.networks.rank_pooling import kendall_tau, similarity
from mer_pipeline.training import ClipSet, Plan, load_recipe, train
from tests.networks.tiny import OPTIONS, random_batch, tiny


def test_kendalls_tau_is_scipys():
    scores = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    expected = [stats.kendalltau(range(8), row).statistic for row in scores.tolist()]
    assert kendall_tau(scores).tolist() == pytest.approx(expected, abs=1e-6)
    assert kendall_tau(torch.arange(5.0)[None]).item() == 1


def test_structural_similarity_is_the_formula():
    first, second = torch.rand(2, 2, 1, 24, 24, generator=torch.Generator().manual_seed(0)).double()

    def mean(picture):
        return ndimage.gaussian_filter(picture, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    for at in range(2):
        a, b = first[at, 0].numpy(), second[at, 0].numpy()
        joint, var = mean(a * b) - mean(a) * mean(b), mean(a * a) - mean(a) ** 2 + mean(b * b) - mean(b) ** 2
        found = (2 * mean(a) * mean(b) + 1e-4) * (2 * joint + 9e-4)
        found = (found / ((mean(a) ** 2 + mean(b) ** 2 + 1e-4) * (var + 9e-4))).mean()
        assert similarity(first, second)[at].item() == pytest.approx(found, abs=1e-6)
    assert similarity(first, first).tolist() == pytest.approx([1, 1])


def test_fdp_measures_itself_over_the_held_out_clips(tmp_path):
    network = tiny("fdp").eval()
    found = network.measure(random_batch(network, 3))
    assert {name: tuple(values.shape) for name, values in found.items()} == dict.fromkeys(
        ("image_error", "image_ssim", "kendall_tau"), (3,)
    )
    frames = torch.randint(0, 255, (6, 8, 1, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    groups = [f"s/{row % 3}" for row in range(6)]
    ids, known = [f"{group}/{row}" for row, group in enumerate(groups)], torch.zeros(6, dtype=torch.bool)
    labels, aus = torch.arange(6) % 2, torch.zeros(6, 21)
    clips = ClipSet(ids, groups, labels, frames, aus, known, ("a", "b"), "two", view="sequence")
    options = {f"options.{name}": value for name, value in OPTIONS["fdp"].items()}
    recipe = load_recipe("fdp", {"epochs": 1, "size": 32, **options})
    run = train(clips, recipe, tmp_path / "r", Plan(seeds=2), device="cpu")
    assert set(run.metrics.measured) == set(found)
    each = [values["kendall_tau"] for one in run.trainings for fold in one.folds for values in fold.measured.values()]
    assert len(each) == 12
    assert run.metrics.measured["kendall_tau"] == pytest.approx(sum(each) / 12)
