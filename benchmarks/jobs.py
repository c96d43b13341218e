"""Folds trained at the same time against one after another, and a cluster by simulation from the measured folds.

26 folds of `facesleuth-tiny` on synthetic crops, once by one process and once by `--jobs 2`, in turn on the same
machine; both must give the same predictions and weights to the bit. Beside it stands what the machine itself gives:
steps of the same network by processes that share nothing, at the same time and by one alone. Engines whose packages are
installed run too: Ray on loopback with two workers, and submitit's local executor.

The cluster is a discrete simulation: 26 folds x 5 seeds x 9 rows of an ablation, and a network for prediction for each
seed and row, on 1 to 8 nodes of 8 workers. It assumes

- that a fold takes there what it took here, by one thread, and that their lengths scatter as those measured here;
- that workers do not slow each other (one core each), and read clips from a disk that is not the limit: each loads them
  once, in the time it took here;
- that each task costs what an idle engine took here to hand one out, and that a worker takes the next task when it is
  free;
- and nothing of a queue, or of machines that fail.

`mer predict FOLDER --csv` over 200 synthetic clips, with the model that ships, is timed as a whole command, by one
process and by two, whose tables must be the same.

    OMP_NUM_THREADS=1 python -m benchmarks.jobs --out benchmarks/reports
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch

from benchmarks.loso import SUBJECTS
from mer_pipeline import networks
from mer_pipeline.datasets import read_dataset
from mer_pipeline.device import hardware
from mer_pipeline.engines import ENGINES, Engine, Work, engine_of, makespan_s
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.provenance import versions
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import synthesise
from mer_pipeline.training import ClipSet, Plan, load_clips, load_recipe, train

MODEL = "facesleuth-tiny"
SEEDS, ROWS, NODES, WORKERS = 5, 9, (1, 2, 4, 8), 8
AIM, EFFICIENCY = 1.6, 0.9
_HANDED_OUT, _STEPS = 200, 40


@dataclass(frozen=True)
class Timed:
    """One way to train all folds: its name, how long it took, and whether it gave the numbers of one process."""

    name: str
    seconds: float
    equal: bool


@dataclass(frozen=True)
class Simulated:
    """A cluster: how many nodes and workers, how long, and what share of the workers' time was training."""

    nodes: int
    workers: int
    seconds: float
    efficiency: float


def make_clips(folder: Path, subjects: int, clips: int, size: int) -> ClipSet:
    """Synthetic crops in a cache."""
    synthesise(folder / "raw", subjects=subjects, clips=clips, seed=0)
    preprocess(read_dataset(folder / "raw"), folder / "cache", Parameters(size=size))
    return load_clips(folder / "cache")


def timed(name: str, clips: ClipSet, recipe: Recipe, folder: Path, engine: Engine, first: Path | None) -> Timed:
    """Train all folds; compared with the run `first`."""
    started = time.perf_counter()
    run = train(clips, recipe, folder, Plan(), device="cpu", engine=engine)
    return Timed(name, time.perf_counter() - started, first is None or _equal(run, Run(first)))


def _equal(run: Run, first: Run) -> bool:
    """Whether predictions and weights are the same to the bit."""
    tables = [(one.folder / "predictions.csv").read_bytes() for one in (run, first)]
    folders = sorted(fold.folder.relative_to(first.folder) for fold in first.folds)
    pairs = [[load_network(one.folder / part)[0] for one in (run, first)] for part in [*folders, Path("final")]]
    same = all(mine.keys() == other.keys() for mine, other in pairs)
    return same and tables[0] == tables[1] and all(torch.equal(a[n], b[n]) for a, b in pairs for n in a)


def simulated(folds_s: Sequence[float], final_s: float, start_s: float, each_s: float) -> list[Simulated]:
    """An ablation on clusters of several sizes.

    Args:
        folds_s: What the folds of one training took.
        final_s: What its network for prediction took.
        start_s: What a worker takes to start and to load the clips.
        each_s: What handing a task out takes.
    """
    tasks = [*islice(cycle(folds_s), len(folds_s) * SEEDS * ROWS), *[final_s] * (SEEDS * ROWS)]
    found = []
    for nodes in NODES:
        workers = nodes * WORKERS
        seconds = makespan_s(tasks, workers, start_s, each_s)
        found.append(Simulated(nodes, workers, seconds, sum(tasks) / (workers * seconds)))
    return found


def handing_out_s(folder: Path) -> float:
    """What an engine's process takes from one task to the next, with nothing to do."""
    began = []
    for _ in engine_of("local", 1).run(Work(_nothing, folder), range(_HANDED_OUT)):
        began.append(time.perf_counter())
    return (began[-1] - began[0]) / (len(began) - 1)


def machine_gives(jobs: int) -> float:
    """How many times more steps of training so many processes take that share nothing, than one alone."""
    command = [sys.executable, "-m", "benchmarks.jobs", "--steps-alone"]

    def slowest(count: int) -> float:
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        return max(float(one.communicate()[0]) for one in running)

    alone = slowest(1)
    return jobs * alone / slowest(jobs)


def steps_alone() -> float:
    """Seconds of some steps of the benchmark's network, by one thread."""
    torch.set_num_threads(1)
    recipe = load_recipe(MODEL)
    network = networks.build(recipe.network, classes=5, size=64, **recipe.network_options)
    batch = networks.example_batch(network, recipe.batch)
    started = time.perf_counter()
    for _ in range(_STEPS):
        network.run(batch).logits.sum().backward()
    return time.perf_counter() - started


def _nothing(task: int) -> int:
    return task


def predicted(folder: Path, clips: int, jobs: Sequence[int]) -> list[Timed]:
    """`mer predict` over a folder of clips with several numbers of processes, each from a cold start."""
    synthesise(folder / "films", subjects=1, clips=clips, seed=1)
    (films,) = (folder / "films" / "CASME2-RAW").iterdir()
    ways, tables = [], []
    for count in jobs:
        table = folder / f"predicted-{count}.csv"
        command = [sys.executable, "-c", "from mer_pipeline.cli import main; main()", "predict", str(films)]
        started = time.perf_counter()
        subprocess.run([*command, "--csv", str(table), "--jobs", str(count), "-q"], check=True, capture_output=True)
        seconds = time.perf_counter() - started
        tables.append(table.read_bytes())
        ways.append(Timed(f"mer predict FOLDER --jobs {count}", seconds, tables[-1] == tables[0]))
    return ways


def report(
    command: str,
    clips: ClipSet,
    recipe: Recipe,
    ways: Sequence[Timed],
    start_s: float,
    each_s: float,
    folds_s: Sequence[float],
    clusters: Sequence[Simulated],
    folder: Sequence[Timed],
    films: int,
    gives: float,
) -> str:
    """The measurements as a page of Markdown."""
    one = ways[0]
    lines = [
        "# Many folds at a time", "",
        f"{datetime.date.today()}, `{command}`, {json.dumps(hardware(torch.device('cpu')))}, commit "
        f"{versions().get('commit', 'none')}; load of the machine at the end: {os.getloadavg()[0]:.1f}.", "",
        f"{len(folds_s)} folds of {recipe.model}, {len(clips.clip_ids)} clips of {clips.size} px, {recipe.epochs} "
        f"epochs. The aim of `--jobs 2` is {AIM} times one process, on a quiet machine; so many "
        f"processes that share nothing take {gives:.2f} times the steps of one alone here.", "",
        "| way | seconds | times faster | the same numbers |", "|---|---|---|---|",
        *(f"| {way.name} | {way.seconds:.1f} | {one.seconds / way.seconds:.2f} | {'yes' if way.equal else '**NO**'} |"
          for way in ways), "",
        f"A fold took {min(folds_s):.2f} to {max(folds_s):.2f} s; a process started and loaded the clips in "
        f"{start_s:.1f} s, and was handed a task in {1000 * each_s:.1f} ms.", "",
        f"## {len(folds_s)} folds x {SEEDS} seeds x {ROWS} rows on a cluster, simulated", "",
        f"Assumptions: at the head of `benchmarks/jobs.py`. The aim is an efficiency of {EFFICIENCY} with 64.", "",
        "| nodes | workers | hours | efficiency |", "|---|---|---|---|",
        *(f"| {one.nodes} | {one.workers} | {one.seconds / 3600:.3f} | {one.efficiency:.3f} |" for one in clusters), "",
        f"## A folder of {films} clips", "",
        "| command | seconds | clips a second | the same table |", "|---|---|---|---|",
        *(f"| {way.name} | {way.seconds:.1f} | {films / way.seconds:.2f} | {'yes' if way.equal else '**NO**'} |"
          for way in folder), "",
    ]  # fmt: skip
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, and with --out write the report; 1 where the numbers differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    parser.add_argument("--clips", type=int, default=5, help="of each subject")
    parser.add_argument("--size", type=int, default=64, help="side of the crops")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--engines", nargs="*", default=["local", "slurm", "ray"], choices=list(ENGINES))
    parser.add_argument("--films", type=int, default=200, help="clips that mer predict is given")
    parser.add_argument("--steps-alone", action="store_true", help="only time some steps, for the measurement itself")
    parser.add_argument("--out", type=Path, help="the folder of the report")
    arguments = parser.parse_args(given)
    if arguments.steps_alone:
        print(steps_alone())
        return 0
    recipe = load_recipe(MODEL, {"epochs": arguments.epochs})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = make_clips(folder, arguments.subjects, arguments.clips, arguments.size)
        first, gives = folder / "one", machine_gives(arguments.jobs)
        ways = [timed("one process", clips, recipe, first, engine_of("local", 1), None)]
        for engine in arguments.engines:
            options = {"cluster": "local"} if engine == "slurm" else {}
            if not ENGINES[engine][1].missing():
                processes = engine_of(engine, arguments.jobs, options)
                what = f"--engine {engine}{' (local executor)' if options else ''} --jobs {arguments.jobs}"
                ways.append(timed(what, clips, recipe, folder / engine, processes, first))
        started, each_s = time.perf_counter(), handing_out_s(folder)
        start_s = time.perf_counter() - started - each_s * _HANDED_OUT
        started = time.perf_counter()
        load_clips(folder / "cache")
        start_s += time.perf_counter() - started
        folds_s = [fold.seconds for fold in Run(first).folds]
        films = predicted(folder, arguments.films, (1, arguments.jobs))
    # The network for prediction has all clips, of which a fold leaves one subject out.
    final_s = max(folds_s) * arguments.subjects / (arguments.subjects - 1)
    clusters = simulated(folds_s, final_s, start_s, each_s)
    command = f"python -m benchmarks.jobs {' '.join(sys.argv[1:] if given is None else given)}".strip()
    text = report(command, clips, recipe, ways, start_s, each_s, folds_s, clusters, films, arguments.films, gives)
    print(text)
    if arguments.out:
        (arguments.out / f"jobs-{datetime.date.today()}.md").write_text(text)
    return 0 if all(way.equal for way in [*ways, *films]) else 1


if __name__ == "__main__":
    sys.exit(main())
