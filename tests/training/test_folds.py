"""One fold is one command: several processes train the folds of one run, and nothing is lost or trained twice."""

import dataclasses
import errno
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import filelock
import pytest
import torch

from mer_pipeline.cache import create_atomically, locked
from mer_pipeline.engines import Local, engine_of
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.inputs.clip_set import shuffle_labels
from mer_pipeline.reading import read_json
from mer_pipeline.runs import claim
from mer_pipeline.runs import run as runs
from mer_pipeline.runs.claim import UnderWay, claimed, read_failure, read_under_way
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.training import Plan, load_clips, load_recipe, parallel, train, train_fold, trainer
from tests.training.conftest import flow_clips

QUICK = {"epochs": 2, "batch": 8, "lr": 5e-3}
PLAN = Plan(seeds=2)


@pytest.fixture(scope="module")
def clips():
    return flow_clips(subjects=3, clips=3, datasets=("casme2",))


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("ststnet", QUICK)


@pytest.fixture(scope="module")
def sequential(clips, recipe, tmp_path_factory):
    return train(clips, recipe, tmp_path_factory.mktemp("sequential") / "run", PLAN, device="cpu").folder


def contents(folder):
    """Everything that a run came to, without the time it took."""
    read = {path.relative_to(folder): load_network(path) for path in folder.rglob("weights.safetensors")}
    weights = {path: ({n: v.tolist() for n, v in state.items()}, card) for path, (state, card) in read.items()}
    tables = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("predictions.csv")}
    metrics = json.loads((folder / "metrics.json").read_text())
    for timed in ("seconds", "run", "runs", "checksum"):
        metrics.pop(timed, None)
    assert len(weights) == 2 * 4
    assert len(tables) == 2
    return weights, tables, {name: value for name, value in metrics.items() if name in ("uf1", "uar", "oracle")}


def test_folds_one_by_one_in_any_order_are_those_of_a_sequential_run(clips, recipe, sequential, tmp_path):
    for seed, key in ((1, "casme2/03"), (0, "casme2/02"), (1, "casme2/01"), (0, "casme2/03")):
        one = train_fold(clips, recipe, tmp_path / "run", PLAN, key, seed, device="cpu")
        assert (one.before, one.seed, one.result.held_out) == (False, seed, key)
        assert not list(one.result.folder.glob("*lock")) + list(one.result.folder.glob("under-way*"))
    written = (one.result.folder / "result.json").stat().st_mtime_ns
    assert train_fold(clips, recipe, tmp_path / "run", PLAN, "casme2/03", 0, device="cpu").before
    assert (one.result.folder / "result.json").stat().st_mtime_ns == written
    assert contents(train(clips, recipe, tmp_path / "run", PLAN, device="cpu").folder) == contents(sequential)


@pytest.mark.parametrize(
    ("fold", "seed", "message"),
    [
        (
            "casme2/3",
            0,
            r"no fold is called 'casme2/3'; did you mean casme2/03\? Known: casme2/01, casme2/02, casme2/03",
        ),
        ("casme2/03", 2, "run: seed 2 is not among 0, 1; write --set seed=N for the first of them"),
    ],
)
def test_a_fold_that_there_is_none_of_is_one_line(clips, recipe, tmp_path, fold, seed, message):
    with pytest.raises(MerError, match=message):
        train_fold(clips, recipe, tmp_path / "run", PLAN, fold, seed, device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_fold_of_another_recipe_is_refused(clips, recipe, tmp_path):
    train_fold(clips, recipe, tmp_path / "run", PLAN, "casme2/03", 0, device="cpu")
    other = dataclasses.replace(recipe, epochs=3)
    with pytest.raises(MerError, match="run with another recipe; choose another --out"):
        train_fold(clips, other, tmp_path / "run", PLAN, "casme2/01", 0, device="cpu")


def started(work, *arguments):
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def _fold(clips, recipe, folder, key):
    train_fold(clips, recipe, folder, PLAN, key, 0, device="cpu")


def _stuck_fold(clips, recipe, folder, key):
    trainer.train_network = lambda *_, **given: (given["on_epoch"](1, 0.0), time.sleep(600))
    _fold(clips, recipe, folder, key)


def _collect(clips, recipe, folder, log):
    real = trainer.Trainer._train_fold

    def logged(self, fold, *rest):
        with log.open("a") as file:
            file.write(f"{os.getpid()} {self._run.folder.name} {fold.held_out}\n")
        time.sleep(0.05)
        return real(self, fold, *rest)

    trainer.Trainer._train_fold = logged
    train(clips, recipe, folder, PLAN, device="cpu")


def wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not come")


def test_a_process_killed_in_a_fold_leaves_it_to_the_next(clips, recipe, sequential, tmp_path):
    killed = started(_stuck_fold, clips, recipe, tmp_path / "run", "casme2/02")
    folder = tmp_path / "run" / "seed-0" / "folds" / "casme2-02"
    wait_for(folder / claim.UNDER_WAY)
    assert read_under_way(folder).pid == killed.pid
    waits = started(_fold, clips, recipe, tmp_path / "run", "casme2/02")  # for the lock
    time.sleep(0.3)
    assert waits.is_alive()
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    waits.join(60)
    assert waits.exitcode == 0
    assert (folder / "result.json").is_file()
    assert contents(train(clips, recipe, tmp_path / "run", PLAN, device="cpu").folder) == contents(sequential)


def test_two_collectors_at_once_train_every_fold_once(clips, recipe, sequential, tmp_path):
    log = tmp_path / "log"
    both = [started(_collect, clips, recipe, tmp_path / "run", log) for _ in range(2)]
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    trained = [line.split(" ", 1) for line in log.read_text().splitlines()]
    assert sorted(what for _, what in trained) == sorted(
        f"seed-{seed} casme2/0{subject}" for seed in (0, 1) for subject in (1, 2, 3)
    )
    assert len({pid for pid, _ in trained}) == 2
    assert contents(tmp_path / "run") == contents(sequential)


def test_a_full_disk_loses_nothing_else(clips, recipe, sequential, tmp_path, monkeypatch):
    real = runs.save_network

    def full(folder, *rest):
        if folder.name == "casme2-02":
            raise WriteError("cannot be written (No space left on device)", where=folder)
        real(folder, *rest)

    monkeypatch.setattr(runs, "save_network", full)
    with pytest.raises(WriteError, match="No space left"):
        train(clips, recipe, tmp_path / "run", PLAN, device="cpu")
    folds = tmp_path / "run" / "seed-0" / "folds"
    assert (folds / "casme2-01" / "result.json").is_file()
    assert "No space left on device" in read_failure(folds / "casme2-02")
    assert read_under_way(folds / "casme2-02") is None
    monkeypatch.setattr(runs, "save_network", real)
    assert contents(train(clips, recipe, tmp_path / "run", PLAN, device="cpu").folder) == contents(sequential)
    assert read_failure(folds / "casme2-02") is None


def test_of_two_who_create_a_file_one_does(tmp_path):
    assert [create_atomically(tmp_path / "run.json", content) for content in (b"first", b"second")] == [True, False]
    assert (tmp_path / "run.json").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_that_another_process_is_creating_is_no_foreign_folder(clips, recipe, sequential, tmp_path):
    facts = Run(sequential).facts
    (tmp_path / ".run.json.ab12cd34").write_text("half of")
    assert Run.create(tmp_path, facts).facts == facts
    (tmp_path / "run.json").unlink()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(MerError, match="exists and is not a run folder"):
        Run.create(tmp_path, facts)


def test_a_lock_is_held_once_and_leaves_no_file(tmp_path):
    with locked(tmp_path / "lock") as held, locked(tmp_path / "lock", wait=False) as again:
        assert (held, again) == (True, False)
    assert not (tmp_path / "lock").exists()


def test_without_locks_work_goes_on(tmp_path, monkeypatch):
    def none(self, **given):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    with locked(tmp_path / "lock") as first, locked(tmp_path / "lock", wait=False) as second:
        assert (first, second) == (True, True)


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(WriteError, match="lock: cannot be written"), locked(tmp_path / "lock"):
        pass


def test_a_dead_process_is_not_under_way(tmp_path):
    with claimed(tmp_path, 10) as mine:
        mine.advance(3)
        found = read_under_way(tmp_path)
        assert (found.done, found.of, found.pid) == (3, 10, os.getpid())
        for change in ({"process_began": found.process_began - 60}, {"pid": 2**22 + 1}):
            claim.write_json(tmp_path / claim.UNDER_WAY, dataclasses.asdict(dataclasses.replace(found, **change)))
            assert read_under_way(tmp_path) is None
        elsewhere = dataclasses.asdict(UnderWay("another", 1, 0.0, found.began, 3, 10))
        claim.write_json(tmp_path / claim.UNDER_WAY, elsewhere)
        assert read_under_way(tmp_path) is not None
        os.utime(tmp_path / claim.UNDER_WAY, (0, 0))
        assert read_under_way(tmp_path) is None
    assert not list(tmp_path.iterdir())


def cannot(folder):
    raise WriteError("disk", where=folder)


def test_status_of_a_run_under_way(mer, clips, recipe, tmp_path, monkeypatch):
    run = tmp_path / "run"
    train_fold(clips, recipe, run, PLAN, "casme2/01", 0, device="cpu")
    monkeypatch.setattr(runs, "save_network", lambda folder, *_: cannot(folder))
    with pytest.raises(WriteError):
        train_fold(clips, recipe, run, PLAN, "casme2/02", 1, device="cpu")
    monkeypatch.undo()
    with claimed(run / "seed-1" / "folds" / "casme2-03", 4) as mine:
        mine.advance(1)
        found = json.loads(mer("status", run, "--json").out)
        words = mer("status", run).out
    assert (found["pieces"], found["counts"]) == (8, {"done": 1, "running": 1, "failed": 1, "waiting": 5})
    (running,), (failed,) = found["running"], found["failed"]
    assert (running["fold"], running["seed"], running["epoch"], running["epochs"]) == ("casme2/03", 1, 1, 4)
    assert (failed["fold"], failed["seed"]) == ("casme2/02", 1)
    assert failed["error"].endswith("casme2-02: disk")
    assert found["seconds_left"] == pytest.approx(found["fold_seconds"] * (6 + 3 / 4))
    assert "1 of 8 trainings done, 1 running, 1 failed, 5 waiting" in words
    assert "running: casme2/03, seed 1: epoch 1 of 4, " in words
    assert f"{os.getpid()} on {socket.gethostname()}" in words
    assert "failed: casme2/02, seed 1:" in words
    assert "left with 1 process; a fold takes" in words


def test_status_of_a_finished_run_and_of_none(mer, sequential, tmp_path):
    found = json.loads(mer("status", sequential, "--json").out)
    assert (found["finished"], found["counts"]["done"], found["seconds_left"]) == (True, 8, 0.0)
    assert "8 of 8 trainings done, 0 running, 0 failed, 0 waiting; finished" in mer("status", sequential).out
    called = mer("status", tmp_path)
    assert (called.code, called.error_lines) == (
        1, [f"error: {tmp_path}: no training has begun here; give the --out of mer train or mer ablate"]
    )  # fmt: skip
    assert mer("status", tmp_path / "absent").code == 1


def test_status_of_a_run_of_an_older_version_counts_what_is_there(mer, sequential, tmp_path):
    folder = shutil.copytree(sequential, tmp_path / "run")
    for path in folder.rglob("run.json"):
        facts = read_json(path)
        del facts["folds"]
        claim.write_json(path, facts)
    for path in folder.rglob("result.json"):
        fold = read_json(path)
        del fold["seconds"]
        claim.write_json(path, fold)
    found = json.loads(mer("status", folder, "--json").out)
    assert (found["counts"]["done"], found["fold_seconds"], found["finished"]) == (8, None, True)
    assert Run(folder).check().trainings[0].folds[0].seconds == 0


def test_status_of_an_ablation_counts_rows_that_have_not_begun(mer, clips, recipe, tmp_path):
    train_fold(clips, recipe, tmp_path / "soa", PLAN, "casme2/01", 0, device="cpu")
    claim.write_json(tmp_path / "ablation.json", {"wanted": ["baseline", "soa"]})
    found = json.loads(mer("status", tmp_path, "--json").out)
    assert (found["pieces"], found["counts"]["done"], found["finished"]) == (16, 1, False)
    assert {piece["row"] for piece in found["waiting"]} == {"baseline", "soa"}


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_engines_give_the_numbers_of_one_process(cache, tmp_path, engine, package):
    pytest.importorskip(package)
    recipe = load_recipe("facesleuth-tiny", {"epochs": 1, "size": 32})
    train(load_clips(cache, size=32), recipe, tmp_path / "one", PLAN, device="cpu")
    options = ("--engine-option", "cluster=local") if engine == "slurm" else ()
    subprocess.run(
        [sys.executable, "-c", "from mer_pipeline.cli import main; main()", "train", "--dataset", cache, "--model",
         "facesleuth-tiny", "--epochs", "1", "--set", "size=32", "--seeds", "2", "--device", "cpu", "--jobs", "2",
         "--engine", engine, *options, "--out", tmp_path / "many", "-q"], check=True
    )  # fmt: skip
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )


def test_clips_in_memory_go_to_no_other_machine(clips, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("mer_pipeline.engines.engine.find_spec", lambda package: True)
    with pytest.raises(MerError, match="clips in memory cannot be given to other machines"):
        train(clips, recipe, tmp_path / "run", device="cpu", engine=engine_of("slurm"))


def test_a_worker_reads_the_clips_that_the_run_began_with(cache, tmp_path):
    clips, recipe = load_clips(cache, size=32), load_recipe("facesleuth-tiny", {"epochs": 1, "size": 32})
    dealt = shuffle_labels(clips, 3)
    assert torch.equal(dealt.source.load().labels, dealt.labels)
    one = train_fold(dealt, recipe, tmp_path / "run", Plan(), "casme2/01", device="cpu")
    task = parallel.Task(dealt.source, Plan(), 0, tmp_path / "run", recipe, "casme2/01", "cpu")
    parallel.train_task(task)
    assert (one.result.folder / "result.json").is_file()
    with pytest.raises(MerError, match="the clips are not those that the run began with"):
        parallel.train_task(dataclasses.replace(task, source=clips.source))


def test_gpus_are_dealt_out_to_processes(clips, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    dealt = []
    for number in range(4):
        monkeypatch.setattr(parallel, "_here", parallel._Here(number, clips))
        dealt.append(str(parallel._device("cuda")))
    assert dealt == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("jobs", "device", "processes"),
    [(None, "cuda", 2), (6, "cuda", 6), (None, "cuda:1", 1), (3, "cpu", 3)],
    ids=["one a GPU", "several a GPU", "one GPU by its number", "cores"],
)
def test_how_many_processes_suit_a_device(monkeypatch, jobs, device, processes):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert parallel.of_this_machine(Local(jobs), torch.device(device)).jobs == processes
