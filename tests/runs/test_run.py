"""A run folder is written and read by one class."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.reading import read_json
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.run import Run


def test_a_path_opens_a_finished_run(run):
    found = Run(run)
    assert found.check() is found
    assert found.trainings == (found,)
    metrics = json.loads((run / "metrics.json").read_text())
    assert found.metrics.scores.uf1 == metrics["uf1"]
    assert found.facts.recipe["model"] == found.metrics.model == "facesleuth-tiny"
    assert len(found.predictions) == found.metrics.clips == 15
    assert [fold.held_out for fold in found.folds] == ["casme2/01", "casme2/02", "casme2/03"]
    assert found.fold_folder("casme2/02") == run / "folds" / "casme2-02"
    assert set(found.control_predictions) == {"majority", "svm", "shuffled", "aus-only"}
    assert all(len(clips) == 15 for clips in found.control_predictions.values())
    assert Run(str(run)) == found


def test_what_is_read_is_what_was_written(run):
    for name, read in (("metrics.json", Run(run).metrics), ("run.json", Run(run).facts)):
        values = read_json(run / name)
        values.pop("files", None)
        assert json.dumps(read.as_json()) == json.dumps(values)
    for fold in Run(run).folds:
        assert fold.as_json() == read_json(fold.folder / "result.json")


def test_metrics_of_several_seeds_are_read_as_written(run):
    one = read_json(run / "metrics.json")
    del one["files"]
    brief = {name: one[name] for name in ("accuracy", "uf1", "uar")}
    deviation = {"accuracy": 0.1, "uf1": 0.2, "uar": 0.3, "weighted_f1": 0.4}
    runs = [{"run": f"r/seed-{seed}", **brief, "theta_deg": one["theta_deg"]} for seed in (4, 5)]
    together = {
        **one,
        "oracle": {"note": one["oracle"]["note"], **brief},
        "seeds": [4, 5],
        "sd": deviation,
        "runs": runs,
    }
    assert json.dumps(Metrics.from_json(together).as_json()) == json.dumps(together)


def _unfinished(folder: Path) -> None:
    (folder / "metrics.json").unlink()


def _fold_lost(folder: Path) -> None:
    shutil.rmtree(folder / "folds" / "casme2-02")


def _fold_damaged(folder: Path) -> None:
    (folder / "folds" / "casme2-02" / "result.json").write_text('{"predictions": []}')


def _without_confusion(folder: Path) -> None:
    values = read_json(folder / "metrics.json")
    (folder / "metrics.json").write_text(json.dumps({**values, "confusion": [[1]]}))


DAMAGE = [
    pytest.param(_unfinished, "this run is not finished; finish it with the same mer train", id="unfinished"),
    pytest.param(shutil.rmtree, "not a run folder; give the folder that mer train wrote", id="absent"),
    pytest.param(_fold_lost, "holds 2 finished folds of 3", id="fold lost"),
    pytest.param(_fold_damaged, r"result.json: damaged.*lacks 'chosen_epoch'", id="fold"),
    pytest.param(_without_confusion, "metrics.json: damaged.*does not fit the classes", id="metrics"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damage_is_one_line(run, tmp_path, damage, message):
    damage(Path(shutil.copytree(run, tmp_path / "run")))
    with pytest.raises(MerError, match=message):
        Run(tmp_path / "run").check()


def test_a_run_goes_on_only_as_itself(run, tmp_path):
    facts = Run(run).facts
    begun = Run.create(tmp_path / "new", facts)
    assert (begun.folder.stat().st_mode & 0o777, begun.under_way) == (0o700, True)
    assert Run.create(tmp_path / "new", dataclasses.replace(facts, command="again")) == begun
    assert json.loads((tmp_path / "new" / "run.json").read_text())["command"] == facts.command
    with pytest.raises(MerError, match="this folder holds a run with another protocol and seeds; choose another --out"):
        Run.create(tmp_path / "new", dataclasses.replace(facts, protocol="lodo", seeds=2))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(MerError, match="exists and is not a run folder"):
        Run.create(tmp_path / "mine", facts)


def test_a_run_of_an_older_version_is_read(run, tmp_path):
    """Before the defaults were written down."""
    shutil.copytree(run, tmp_path / "run")
    values = read_json(run / "run.json")
    for key in ("defaults", "notes", "cache"):
        values.pop(key)
    (tmp_path / "run" / "run.json").write_text(json.dumps(values))
    facts = Run(tmp_path / "run").check().facts
    assert (facts.defaults, facts.notes, facts.cache) == ({}, (), None)


def test_a_run_whose_network_was_renamed_goes_on(run, tmp_path):
    facts = Run(run).facts
    now, before = ({**facts.recipe, "network": name} for name in ("facesleuth-flow", "facesleuth_flow"))
    Run.create(tmp_path / "run", dataclasses.replace(facts, recipe=before))
    assert Run.create(tmp_path / "run", dataclasses.replace(facts, recipe=now)).under_way


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("final/weights.safetensors", "final"),
        ("final/card.json", None),  # a copy for people: the weights have their own
        ("folds/casme2-02/weights.safetensors", "fold"),
        ("folds/casme2-02/result.json", "fold"),
        ("metrics.json", "metrics"),
        ("run.json", "facts"),
        ("predictions.csv", "predictions"),
        ("controls.csv", "control_predictions"),
    ],
)
def test_a_flipped_bit_is_noticed_and_what_training_makes_is_made_again(run, tmp_path, name, part):
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    _flip(folder / name)
    under_way, (first, second, _) = Run(folder, under_way=True), Run(run).folds
    assert under_way.has_final is (part != "final")
    assert (under_way.fold_result("casme2/02", second.split, second.clips) is None) is (part == "fold")
    assert under_way.fold_result("casme2/01", first.split, first.clips) is not None
    if part in ("metrics", "facts", "predictions", "control_predictions"):
        with pytest.raises(MerError, match=Path(name).name):
            getattr(Run(folder), part)
