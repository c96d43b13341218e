"""How many flow fields a second are drawn from anatomy, and how many are measured on filmed sketches of faces.

By one process and by one a core, which is how `studies/free_model.py` makes what the shipped reader learns from; each
process makes a quarter of a second's worth first, so that neither its start nor its imports count.

    OMP_NUM_THREADS=1 python -m benchmarks.generator --out benchmarks/reports
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from mer_pipeline.device import hardware
from mer_pipeline.engines import cores
from mer_pipeline.runs.provenance import versions
from mer_pipeline.synth.skin.computed import compute_motion
from mer_pipeline.synth.skin.drawn import Maker, draw_motion

# Fields a batch, and what is aimed at with all cores, a second.
WAYS: dict[str, tuple[Maker, int, int]] = {"drawn": (draw_motion, 512, 2000), "computed": (compute_motion, 16, 50)}


@dataclass(frozen=True)
class Rate:
    """Fields a second of one way with so many processes."""

    way: str
    processes: int
    fields_s: float
    aim: int


def measured(way: str, processes: int, batches: int) -> Rate:
    """Make batches in each process at the same time; the slowest counts."""
    _, batch, aim = WAYS[way]
    with get_context("spawn").Pool(processes) as pool:
        taken = pool.map(_make, [(way, number, batches) for number in range(processes)], chunksize=1)
    return Rate(way, processes, processes * batches * batch / max(taken), aim)


def _make(task: tuple[str, int, int]) -> float:
    way, number, batches = task
    make, batch, _ = WAYS[way]
    make([number, 0], max(1, batch // 4))
    return _timed(lambda: [make([number, at], batch) for at in range(1, batches + 1)])


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, and with --out write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=8, help="that each process makes")
    parser.add_argument("--out", type=Path, help="the folder of the report")
    arguments = parser.parse_args(given)
    rates = [measured(way, count, arguments.batches) for way in WAYS for count in sorted({1, cores()})]
    lines = [
        "# Flow fields a second", "",
        f"{datetime.date.today()}, `python -m benchmarks.generator --batches {arguments.batches}`, "
        f"{json.dumps(hardware(torch.device('cpu')))}, commit {versions().get('commit', 'none')}; load of the machine "
        f"at the end: {os.getloadavg()[0]:.1f}.", "",
        "| fields | processes | a second | aim with all cores |", "|---|---|---|---|",
        *(f"| {one.way} | {one.processes} | {one.fields_s:,.0f} | {one.aim:,} |" for one in rates), "",
    ]  # fmt: skip
    text = "\n".join(lines)
    print(text)
    if arguments.out:
        (arguments.out / f"generator-{datetime.date.today()}.md").write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
