"""The papers' tables: their rows, what stands in their columns, and what is said of orientations."""

import csv
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from mer_pipeline import networks
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.axial import axial_mean_deg, axial_sd_deg, deviation_deg, p_against, share_of_start, well
from mer_pipeline.reading import shipped_toml
from mer_pipeline.reports import write_report
from mer_pipeline.runs.ablation import AblationRow, Angles, read_ablation
from mer_pipeline.runs.results import Difference, History, Scores
from mer_pipeline.training import Plan, ablate, chosen_variants, load_recipe, read_table
from mer_pipeline.training.orientations import orientation_remarks
from mer_pipeline.training.tables import as_csv, cells_of, published, published_of_others
from tests.training.conftest import flow_clips

SMALL = {"epochs": 1, "options.channels": [8, 8, 8, 8], "options.stem": [8, 8]}
MODELS = {
    "parts": "facesleuth-tiny",
    "orientation": "facesleuth-flow",
    "scan": "facesleuth-flow",
    "aus": "facesleuth-tiny",
    "lodo": "facesleuth-r",
}


@pytest.mark.parametrize("name", shipped_toml("ablation.toml")["tables"])
def test_every_row_of_every_table_is_a_network_of_its_own(name):
    table = read_table(name)
    model = table.model or MODELS[name]
    rows, notes = chosen_variants(model, {}, [], table)
    assert [row.name for row in rows] == [row.name for row in table.rows]
    assert notes == []
    for row in rows:
        options = {f"options.{key}": value for key, value in row.options.items()}
        assert load_recipe(model, {**options, "size": 64}).parameters() > 0


def test_a_row_for_every_start():
    table = read_table("orientation", [0, 72.5])
    assert [row.name for row in table.rows][-2:] == ["own-0", "own-72.5"]
    assert [row.options["theta_deg"] for row in table.rows[-2:]] == [0.0, 72.5]
    scan = read_table("scan").rows
    assert [row.options["theta_deg"] for row in scan] == list(range(0, 180, 15))
    assert {(row.options["attention"], row.options["head"]) for row in scan} == {("frozen", "mean")}
    assert [row.label for row in read_table("scan", [7.5]).rows] == ["frozen at 7.5"]
    with pytest.raises(MerError, match="the table parts has no row with a start"):
        read_table("parts", [0])
    with pytest.raises(MerError, match="no table is called 'angels'; choose from parts, orientation"):
        read_table("angels")


def test_the_baseline_takes_the_papers_parts():
    sizes = {}
    for row in chosen_variants("resnet18", {}, [], read_table("baselines"))[0]:
        network = networks.build("resnet18", classes=3, size=48, embed_dim=32, **row.options).eval()
        sizes[row.name] = sum(parameter.numel() for parameter in network.parameters())
        assert network.run(networks.example_batch(network, 2)).logits.shape == (2, 3)
    assert sizes["baseline"] < min(sizes["au"], sizes["cva"], sizes["fpf"])
    assert sizes["all-no-au"] == sizes["cva"] + sizes["fpf"] - sizes["baseline"]
    assert sizes["all"] == sizes["au"] + sizes["all-no-au"] - sizes["baseline"]


@pytest.mark.parametrize("aggregators", ["local", "global"])
def test_fdp_without_a_kind_of_aggregator(aggregators):
    small = {"depths": [1, 1, 1, 1], "widths": [12, 12, 24, 24], "stem": [8, 8, 8], "image_widths": [4, 4, 4, 4]}
    network = networks.build("fdp", classes=3, size=64, aggregators=aggregators, **small).eval()
    names = {type(block).__name__ for block in network.encode.blocks}
    assert names == ({"LocalAggregator"} if aggregators == "local" else {"PatchEmbedding", "GlobalAggregator"})
    assert network.run(networks.example_batch(network, 2)).logits.shape == (2, 3)
    with pytest.raises(ValueError, match="choose one of both, local, global"):
        networks.build("fdp", classes=3, size=64, aggregators="none")


def test_the_orientation_table_from_training_to_page(tmp_path):
    clips = flow_clips(subjects=3, clips=3, datasets=("casme2",), noise=1.0)
    rows, _ = chosen_variants("facesleuth-flow", SMALL, ["vertical", "frozen-0", "own-0", "own-45"],
                              read_table("orientation", [0, 45]))  # fmt: skip
    ablate(lambda recipe: clips, "facesleuth-flow", tmp_path / "a", Plan(seeds=2), settings=SMALL, rows=rows,
           device="cpu", table="orientation", pairs=True)  # fmt: skip
    found = read_ablation(tmp_path / "a")
    vertical, _, first, second, *_ = found.rows
    assert vertical.angles is None
    assert (second.parameters - vertical.parameters, len(first.angles.folds_deg), len(first.angles.layers_deg)) == (
        4,
        6,
        4,
    )
    assert first.angles.mean_deg == pytest.approx(axial_mean_deg(first.angles.folds_deg), abs=0.02)
    assert found.facts.table == "orientation"
    starts, frozen, *pairs = found.facts.remarks
    assert starts.startswith("From 2 starts the learned axes (mean over layers, 12 folds) moved")
    assert frozen == "Attention along frozen 90 degrees is not shown to differ from frozen 0 (horizontal) in UF1."
    assert len(pairs) == 6
    header, *lines = csv.reader(as_csv(found.rows).splitlines())
    assert {"row", "UF1", "UAR", "accuracy", "p", "theta, deg", "parameters", "MACs"} <= set(header)
    by_name = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert by_name["an angle a layer, from 45"]["theta, deg"].count("±") == 1
    assert by_name["frozen 90 (CVA)"]["parameters"] == f"{vertical.parameters:,}"
    page = write_report(tmp_path / "a").read_text()
    assert starts in page
    assert "Everything in one table" in page


def test_p_over_seeds_is_corrected_and_published_figures_stand_beside():
    scores = Scores(0.5, 0.5, 0.5)
    rows = [AblationRow("soa", "SOA", scores, p_seeds_holm=0.02, published=published(("soa",), ["casme2"], "casme2-5"))]
    header, (line,) = cells_of(rows)
    assert line[header.index("p over seeds")] == "0.020"
    assert "accuracy 0.951" in line[header.index("published")]
    assert "best epoch on the test subject" in line[header.index("published")]
    assert published(("soa",), ["casme2", "samm"], "casme2-5") == ""
    composite = (["smic", "casme2", "samm"], "megc3")
    (others,) = published_of_others(("ststnet", "soa"), *composite)
    assert others.startswith("Published of others on these sets and classes: UF1 0.860, UAR 0.848 (HTNet, paper;")
    assert published(("ststnet",), *composite).count("UF1") == 4
    assert "0.839 (Off-ApexNet, rebuilt in MEB" in published(("off-apexnet",), *composite)
    assert published_of_others(("soa",), ["casme2"], "casme2-5") == []


def test_axial_statistics():
    assert axial_mean_deg([170, 10]) % 180 == pytest.approx(0, abs=1e-6)
    spread = np.random.default_rng(0).normal(90, 8, 2000)
    assert axial_sd_deg((spread % 180).tolist()) == pytest.approx(8, rel=0.05)
    assert axial_sd_deg([0.0, 90.0]) == 81
    assert p_against([80, 100, 85, 95], 90) == pytest.approx(1)
    assert p_against([178, 2, 1, 179], 90) < 0.01
    assert p_against([90, 90, 90], 90) is None
    stays, mixed = [[0, 2, 178], [45, 46, 44], [90, 91, 89]], [[0, 45, 90], [2, 46, 91], [178, 44, 89]]
    share, p = share_of_start(stays)
    assert share > 0.95
    assert p < 0.01
    share, p = share_of_start(mixed)
    assert share < 0.05
    assert p > 0.5


@pytest.mark.parametrize("axis", [1.0, 37.5, 88.0, 179.0])
def test_a_well_is_found_between_the_axes_that_were_tried(axis):
    tried = np.arange(0, 180, 15)
    losses = 0.7 - 0.5 * np.exp(-0.5 * (np.array([deviation_deg(at, axis) for at in tried]) / 14) ** 2)
    found = well(tried, losses + np.random.default_rng(0).normal(0, 0.02, len(tried)))
    assert abs(deviation_deg(found.at_deg, axis)) <= 2
    assert found.depth == pytest.approx(0.5, abs=0.1)
    assert found.share > 0.9
    assert found.p < 0.01


def test_noise_has_no_well_that_means_anything():
    found = [well(range(0, 180, 15), np.random.default_rng(seed).normal(size=12)).p for seed in range(40)]
    assert 0.3 < np.mean(found) < 0.7
    level = well([0, 45, 90, 135], [0.7, 0.7, 0.7, 0.7])
    assert (level.depth, level.share, level.p) == (0, 0, 1)


@pytest.mark.parametrize(("deep", "said"), [(0.5, "that axis is learned soonest"), (0.0, "no axis is shown")])
def test_a_scan_chooses_by_the_loss_while_learning(deep, said):
    rng, rows = np.random.default_rng(0), []
    for at in range(0, 180, 15):
        near = np.exp(-0.5 * (deviation_deg(at, 52) / 14) ** 2)
        folds = [SimpleNamespace(history=History(loss=[1 - deep * near, 1 - 2 * deep * near + rng.normal(0, 0.1)]))
                 for _ in range(6)]  # fmt: skip
        run = SimpleNamespace(trainings=[SimpleNamespace(folds=folds[:3]), SimpleNamespace(folds=folds[3:])])
        rows.append(SimpleNamespace(settings={"attention": "frozen", "theta_deg": float(at)}, run=run, angles=None))
    (found,) = orientation_remarks(rows)
    assert found.startswith("Over 12 frozen axes the loss while learning has its well at ")
    assert "over 6 folds" in found
    assert said in found
    assert ("at 52 degrees" in found) == bool(deep)
    assert orientation_remarks(rows[:5]) == []


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({0: [0, 2, 178, 1, 179], 45: [44, 45, 46, 43, 47]}, "where an angle ends says where it started"),
        ({0: [89, 90, 91], 45: [90, 88, 92]}, "they agree wherever they start"),
        ({0: [10, 70, 130], 45: [12, 72, 132]}, "they agree on no axis"),
    ],
    ids=["start", "agree", "no axis"],
)
def test_one_honest_sentence_on_learned_angles(ends, said):
    scores = Scores(0.5, 0.5, 0.5)
    vertical = AblationRow("vertical", "frozen 90", scores, settings={"attention": "cva"})
    above = AblationRow("none", "no attention", scores, settings={"attention": "none"},
                difference=Difference(-0.2, -0.3, -0.1, 0.01, 0.01, 0.02, 26))  # fmt: skip
    learned = [
        AblationRow(f"own-{start}", "own", scores, settings={"attention": "soa", "theta_deg": start},
            angles=Angles(axial_mean_deg(folds), axial_sd_deg(folds), (0.0,), None, tuple(map(float, folds))))
        for start, folds in ends.items()
    ]  # fmt: skip
    starts, frozen = orientation_remarks([vertical, above, *learned])
    assert said in starts
    assert frozen == "Attention along frozen 90 degrees is shown to be above no attention in UF1."
    assert orientation_remarks([dataclasses.replace(vertical, settings={})]) == []
