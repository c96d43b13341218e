"""`mer train` and what is made of its runs, as a user calls them."""

import csv
import json
import sys

import pytest

TINY = ("--model", "facesleuth-tiny", "--epochs", 1)


def test_a_dry_run_tells_the_cost_and_trains_nothing(mer, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = json.loads(mer("train", "--dataset", cache, *TINY, "--dry-run", "--json").out)
    assert {"parameters", "multiply_accumulates", "folds", "memory_mb", "seconds", "problems"} <= set(found)
    assert (found["folds"], found["clips"], found["size"]) == (3, 15, 64)
    called = mer("train", "--dataset", cache, *TINY, "--dry-run")
    assert "parameters" in called.out
    assert "no subject, clip or equal picture on both sides" in called.out
    assert "time: about" in called.out
    assert "fastest here: local (of devices like this one; waiting in a queue is not counted)" in called.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "loocv"], "unknown protocol 'loocv'; choose loso, lodo"),
        (["--protocol", "lodo"], "leave-one-dataset-out needs at least two datasets"),
        (["--protocol", "absent.csv"], "absent.csv: not a readable table"),
        (["--protocol", "kfold:2", "--select", "inner"], "needs two training subjects; use --select last"),
        (["--select", "best"], "select = 'best' is unknown; choose one of last, inner, oracle"),
        (["--aus", "guessed"], "aus = 'guessed' is unknown"),
        (["--model", "ststnet"], "no clips for a network that takes optical flow"),
        (["--model", "fdp", "--set", "frames=8"], "run mer preprocess again with --frames 8"),
        (["--model", "fdp", "--set", "options.frames=8"], "write --set frames=N"),
    ],
)
def test_wrong_options_are_one_line(mer, cache, tmp_path, options, message):
    called = mer("train", "--seeds", 1, "--dataset", cache, "--out", tmp_path / "run", *TINY, *options)
    assert called.code == 1
    (line,) = [line for line in called.error_lines if line.startswith("error:")]
    assert message in line
    assert not (tmp_path / "run").exists()


def test_tensorboard_without_the_extra_is_one_line(mer, cache, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    called = mer("train", "--seeds", 1, "--dataset", cache, "--out", tmp_path / "run", *TINY, "--tensorboard")
    assert called.code == 1
    assert called.error_lines == ["error: tensorboard is not installed; pip install 'mer-pipeline[tensorboard]'"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "ablate"])
@pytest.mark.parametrize("option", ["--labels", "--protocol-labels"])
def test_labels_by_their_name_and_by_the_former_one(mer, cache, tmp_path, command, option):
    called = mer(command, "--dataset", cache, *TINY[:2], "--out", tmp_path / "run", option, "megc4")
    assert called.code == 1
    assert "unknown label set 'megc4'" in called.err


def test_help_names_every_protocol_and_the_new_option_alone(mer):
    for command in ("train", "ablate"):
        text = " ".join(mer(command, "--help").out.replace("│", " ").split())
        assert "loso (a subject), lodo (a dataset), kfold:N (one of N parts of the subjects)" in text
        assert "--labels" in text
        assert "--protocol-labels" not in text


def test_protocol_selection_seeds_and_aus_reach_the_run(mer, cache, tmp_path):
    called = mer("train", "--dataset", cache, *TINY, "--protocol", "kfold:3", "--select", "inner", "--seeds", 2,
                 "--aus", "none", "--out", tmp_path / "r", "--json", "-q")  # fmt: skip
    summary = json.loads(called.out)
    assert (summary["protocol"], summary["selection"], summary["folds"]) == ("kfold:3", "inner", 3)
    assert (summary["aus"], summary["seeds"]) == ("none", [0, 1])
    again = mer("train", "--dataset", cache, *TINY, "--protocol", "kfold:3", "--select", "inner", "--seeds", 2,
                "--aus", "none", "--out", tmp_path / "r", "-q")  # fmt: skip
    assert "2 seeds, mean ± sd; kfold:3" in again.out
    assert "onset and apex annotated, Action Units none" in again.out
    assert "mind: 3 test subjects are too few for any verdict (6 at least)" in again.out
    assert "epoch chosen inside the training fold" in again.out
    assert again.out.index("mean ± sd") < again.out.index("control svm") < again.out.index("optimistic")


def test_compare_writes_a_row_a_run_seed_and_clip(mer, run, tmp_path):
    assert mer("compare", run, run, "--table", tmp_path / "t.csv").code == 0
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 15
    assert {row["subject"] for row in rows} == {"casme2/01", "casme2/02", "casme2/03"}
    assert all(int(row["right"]) == (row["truth"] == row["predicted"]) for row in rows)


def test_compare_prints_a_table_and_words(mer, run, tmp_path):
    called = mer("compare", run, run)
    assert called.code == 0
    assert "3 test subjects are too few (6 at least) to compare" in called.out
    assert json.loads(mer("compare", run, run, "--json").out)["comparisons"]
    assert mer("compare", run, tmp_path).code == 1


def test_ablate_writes_the_table_in_every_form(mer, cache, tmp_path):
    called = mer("ablate", "--dataset", cache, "--model", "facesleuth-tiny", "--rows", "baseline,all", "--seeds", 1,
                 "--set", "epochs=1", "--set", "size=32", "--out", tmp_path / "a", "-q")  # fmt: skip
    assert called.code == 0, called.err
    assert "AUs only, no image" in called.out
    for name in ("table.txt", "table.csv", "table.tex", "ablation.json", "report.html"):
        assert (tmp_path / "a" / name).is_file()
    assert mer("ablate", "--dataset", cache, "--model", "ststnet", "--out", tmp_path / "b").code == 1


def test_one_fold_is_one_command(mer, cache, tmp_path):
    given = ("train", "--dataset", cache, *TINY, "--set", "size=32", "--seeds", 2, "--out", tmp_path / "r", "-q")
    first = json.loads(mer(*given, "--fold", "casme2/02", "--seed", 1, "--json").out)
    assert (first["fold"], first["seed"], first["before"]) == ("casme2/02", 1, False)
    again = mer(*given, "--fold", "casme2/02", "--seed", 1)
    assert (again.code, again.out) == (0, "fold casme2/02 of seed 1: was finished before\n")
    wrong = mer(*given, "--fold", "casme2/2", "--seed", 0)
    assert (wrong.code, wrong.error_lines[-1]) == (
        1, "error: no fold is called 'casme2/2'; did you mean casme2/02? Known: casme2/01, casme2/02, casme2/03"
    )  # fmt: skip
    assert mer("train", "--dataset", cache, *TINY, "--fold", "casme2/02").code == 2
    collected = json.loads(mer(*given, "--json").out)
    assert (collected["seeds"], collected["folds"]) == ([0, 1], 3)
