"""How long `mer inspect` takes, beside listing the files of the same folder.

    python benchmarks/inspect.py [--clips 1000] [--frames 100] [--out report.txt]

A CASME II folder with tiny files is written to a temporary place; the annotations are read, and every file is listed
with `os.scandir`, in turns. What counts is the ratio of the medians; 5 is the limit.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import openpyxl

from mer_pipeline.datasets import read_dataset

LIMIT = 5.0
SUBJECTS = 20


def write_set(raw: Path, clips: int, frames: int) -> None:
    """A CASME II folder whose frames are files of one byte: nothing opens them."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion"])
    for index in range(clips):
        subject, name = f"{index % SUBJECTS + 1:02d}", f"EP{index // SUBJECTS:02d}_{index:04d}"
        folder = raw / "CASME2-RAW" / f"sub{subject}" / name
        folder.mkdir(parents=True)
        for number in range(1, frames + 1):
            (folder / f"img{number}.jpg").write_bytes(b"0")
        sheet.append([subject, name, 2, frames // 2, frames, "4+7", "disgust"])
    book.save(raw / "CASME2-coding-20190701.xlsx")


def list_files(folder: str) -> int:
    """How many files are below a folder."""
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            count += list_files(entry.path) if entry.is_dir() else 1
    return count


def seconds(work: Callable[[], object], times: int) -> float:
    """The median time of some work."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def command(raw: Path) -> None:
    """The whole command, with the start of Python."""
    run = [sys.executable, "-c", "from mer_pipeline.cli import main; main()", "inspect", str(raw), "--json"]
    subprocess.run(run, check=True, capture_output=True)


def measure(clips: int, frames: int, times: int) -> str:
    """A report, ready to print."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        write_set(raw, clips, frames)
        found = read_dataset(raw)
        assert len(found.clips) == clips
        assert not found.problems
        files = list_files(folder)
        listing = seconds(lambda: list_files(folder), times)
        reading = seconds(lambda: read_dataset(raw), times)
        whole = seconds(lambda: command(raw), max(1, times // 3))
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, warm file cache"
    return "\n".join(
        (
            f"{today}: {clips} clips x {frames} frames ({files} files) on {machine}",
            f"python benchmarks/inspect.py --clips {clips} --frames {frames}",
            f"listing the files      {listing:.3f} s",
            f"reading annotations    {reading:.3f} s, {reading / listing:.2f} times the listing (limit {LIMIT:g})",
            f"the command `inspect`  {whole:.3f} s, {whole / listing:.2f} times, with the start of Python",
        )
    )


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--times", type=int, default=7, help="how often each is measured")
    parser.add_argument("--out", type=Path, help="write the report here as well")
    arguments = parser.parse_args()
    report = measure(arguments.clips, arguments.frames, arguments.times)
    print(report)
    if arguments.out is not None:
        arguments.out.write_text(report + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
