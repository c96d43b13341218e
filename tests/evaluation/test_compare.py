"""Tests between runs, and the tables that are made of them."""

import dataclasses
import json

import numpy as np
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.calibration import calibrate
from mer_pipeline.evaluation.compare import compare
from mer_pipeline.reading import read_json
from mer_pipeline.runs.ablation import read_ablation
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.run import Run
from mer_pipeline.training import Plan, ablate, chosen_variants, load_recipe, read_table, train
from mer_pipeline.training.tables import as_latex

QUICK = {"epochs": 2, "batch": 8, "lr": 5e-3}
SMALL = {"epochs": 2, "batch": 8, "options.channels": [8, 8, 8, 8], "options.stem": [8, 8]}


def test_runs_are_compared_in_words(two_sets, tmp_path):
    train(
        two_sets,
        load_recipe("ststnet", {**QUICK, "epochs": 20}),
        tmp_path / "a",
        Plan("kfold:2", seeds=2),
        device="cpu",
    )
    train(two_sets, load_recipe("ststnet", {**QUICK, "lr": 0.0}), tmp_path / "b", Plan("lodo"), device="cpu")
    found = compare([Run(tmp_path / "a"), Run(tmp_path / "b")]).as_json()
    (comparison,) = found["comparisons"]
    assert comparison["difference"]["uf1"]["low"] > 0
    assert "has the higher UF1" in comparison["conclusion"]
    assert "nothing is said of other seeds of" in comparison["conclusion"]
    assert "mind that the protocols differ (kfold:2, lodo)" in comparison["conclusion"]
    assert comparison["difference"]["uf1"]["p"] == pytest.approx(
        2 / 2**8, abs=1e-4
    )  # eight subjects: all swapped, or none
    assert comparison["paired_t"] is None
    same = compare([Run(tmp_path / "a"), Run(tmp_path / "a")]).as_json()["comparisons"][0]
    assert {name: same["difference"]["uf1"][name] for name in ("value", "p")} == {"value": 0, "p": 1}
    assert "has the higher" not in same["conclusion"]


def test_runs_on_different_clips_are_refused(one_set, two_sets, shuffled, tmp_path):
    recipe = load_recipe("ststnet", {**QUICK, "epochs": 1})
    for name, clips in (("one", one_set), ("two", two_sets), ("shuffled", shuffled)):
        train(clips, recipe, tmp_path / name, device="cpu")
    with pytest.raises(MerError, match="24 clips are only in one of"):
        compare([Run(tmp_path / "one"), Run(tmp_path / "two")])
    with pytest.raises(MerError, match="have another label"):
        compare([Run(tmp_path / "one"), Run(tmp_path / "shuffled")])
    with pytest.raises(MerError, match="not a run folder"):
        compare([Run(tmp_path / "one"), Run(tmp_path / "nothing")])
    with pytest.raises(MerError, match="two run folders"):
        compare([Run(tmp_path / "one")])


def test_a_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (600, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = [rng.choice(3, p=row) for row in p]
    sharp = np.exp(4 * logits) / np.exp(4 * logits).sum(1, keepdims=True)
    rows = [
        Prediction(f"d/{i % 20}/{i}", f"d/{i % 20}", "last", "unused", "abc"[t], "abc"[row.argmax()], row.tolist())
        for i, (t, row) in enumerate(zip(truth, sharp, strict=True))
    ]
    found = calibrate(rows, ["a", "b", "c"], {})
    assert found.temperature == pytest.approx(4, rel=0.2)
    assert found.ece_after < 0.06 < found.ece_before


def test_an_ablation_is_a_table_that_goes_on_where_it_stopped(one_set, tmp_path):
    rows, notes = chosen_variants("facesleuth-flow", SMALL, [])
    assert [row.name for row in rows] == [
        "baseline",
        "au",
        "cva",
        "all",
        "horizontal",
        "soa-shared",
        "soa",
        "soa-no-au",
    ]
    assert "+FPF is left out: in facesleuth-flow it is baseline" in notes
    chosen = [row for row in rows if row.name in ("baseline", "soa")]
    arguments = {"settings": SMALL, "rows": chosen, "device": "cpu"}
    plan = Plan(seeds=2)
    found = ablate(lambda recipe: one_set, "facesleuth-flow", tmp_path / "a", plan, **arguments)
    by_name = {row["name"]: row for row in found.as_json()["rows"]}
    assert list(by_name) == ["baseline", "soa", "aus-only", "svm", "majority"]
    assert by_name["soa"]["against"] == "baseline"
    assert by_name["soa"]["verdict"]
    assert by_name["aus-only"]["uf1"] == 1.0
    written = read_json(tmp_path / "a" / "ablation.json")
    assert written == json.loads(json.dumps(found.as_json()))
    read = read_ablation(tmp_path / "a")
    assert [row.as_json() for row in read.rows] == written["rows"]
    assert as_latex(read.rows) == (tmp_path / "a" / "table.tex").read_text()
    text = (tmp_path / "a" / "table.txt").read_text()
    assert "AUs only, no image" in text
    assert "optimistic: epoch chosen on the test fold" in text
    assert (tmp_path / "a" / "table.csv").read_text().count("\n") == 6
    assert as_latex(found.rows).count(r"\\") == 6
    events = []
    again = ablate(lambda recipe: one_set, "facesleuth-flow", tmp_path / "a", plan, **arguments,
                   progress=lambda *event: events.append(event[3]))  # fmt: skip
    assert all("finished before" in event for event in events)
    assert again.as_json()["rows"] == found.as_json()["rows"]
    other = dataclasses.replace(one_set, labels=one_set.labels.flip(0))
    with pytest.raises(MerError, match="another fingerprint"):
        ablate(lambda recipe: other, "facesleuth-flow", tmp_path / "a", plan, **arguments)


def test_the_whole_network_has_all_rows():
    every = [row.name for row in read_table("parts").rows]
    assert [row.name for row in chosen_variants("facesleuth-tiny", {}, [])[0]] == every
    with pytest.raises(MerError, match="no row is called 'cvaa'"):
        chosen_variants("facesleuth-tiny", {}, ["cvaa"])
    with pytest.raises(MerError, match="none of the parts"):
        chosen_variants("ststnet", {}, [])
