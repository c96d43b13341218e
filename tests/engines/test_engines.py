"""Engines: every one gives the outcomes of one process, as they come or in order, and errors of one line."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mer_pipeline.engines import ENGINES, Local, Work, engine_of, fastest, makespan_s, times_of
from mer_pipeline.engines.slurm import _Share
from mer_pipeline.errors import MerError

TASKS = [3, 1, 2, 0, 4]


def square(task):
    time.sleep(0.02 * task)
    if task == 7:
        raise MerError("seven", fix="take another")
    if task == 8:
        raise OSError(28, "No space left on device", "file")
    if task == 9:
        os.kill(os.getpid(), 9)
    return task * task


def made(name):
    """An engine, where its package is installed."""
    if name == "slurm":
        pytest.importorskip("submitit")
        return engine_of("slurm", 2, {"cluster": "local"})
    return engine_of(name, 2)


@pytest.fixture(params=["local", "slurm"])
def engine(request):
    return made(request.param)


def test_outcomes_have_the_numbers_of_their_tasks(engine, tmp_path):
    assert sorted(engine.run(Work(square, tmp_path), TASKS)) == [(n, task * task) for n, task in enumerate(TASKS)]
    assert not list(tmp_path.iterdir())


def test_outcomes_come_in_the_order_of_the_tasks_where_that_is_asked(engine, tmp_path):
    found = list(engine.run(Work(square, tmp_path, ordered=True), TASKS))
    assert found == [(n, task * task) for n, task in enumerate(TASKS)]


@pytest.mark.parametrize(
    ("task", "message"),
    [(7, "seven; take another"), (8, r"file: cannot be used \(No space left"), (9, "goes on from here")],
    ids=["error", "full disk", "killed"],
)
def test_what_fails_is_one_line_and_ends_the_rest(engine, tmp_path, task, message):
    with pytest.raises(MerError, match=message):
        list(engine.run(Work(square, tmp_path), [task, 1]))


def test_a_local_process_begins_with_its_number(tmp_path):
    numbers = {number for _, number in Local(2).run(Work(_number, tmp_path, begin=_begin), range(6))}
    assert numbers <= {0, 1}


_mine = -1


def _begin(number):
    global _mine
    _mine = number


def _number(task):
    time.sleep(0.05)
    return _mine


def test_a_job_that_is_pre_empted_goes_on(tmp_path):
    """As Slurm warns one: it is begun again, with the tasks that it had."""
    pytest.importorskip("submitit")
    begun = tmp_path / "begun"
    Path(begun).touch()

    def warn():
        while not (processes := begun.read_text().split()):
            time.sleep(0.05)
        os.kill(int(processes[0]), signal.SIGUSR2)

    threading.Thread(target=warn).start()
    engine = engine_of("slurm", 1, {"cluster": "local"})
    assert list(engine.run(Work(times_begun, tmp_path), [begun])) == [(0, 2)]


def times_begun(begun):
    """How often it was begun; the first time it waits to be interrupted."""
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\n")
    times = len(begun.read_text().split())
    if times == 1:
        time.sleep(60)
    return times


def killed_once(begun):
    """How often it was begun; the first time it is killed."""
    with begun.open("a") as file:
        file.write("begun\n")
    if len(begun.read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return len(begun.read_text().split())


RAY = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from mer_pipeline.engines import Work, engine_of
from mer_pipeline.engines.ray import public_ports
from mer_pipeline.errors import MerError
from tests.engines.test_engines import TASKS, killed_once, square
if __name__ == "__main__":
    import json, psutil
    engine, work = engine_of("ray", 2), Work(square, Path("."), ordered=True)
    outcomes = engine.run(work, TASKS)
    found = [next(outcomes)]
    ports = {{c.laddr.ip for p in psutil.Process().children(recursive=True) for c in p.net_connections("inet")
              if c.status == "LISTEN"}}
    public = public_ports()
    found += list(outcomes)
    try:
        list(engine.run(work, [1, 7, 2]))
    except MerError as error:
        failed = str(error)
    found += engine.run(Work(killed_once, Path(".")), [Path("begun").absolute()])
    print(json.dumps([found, sorted(ports), public, failed, os.environ["RAY_USAGE_STATS_ENABLED"]]))
"""


@pytest.mark.slow  # a Ray cluster takes 20 s to start
def test_ray_gives_the_same_on_loopback_alone(tmp_path):
    pytest.importorskip("ray")
    script = tmp_path / "one.py"
    script.write_text(RAY.format(root=str(Path(__file__).parents[2])))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    found, addresses, public, failed, reports = json.loads(done.stdout.splitlines()[-1])
    assert found == [[n, task * task] for n, task in enumerate(TASKS)] + [[0, 2]], "one was killed, and begun again"
    assert set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert addresses
    assert (public, failed, reports) == ([], "seven; take another", "0")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("slrm", {}, "unknown engine 'slrm'; did you mean slurm? Known: local, ray, slurm"),
        ("local", {"gpus": 1}, "the engine local has no option 'gpus'; leave --engine-option out"),
        ("slurm", {"partitions": "gpu"}, "the engine slurm has no option 'partitions'; did you mean partition?"),
        ("slurm", {"timeout_min": "long"}, "an option of the engine slurm: timeout_min"),
        ("slurm", {"cluster": "pbs"}, "an option of the engine slurm: cluster is 'pbs', and not slurm or local"),
        ("ray", {"gpus": "half"}, "an option of the engine ray: gpus"),
    ],
)
def test_wrong_engines_and_options_are_one_line(name, options, message, monkeypatch):
    monkeypatch.setattr("mer_pipeline.engines.engine.find_spec", lambda package: True)
    with pytest.raises(MerError) as caught:
        engine_of(name, None, options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("name", "package", "extra"), [("slurm", "submitit", "cluster"), ("ray", "ray", "ray")])
def test_a_package_that_is_not_installed_is_one_line(mer, tmp_path, monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    called = mer("train", "--dataset", tmp_path, "--engine", name, "--out", tmp_path / "r")
    assert called.code == 1
    assert called.error_lines == [f"error: {package} is not installed; pip install 'mer-pipeline[{extra}]'"]


def test_slurm_is_given_the_options_by_submitits_names(monkeypatch):
    monkeypatch.setattr("mer_pipeline.engines.engine.find_spec", lambda package: True)
    given = {"partition": "gpu", "account": "lab", "timeout_min": 30, "gpus_per_node": 1, "array_parallelism": 8}
    found = engine_of("slurm", 4, given).options.parameters()
    expected = {"slurm_partition": "gpu", "slurm_account": "lab", "timeout_min": 30, "gpus_per_node": 1,
                "slurm_array_parallelism": 8, "cpus_per_task": 1, "name": "mer"}  # fmt: skip
    assert expected.items() <= found.items()
    assert "cluster" not in "".join(found)


def test_what_sbatch_is_given(tmp_path, monkeypatch):
    """Programs of the names of Slurm's, which keep what they are given."""
    pytest.importorskip("submitit")
    for name, prints in (("srun", ""), ("sbatch", "Submitted batch job 12"), ("sacct", "")):
        (tmp_path / name).write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/{name}.given 2>/dev/null\necho {prints}\n')
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    options = {"partition": "gpu", "account": "lab", "gpus_per_node": 1, "constraint": "h100", "timeout_min": 30,
               "array_parallelism": 1}  # fmt: skip
    work = Work(square, tmp_path)
    (tmp_path / "jobs").mkdir()
    engine = engine_of("slurm", 2, options)
    jobs = engine._submit(tmp_path / "jobs", [_Share(work, [1]), _Share(work, [2])])
    assert [job.job_id for job in jobs] == ["12_0", "12_1"]
    script = (tmp_path / "sbatch.given").read_text()
    for line in ("--array=0-1%1", "--partition=gpu", "--account=lab", "--constraint=h100", "--time=30",
                 "--gpus-per-node=1", "--cpus-per-task=1", "--signal=USR2@120", "--job-name=mer"):  # fmt: skip
        assert f"#SBATCH {line}" in script
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho invalid partition >&2\nexit 1\n")
    with pytest.raises(MerError, match=r"the cluster takes no jobs .*invalid partition"):
        engine._submit(tmp_path / "jobs", [_Share(work, [1]), _Share(work, [2])])


def test_no_cluster_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MerError, match="slurm: the cluster takes no jobs"):
        list(engine_of("slurm", 2).run(Work(square, tmp_path), [1, 2]))


def test_every_engine_is_named_as_its_class():
    assert {name: kind.name for name, (_, kind) in ENGINES.items()} == {name: name for name in ENGINES}


@pytest.mark.parametrize(
    ("tasks", "workers", "start", "seconds"),
    [([3, 1, 1, 1], 2, 0, 3), ([1] * 10, 4, 2, 5), ([5, 1], 8, 1, 6), ([2, 2, 2], 1, 0.5, 6.5)],
    ids=["uneven", "rounds", "more workers than tasks", "one worker"],
)
def test_a_schedule_gives_each_task_to_the_first_that_is_free(tasks, workers, start, seconds):
    assert makespan_s(tasks, workers, start) == seconds


@pytest.mark.parametrize(
    ("task", "sbatch", "best"),
    [(1, "/bin/sbatch", "local"), (600, "/bin/sbatch", "slurm"), (600, None, "local")],
    ids=["short work starts nothing", "long work goes to the cluster", "no cluster"],
)
def test_the_fastest_engine_is_one_that_is_here(monkeypatch, task, sbatch, best):
    monkeypatch.setattr("mer_pipeline.engines.engine.find_spec", lambda package: package == "submitit")
    monkeypatch.setattr("shutil.which", lambda name: sbatch)
    times = times_of([task] * 20, Local(2))
    assert fastest(times).engine == best
    found = {each.engine: each for each in times}
    assert found["ray"].missing == "pip install 'mer-pipeline[ray]'"
    assert found["local"].seconds == (15 if task == 1 else 6005)
    assert (found["slurm"].workers, found["slurm"].missing) == (20, "" if sbatch else "no sbatch on this machine")
