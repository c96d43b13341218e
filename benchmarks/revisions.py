"""Processor time of spotting now against another revision of this project, in pairs that take turns.

    python -m benchmarks.revisions 646f838~1 VIDEO... --pairs 3 --out benchmarks/reports/revisions.md

`--python` is an interpreter with what that revision needs, where that is not what today's needs. `--cold CLIP` also
times the whole command `mer predict CLIP --model RUN` from its start, where RUN holds fresh weights of
`facesleuth-tiny`; today's with the same network as `mer export` writes it; and today's `mer predict CLIP`, whose model
ships with it. `--preprocess RAW` also takes the processor time of the whole command `mer preprocess RAW`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Literal

import torch

from mer_pipeline.device import hardware

ROOT = Path(__file__).resolve().parent.parent
Project = tuple[Path, str]  # where it lies, and the interpreter that has what it needs
# Importing is measured by `startup`; here only what follows.
_SPOT = """
import sys, time
from pathlib import Path
from mer_pipeline.spotting.video import spot_video
began = time.process_time()
found = spot_video(Path(sys.argv[1]))
print(time.process_time() - began, found.frames, len(found.intervals))
"""
_MODEL = """
import sys
from pathlib import Path
from benchmarks.predict import make_model
make_model(Path(sys.argv[1]))
"""
_MER = "from mer_pipeline.cli import main; main()"
Kind = Literal["run", "exported", "shipped"]  # of model


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """The project as it was, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "revision"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", place, revision], check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", place], check=True)


def run(project: Project, *arguments: str) -> str:
    """What Python prints in a project, in a process of its own with one thread."""
    place, python = project
    environment = os.environ | {"PYTHONPATH": str(place), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [python, "-c", *arguments]
    return subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, text=True).stdout


def spotted(project: Project, video: Path) -> tuple[float, int, int]:
    """Seconds of processor time, frames and expressions of one video."""
    seconds, frames, count = run(project, _SPOT, str(video.resolve())).split()[-3:]
    return float(seconds), int(frames), int(count)


def cold(project: Project, clip: Path, kind: Kind) -> float:
    """Seconds by the clock of the whole command on a short clip, with a network of fresh weights or the shipped one."""
    with tempfile.TemporaryDirectory() as folder:
        made = {"run": f"{folder}/run", "exported": f"{folder}/model.onnx"}
        chosen = ["--model", made[kind], "--device", "cpu"] if kind in made else []
        if chosen:
            run(project, _MODEL, folder)
        if kind == "exported":
            run(project, _MER, "export", made["run"], "--out", made["exported"])
        started = time.perf_counter()
        run(project, _MER, "predict", str(clip.resolve()), *chosen)
        return time.perf_counter() - started


def cold_row(before: Project, now: Project, clip: Path, pairs: int) -> str:
    """One line on the whole command."""
    asked: list[tuple[Project, Kind]] = [(before, "run"), (now, "run"), (now, "exported"), (now, "shipped")]
    measured = [[cold(project, clip, kind) for project, kind in asked] for _ in range(pairs)]
    old, new, exported, usual = (median(each) for each in zip(*measured, strict=True))
    return (
        f"`mer predict {clip.name}` from its start, by the clock, medians: {old:.2f} s before; now {new:.2f} s with "
        f"the same network ({new / old:.2f}), {exported:.2f} s with it exported ({exported / old:.2f}), {usual:.2f} s "
        f"with the model that ships ({usual / old:.2f})."
    )


def preprocessed(project: Project, raw: Path) -> float:
    """Seconds of processor time of `mer preprocess` on a dataset, from its start, with a new cache."""
    with tempfile.TemporaryDirectory() as folder:
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(project, _MER, "preprocess", str(raw.resolve()), "--out", f"{folder}/cache", "--jobs", "1", "--quiet")
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime


def preprocess_row(before: Project, now: Project, raw: Path, pairs: int) -> str:
    """One line on preprocessing."""
    measured = [(preprocessed(before, raw), preprocessed(now, raw)) for _ in range(pairs)]
    old, new = (median(each) for each in zip(*measured, strict=True))
    ratios = sorted(b / a for a, b in measured)
    return (
        f"`mer preprocess {raw.name}` from its start, one process, processor time, medians: {old:.2f} s before, now "
        f"{new:.2f} s ({median(ratios):.2f}; {ratios[0]:.2f} to {ratios[-1]:.2f})."
    )


def row(before: Project, today: Project, video: Path, pairs: int) -> str:
    """One row of the table."""
    measured = [(spotted(before, video), spotted(today, video)) for _ in range(pairs)]
    old, new = (median(each[at][0] for each in measured) for at in (0, 1))
    ratios = sorted(b[0] / a[0] for a, b in measured)
    (_, frames, once), (_, _, now) = measured[-1]
    return (
        f"| {video.name} | {frames} | {1000 * old / frames:.2f} | {1000 * new / frames:.2f} | {median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | {once} -> {now} |"
    )


def main() -> None:
    """Measure each video and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="the older state, as git names it")
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="what runs the older state")
    parser.add_argument("--cold", type=Path, metavar="CLIP", help="also time mer predict on a short clip")
    parser.add_argument("--preprocess", type=Path, metavar="RAW", help="also time mer preprocess on a dataset")
    parser.add_argument("--out", type=Path, help="where the report goes; printed where not given")
    arguments = parser.parse_args()
    if arguments.out is not None and (arguments.out.is_dir() or not arguments.out.parent.is_dir()):
        parser.error(f"--out {arguments.out}: name a file in a folder that is there")
    if not (arguments.videos or arguments.cold or arguments.preprocess):
        parser.error("nothing to measure: give videos, --cold or --preprocess")
    for path in (*arguments.videos, *([arguments.cold] if arguments.cold else [])):
        if not path.is_file():
            parser.error(f"{path}: no such file")
    if arguments.preprocess is not None and not arguments.preprocess.is_dir():
        parser.error(f"--preprocess {arguments.preprocess}: no such folder")
    known = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--verify", "--quiet", f"{arguments.revision}^{{commit}}"], capture_output=True
    )
    if known.returncode:
        parser.error(f"{arguments.revision}: no such revision; see git log")
    now, then = (
        subprocess.check_output(["git", "-C", ROOT, "rev-parse", "--short", name], text=True).strip()
        for name in ("HEAD", arguments.revision)
    )
    lines = [
        f"# Spotting: {now} against {then}",
        "",
        f"{datetime.date.today():%Y-%m-%d}, `python -m benchmarks.revisions {arguments.revision} VIDEO... "
        f"--pairs {arguments.pairs}`, {json.dumps(hardware(torch.device('cpu')))}. "
        "Processor time of `spot_video` (decoding, face, tracking, judging), one thread, "
        "each time in a new process, revisions in turns; medians, and the ratios' range.",
        "",
        "| video | frames | ms a frame before | now | now / before | expressions |",
        "|---|---|---|---|---|---|",
    ]
    today = ROOT, sys.executable
    with checkout(arguments.revision) as place:
        before = place, arguments.python
        lines += [row(before, today, video, arguments.pairs) for video in arguments.videos]
        if arguments.cold is not None:
            lines += ["", cold_row(before, today, arguments.cold, arguments.pairs)]
        if arguments.preprocess is not None:
            lines += ["", preprocess_row(before, today, arguments.preprocess, arguments.pairs)]
    text = "\n".join(lines) + "\n"
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
