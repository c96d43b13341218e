"""`mer demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import progress_bar, say, say_json, say_table
from mer_pipeline.cli.train import say_summary


def demo(
    out: Annotated[Path, typer.Option(help="Run folder; the synthetic data go beside it, under <out>-data.")] = Path(
        "runs/demo"
    ),
    device: flags.Device = "cpu",
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
) -> None:
    """Run the whole chain on synthetic data: synth, preprocess, train, predict, report. Minutes on a CPU."""
    from mer_pipeline.apps.demo import run_demo

    with progress_bar(quiet) as progress:
        result = run_demo(out, device=device, progress=progress)
    if as_json:
        say_json(result.as_json())
        return
    say_summary(result.run.metrics, result.class_counts)
    rows = [
        (row.clip, row.planted_emotion, row.predicted_emotion, f"{row.planted_onset} / {row.predicted_onset}",
         f"{row.planted_apex} / {row.predicted_apex}")
        for row in result.rows
    ]  # fmt: skip
    columns = ("clip", "planted emotion", "predicted emotion", "onset planted / spotted", "apex planted / spotted")
    say_table(
        f"Clips of {result.held_out}, a subject that this network never saw, without any annotation", columns, rows
    )
    say("These data are synthetic: the score means that the chain works on this machine, and nothing more.")
    say("One training, to be quick; and the rate of its angles was chosen with such scores in sight (see its card).")
    say(f"report, to be opened in a browser: {result.report}")
    say(f"run: {out}; try: mer predict {result.example} --model {out}")
