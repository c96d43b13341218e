import json
import shutil

import pytest
import safetensors.torch

from studies.same_numbers import compare_runs, table

ALL = {"predictions": True, "weights": True, "metrics": True}


def change_prediction(run):
    path = run / "predictions.csv"
    path.write_text(path.read_text().replace("0.", "0.1", 1))


def change_weight(run):
    path = run / "final" / "weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    largest = max(tensors.values(), key=lambda tensor: tensor.numel())
    largest.view(-1)[0] += 1e-3
    safetensors.torch.save_file(tensors, path)


def change_metric(run):
    values = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**values, "uf1": values["uf1"] + 1e-9}))


@pytest.mark.parametrize(
    ("change", "part"),
    [(change_prediction, "predictions"), (change_weight, "weights"), (change_metric, "metrics")],
    ids=["prediction", "weight", "metric"],
)
def test_one_changed_bit_is_seen(run, tmp_path, change, part):
    shutil.copytree(run, tmp_path / "one" / "run")
    shutil.copytree(run, tmp_path / "two" / "run")
    assert compare_runs(run, tmp_path / "two" / "run") == ALL
    assert table(tmp_path / "one", tmp_path / "two")[1]
    change(tmp_path / "two" / "run")
    assert compare_runs(run, tmp_path / "two" / "run") == {**ALL, part: False}
    assert not table(tmp_path / "one", tmp_path / "two")[1]


def test_an_absent_run_is_not_the_same(run, tmp_path):
    shutil.copytree(run, tmp_path / "one" / "run")
    rows, same = table(tmp_path / "one", tmp_path / "two")
    assert (len(rows), same) == (1, False)
