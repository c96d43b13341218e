"""Seven ways to a wrong number without a warning, and that results do not depend on the machine."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.calibration import calibrate
from mer_pipeline.evaluation.controls import controls
from mer_pipeline.inputs.clip_set import shuffle_labels
from mer_pipeline.reading import read_json
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.run import Run
from mer_pipeline.training import Plan, ablate, chosen_variants, load_recipe, parallel, train
from mer_pipeline.training.tables import as_csv, as_latex, as_text
from tests.training.conftest import flow_clips

QUICK = {"epochs": 2, "batch": 8, "lr": 5e-3}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run of three seeds, and its clips."""
    clips = flow_clips(subjects=3, clips=3, datasets=("casme2",), noise=2.0)
    folder = tmp_path_factory.mktemp("three") / "run"
    return train(
        clips, load_recipe("ststnet", {**QUICK, "epochs": 8}), folder, Plan("kfold:2", seeds=3), device="cpu"
    ), clips


def test_a_table_of_an_oracle_ablation_shows_the_last_epoch(tmp_path):
    clips = flow_clips(subjects=3, clips=3, datasets=("casme2",), noise=2.0)
    small = {"epochs": 5, "options.channels": [8, 8, 8, 8], "options.stem": [8, 8]}
    rows = [row for row in chosen_variants("facesleuth-flow", small, [])[0] if row.name == "baseline"]
    found = ablate(lambda recipe: clips, "facesleuth-flow", tmp_path / "a", Plan(select="oracle", seeds=2),
                   settings=small, rows=rows, device="cpu")  # fmt: skip
    trained = [row for row in found.rows if row.run]
    last = [row.run.metrics.selections["last"].uf1 for row in trained]
    oracle = [row.run.metrics.selections["oracle"].uf1 for row in trained]
    assert last != pytest.approx(oracle), "the two ways to choose must differ for this test to say anything"
    for row, honest, (line, *_) in zip(trained, last, csv.reader(as_csv(found.rows).splitlines()[1:]), strict=False):
        assert row.scores.uf1 == honest
        assert line == row.label
    written = json.loads((tmp_path / "a" / "ablation.json").read_text())["rows"]
    assert [row["uf1"] for row in written[:1]] == last
    for text in (as_text(found.rows), as_csv(found.rows), as_latex(found.rows)):
        for honest, row in zip(last, trained, strict=True):
            assert f"{honest:.3f}" in next(line for line in text.splitlines() if line.startswith(row.label))
    deviation = np.std([seed.honest.uf1 for seed in trained[0].run.metrics.seeds], ddof=1)
    assert trained[0].deviation.uf1 == pytest.approx(deviation)


def renamed(clips, names):
    groups = [names[sorted(set(clips.groups)).index(group)] for group in clips.groups]
    ids = [f"{group}/{clip.rpartition('/')[2]}" for group, clip in zip(groups, clips.clip_ids, strict=True)]
    return dataclasses.replace(clips, clip_ids=ids, groups=groups)


def test_two_subjects_never_share_a_folder(tmp_path):
    clips = renamed(flow_clips(subjects=3, clips=3, datasets=("x",)), ["mine/1-02", "mine-1/02", "mine/3"])
    found = train(clips, load_recipe("ststnet", QUICK), tmp_path / "r", device="cpu").check()
    assert sorted(p.clip_id for p in found.predictions) == sorted(clips.clip_ids)
    assert sorted(fold.held_out for fold in found.folds) == ["mine-1/02", "mine/1-02", "mine/3"]


def test_a_fold_folder_of_an_older_version_is_found(tmp_path):
    clips = renamed(flow_clips(subjects=2, clips=3, datasets=("x",)), ["casme-sq/15", "casme-sq/16"])
    found = train(clips, load_recipe("ststnet", QUICK), tmp_path / "r", device="cpu")
    found.fold_folder("casme-sq/15").rename(tmp_path / "r" / "folds" / "casme-sq-15")
    assert found.fold_folder("casme-sq/15").name == "casme-sq-15"
    assert found.fold_folder("casme-sq/16").name != "casme-sq-16"


@pytest.mark.parametrize("changed", ["s/03,train\ns/02,test", "s/01,train\ns/02,test\ns/03,test"])
def test_a_split_that_was_edited_is_another_run(tmp_path, changed):
    clips = renamed(flow_clips(subjects=3, clips=3, datasets=("x",)), ["s/01", "s/02", "s/03"])
    split, plan = tmp_path / "s.csv", Plan(str(tmp_path / "s.csv"))
    split.write_text("subject,split\ns/01,train\ns/02,test\n")
    found = train(clips, load_recipe("ststnet", QUICK), tmp_path / "r", plan, device="cpu")
    assert found.metrics.subjects == 1  # of the test side
    split.write_text(f"subject,split\n{changed}\n")
    with pytest.raises(MerError, match="this folder holds a run with another split; choose another --out"):
        train(clips, load_recipe("ststnet", QUICK), tmp_path / "r", plan, device="cpu")
    # An older version recorded no split: its folds are compared one by one.
    facts = read_json(tmp_path / "r" / "run.json")
    del facts["split"]
    (tmp_path / "r" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(MerError, match="fold s was trained or tested on other clips; choose another --out"):
        train(clips, load_recipe("ststnet", QUICK), tmp_path / "r", plan, device="cpu")


def test_the_temperature_is_fitted_on_what_it_divides():
    """Logits far beyond what six digits of a probability can say."""
    random = np.random.default_rng(0)
    soft = random.normal(0, 2, (400, 3))
    p = np.exp(soft) / np.exp(soft).sum(1, keepdims=True)
    truth = [random.choice(3, p=row) for row in p]
    sharp = 15 * soft
    rows = []
    for at, (label, logits) in enumerate(zip(truth, sharp, strict=True)):
        shown = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        rows.append(
            Prediction(f"d/{at % 20}/{at}", f"d/{at % 20}", "last", "unused", "abc"[label], "abc"[shown.argmax()],
                       [round(value, 6) for value in shown.tolist()], logits.tolist())
        )  # fmt: skip
    assert calibrate(rows, ["a", "b", "c"], {}).temperature == pytest.approx(15, rel=0.25)


def test_a_fold_records_its_logits(three):
    prediction = three[0].folds[0].predictions[0]
    assert torch.tensor(prediction.logits).softmax(0).tolist() == pytest.approx(prediction.probabilities, abs=1e-5)


def test_every_figure_is_of_all_seeds(three):
    run, clips = three
    metrics, parts = run.metrics, [training.metrics for training in run.trainings]
    assert len({part.scores.uf1 for part in parts}) > 1, "equal seeds would show nothing"
    assert metrics.confusion == tuple(
        tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*(part.confusion for part in parts), strict=True)
    )
    assert sum(map(sum, metrics.confusion)) == 3 * len(clips.clip_ids)
    for name in ("last", "oracle"):
        assert metrics.selections[name].uf1 == pytest.approx(np.mean([part.selections[name].uf1 for part in parts]))
    for name in metrics.per_class:
        assert metrics.per_class[name].f1 == pytest.approx(np.mean([part.per_class[name].f1 for part in parts]))
    for at, control in enumerate(metrics.controls):
        assert control.difference.value == pytest.approx(
            np.mean([part.controls[at].difference.value for part in parts]), abs=1e-3
        )
    low, high = metrics.intervals["uf1"]
    assert low <= metrics.scores.uf1 <= high
    assert metrics.calibration.temperature == pytest.approx(
        np.mean([p.calibration.temperature for p in parts]), abs=1e-4
    )


def test_action_units_alone_know_nothing_of_clips_without_annotation(one_set):
    """Half of the clips lack it: none of these is learned from, or predicted."""
    known = torch.arange(len(one_set.clip_ids)) % 2 == 0
    lacking = dataclasses.replace(one_set, aus_known=known, aus=one_set.aus * known[:, None])
    found = controls(lacking, Plan().folds(lacking), aus=True)
    assert sorted(found["aus-only"]) == known.nonzero().flatten().tolist()
    assert [found["aus-only"][row] for row in found["aus-only"]] == one_set.labels[known].tolist()
    assert len(found["svm"]) == len(one_set.clip_ids)


def test_the_score_of_action_units_alone_is_of_the_clips_that_have_them(one_set, tmp_path):
    known = torch.arange(len(one_set.clip_ids)) % 2 == 0
    lacking = dataclasses.replace(one_set, aus_known=known)
    recipe = load_recipe("facesleuth-flow", {"epochs": 1, "options.channels": [8, 8, 8, 8], "options.stem": [8, 8]})
    found = {one.name: one for one in train(lacking, recipe, tmp_path / "r", device="cpu").metrics.controls}
    assert (found["aus-only"].scores.clips, found["svm"].scores.clips) == (12, 24)


@pytest.mark.parametrize("threads", [2, 4])
def test_the_number_of_threads_changes_nothing(one_set, tmp_path, threads):
    before = torch.get_num_threads()
    for count in (1, threads):
        torch.set_num_threads(count)
        try:
            train(one_set, load_recipe("ststnet", QUICK), tmp_path / str(count), Plan("kfold:2"), device="cpu")
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(before)
    first, second = ((tmp_path / str(count) / "predictions.csv").read_bytes() for count in (1, threads))
    assert first == second


@pytest.mark.slow
def test_folds_in_other_processes_change_nothing(one_set, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_WORTH_S", 0.0)
    events = []
    for jobs in (1, 2):
        train(one_set, load_recipe("ststnet", QUICK), tmp_path / str(jobs), Plan(jobs=jobs), device="cpu",
              progress=lambda task, *_: events.append(task))  # fmt: skip
    assert events.count("folds") == 5  # four, and the network for prediction
    first, second = ((tmp_path / name / "predictions.csv").read_bytes() for name in "12")
    assert first == second


def test_shuffled_labels_stay_with_their_subject(one_set):
    dealt = shuffle_labels(one_set, seed=1)
    for group in set(one_set.groups):
        rows = [row for row, own in enumerate(one_set.groups) if own == group]
        assert sorted(dealt.labels[rows].tolist()) == sorted(one_set.labels[rows].tolist())
    assert not torch.equal(dealt.labels, one_set.labels)
    assert dealt.label_set == "megc3, shuffled"
    assert "dealt at random" in dealt.notes[-1]


def test_a_clip_that_is_counted_twice_is_refused(three, tmp_path):
    import shutil

    shutil.copytree(three[0].trainings[0].folder, tmp_path / "r")
    table = tmp_path / "r" / "predictions.csv"
    table.write_text(table.read_text() + table.read_text().splitlines()[1] + "\n")
    values = read_json(tmp_path / "r" / "metrics.json")
    del values["files"]  # as of an older version, which kept no digests of its tables
    (tmp_path / "r" / "metrics.json").write_text(json.dumps(values))
    with pytest.raises(MerError, match="a clip is counted twice"):
        Run(tmp_path / "r").check()
