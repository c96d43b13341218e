"""`mer preprocess RAW --out CACHE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli.common import Dataset, Json, Quiet, RawFolder, progress_bar, say, say_json, say_table, say_warning
from mer_pipeline.datasets import read_dataset
from mer_pipeline.stages.crop import DEFAULT_SIZE


def preprocess(
    raw: RawFolder,
    out: Annotated[Path, typer.Option(help="The cache folder; several datasets may share one.")],
    dataset: Dataset = "auto",
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side of the face crops in pixels.")] = DEFAULT_SIZE,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any clip fails.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find key frames and faces, align and crop them; every stage is cached, so a second run computes nothing."""
    from mer_pipeline.stages.preprocess import Parameters, preprocess

    annotations = read_dataset(raw, dataset)
    with progress_bar(quiet) as progress:
        summary = preprocess(annotations, out, Parameters(size=size), progress=progress)
    for path in summary.damaged:
        say_warning(f"{path}: was damaged; set aside and computed again")
    if as_json:
        say_json(summary.as_json())
    else:
        rows = [(name, *counts.values()) for name, counts in summary.stages.items()]
        say_table(
            f"{summary.dataset}: {summary.ok} of {summary.clips} clips", ("stage", "computed", "cached", "failed"), rows
        )
        if summary.failures:
            failures = [tuple(failure.values()) for failure in summary.failures]
            say_table(f"{len(failures)} failed", ("clip", "stage", "reason"), failures)
        say(f"{summary.decoded_frames} frames decoded, {summary.seconds:.1f} s; cache: {out}")
    if summary.ok == 0 or (strict and summary.failures):
        raise typer.Exit(1)
