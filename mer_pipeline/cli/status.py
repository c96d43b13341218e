"""`mer status RUN`."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import check_folder, say, say_json


def status(
    run: Annotated[Path, typer.Argument(help="The --out of mer train or mer ablate, also while they run.")],
    as_json: flags.Json = False,
) -> None:
    """Show which folds of a run are done, running or failed, and how long the rest will take."""
    from mer_pipeline.runs.status import read_status

    check_folder(run, fix="give the --out of mer train or mer ablate")
    found = read_status(run)
    if as_json:
        say_json(found.as_json())
        return
    running, failed, waiting = (found.of(state) for state in ("running", "failed", "waiting"))
    counts = f"{len(found.of('done'))} of {len(found.pieces)} trainings done, {len(running)} running, "
    say(f"{run}: {counts}{len(failed)} failed, {len(waiting)} waiting{'; finished' if found.finished else ''}")
    for piece in running:
        say(f"running: {piece.name}: epoch {piece.epoch} of {piece.epochs}, {piece.seconds:.0f} s, {piece.process}")
    for piece in failed:
        say(f"failed: {piece.name}: {piece.error}")
    if not found.finished:
        say(_left(found.seconds_left, found.fold_s, len(running)))


def _left(seconds: float | None, fold_s: float | None, running: int) -> str:
    if seconds is None or fold_s is None:
        return "no fold has been measured yet; the same mer train or mer ablate command goes on from here"
    processes = f"{running} processes" if running > 1 else "1 process"
    left = datetime.timedelta(seconds=max(1, round(seconds)))
    return f"about {left} left with {processes}; a fold takes {fold_s:.1f} s"
