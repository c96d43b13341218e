"""Which epoch counts, over which seeds, beside which controls, and that an interruption changes nothing."""

import csv
import json
import sys

import pytest
import torch

from mer_pipeline.errors import MerError
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.training import OPTIMISTIC, Plan, load_recipe, loop, train

QUICK = {"epochs": 4, "batch": 8, "lr": 5e-3}


def test_one_training_records_last_inner_and_oracle(one_set, tmp_path):
    summary = train(
        one_set, load_recipe("ststnet", QUICK), tmp_path / "r", Plan(select="inner"), device="cpu"
    ).metrics.as_json()
    assert summary["selection"] == "inner"
    assert set(summary["selections"]) == {"last", "inner", "oracle"}
    assert summary["uf1"] == summary["selections"]["inner"]["uf1"]
    assert summary["selections"]["oracle"]["note"] == OPTIMISTIC
    assert "note" not in summary
    for folder in (tmp_path / "r" / "folds").iterdir():
        inner = json.loads((folder / "inner.json").read_text())
        result = json.loads((folder / "result.json").read_text())
        assert result["chosen_epoch"] == inner["chosen_epoch"] <= 4
        tested = result["predictions"][0]["fold"]
        assert tested not in inner["subjects"]
    last = train(one_set, load_recipe("ststnet", QUICK), tmp_path / "l", device="cpu").metrics.as_json()
    # The choice looks at the same training: what does not depend on it does not change.
    assert last["selections"]["last"] == summary["selections"]["last"]
    assert last["selections"]["oracle"] == summary["selections"]["oracle"]


def test_an_oracle_run_says_that_it_is_optimistic(one_set, tmp_path):
    summary = train(
        one_set, load_recipe("ststnet", QUICK), tmp_path / "r", Plan(select="oracle"), device="cpu"
    ).metrics.as_json()
    assert summary["note"] == OPTIMISTIC
    assert summary["uf1"] == summary["oracle"]["uf1"]
    assert summary["stops"]["of"] == summary["folds"]
    assert Run(tmp_path / "r").metrics.as_json() == summary


def test_unknown_selection():
    with pytest.raises(MerError, match="choose one of last, inner, oracle"):
        Plan(select="best")


def test_seeds_give_mean_and_deviation(one_set, tmp_path):
    summary = train(
        one_set, load_recipe("ststnet", QUICK), tmp_path / "r", Plan(seeds=3), device="cpu"
    ).metrics.as_json()
    each = [run["uf1"] for run in summary["runs"]]
    assert summary["seeds"] == [0, 1, 2]
    assert summary["uf1"] == pytest.approx(sum(each) / 3)
    assert summary["sd"]["uf1"] == pytest.approx(torch.tensor(each, dtype=torch.float64).std().item())
    single = train(
        one_set, load_recipe("ststnet", {**QUICK, "seed": 1}), tmp_path / "one", device="cpu"
    ).metrics.as_json()
    assert single["uf1"] == each[1]
    assert load_network(tmp_path / "r")[1].seed == 0
    with pytest.raises(MerError, match="another seeds"):
        train(one_set, load_recipe("ststnet", QUICK), tmp_path / "r", Plan(seeds=2), device="cpu")


def test_chance_with_shuffled_labels_unless_the_test_fold_chooses(shuffled, tmp_path):
    recipe = load_recipe("ststnet", {**QUICK, "epochs": 25})
    summary = train(shuffled, recipe, tmp_path / "r", Plan(select="inner"), device="cpu").metrics.as_json()
    chosen = summary["selections"]
    assert chosen["last"]["uar"] < 0.6  # three classes: 1/3, and 24 clips scatter
    assert chosen["inner"]["uar"] < 0.6
    assert chosen["oracle"]["accuracy"] > max(chosen["last"]["accuracy"], chosen["inner"]["accuracy"])


class _Stopped(Exception):
    pass


@pytest.mark.parametrize("select", ["last", "inner"])
def test_a_training_that_stops_inside_a_fold_goes_on_there(one_set, tmp_path, monkeypatch, select):
    """Dropout, order, augmentation, optimiser and learning rate all go on as if nothing had happened."""
    recipe = load_recipe("ststnet", {**QUICK, "flip": 0.5, "shift": 0.05, "lr_decay": 0.9, "epochs": 6})
    whole = train(one_set, recipe, tmp_path / "whole", Plan(select=select), device="cpu").metrics.as_json()
    monkeypatch.setattr(loop, "_KEEP_EVERY_S", 0.0)
    epochs = []

    def stop(task, done, total, detail=""):
        epochs.append(detail)
        if len(epochs) == 10:
            raise _Stopped

    with pytest.raises(_Stopped):
        train(one_set, recipe, tmp_path / "parts", Plan(select=select), device="cpu", progress=stop)
    assert list((tmp_path / "parts").rglob("under-way.safetensors"))
    trained = []
    monkeypatch.setattr(loop._Session, "epoch", _counting(loop._Session.epoch, trained))
    resumed = train(one_set, recipe, tmp_path / "parts", Plan(select=select), device="cpu").metrics.as_json()
    total = 6 * (4 * (1 + 3 * (select == "inner")) + 1)
    assert len(trained) <= total - 9
    assert (tmp_path / "whole/predictions.csv").read_text() == (tmp_path / "parts/predictions.csv").read_text()
    assert resumed["uf1"] == whole["uf1"]
    a, b = (load_network(tmp_path / name)[0] for name in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not list((tmp_path / "parts").rglob("under-way.safetensors"))


def _counting(method, seen):
    def counted(self, number):
        seen.append(number)
        return method(self, number)

    return counted


def test_a_damaged_checkpoint_is_started_over(one_set, tmp_path):
    folder = tmp_path / "r" / "folds" / "casme2-01"
    folder.mkdir(parents=True)
    recipe = load_recipe("ststnet", QUICK)
    train(one_set, recipe, tmp_path / "whole", device="cpu")
    trained = loop.train_network(
        one_set, range(6, 24), range(6), recipe, seed=0, device=torch.device("cpu"), on_epoch=lambda *_: None
    )
    (folder / "under-way.safetensors").write_bytes(b"broken")
    again = loop.train_network(
        one_set, range(6, 24), range(6), recipe, seed=0, device=torch.device("cpu"), on_epoch=lambda *_: None,
        keep=folder / "under-way.safetensors",
    )  # fmt: skip
    assert torch.equal(trained.last["unused"], again.last["unused"])


def test_controls_stand_beside_the_score(one_set, tmp_path):
    recipe = load_recipe("facesleuth-flow", {"epochs": 1, "options.channels": [8, 8, 8, 8], "options.stem": [8, 8]})
    summary = train(one_set, recipe, tmp_path / "r", device="cpu").metrics.as_json()
    controls = summary["controls"]
    assert controls["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert controls["svm"]["uf1"] > 0.9
    assert controls["aus-only"]["uf1"] == 1.0
    assert "the image is not shown to add to annotated Action Units" in controls["aus-only"]["verdict"]
    assert "is not shown to beat the svm" in controls["svm"]["verdict"]
    with (tmp_path / "r" / "controls.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * len(one_set.clip_ids)


def test_curves_for_tensorboard(one_set, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(one_set, load_recipe("ststnet", QUICK), tmp_path / "r", Plan(tensorboard=True), device="cpu")
    found = events.EventAccumulator(str(tmp_path / "r" / "tensorboard" / "casme2-01"))
    found.Reload()
    assert [event.step for event in found.Scalars("loss")] == [1, 2, 3, 4]


def test_without_tensorboard_nothing_is_trained(one_set, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MerError, match=r"tensorboard is not installed; pip install 'mer-pipeline\[tensorboard\]'"):
        train(one_set, load_recipe("ststnet", QUICK), tmp_path / "r", Plan(tensorboard=True), device="cpu")
    assert not (tmp_path / "r").exists()
