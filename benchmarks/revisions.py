"""Processor time of spotting now against another revision of this project, in pairs that take turns.

python -m benchmarks.revisions 646f838~1 VIDEO... --pairs 3 --out benchmarks/reports/revisions.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from mer_pipeline.device import hardware

ROOT = Path(__file__).resolve().parent.parent
# Importing is measured by `startup`; here only what follows.
_SPOT = """
import sys, time
from pathlib import Path
from mer_pipeline.spotting.video import spot_video
began = time.process_time()
found = spot_video(Path(sys.argv[1]))
print(time.process_time() - began, found.frames, len(found.intervals))
"""


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


def spotted(project: Path, video: Path) -> tuple[float, int, int]:
    """Seconds of processor time, frames and expressions of one video, in a process of its own with one thread."""
    environment = os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _SPOT, str(video.resolve())]
    done = subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
    seconds, frames, count = done.stdout.split()[-3:]
    return float(seconds), int(frames), int(count)


def row(before: Path, video: Path, pairs: int) -> str:
    """One row of the table."""
    measured = [(spotted(before, video), spotted(ROOT, video)) for _ in range(pairs)]
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
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where the report goes; printed where not given")
    arguments = parser.parse_args()
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
    with checkout(arguments.revision) as before:
        lines += [row(before, video, arguments.pairs) for video in arguments.videos]
    text = "\n".join(lines) + "\n"
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
