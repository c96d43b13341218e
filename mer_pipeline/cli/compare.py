"""`mer compare RUN RUN...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli.common import Json, check_folder, say, say_json, say_table


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Finished run folders on the same clips.")],
    as_json: Json = False,
) -> None:
    """Compare the first run with the others: bootstrap over subjects, McNemar over clips, t-test over seeds."""
    for folder in runs:
        check_folder(folder, "give the folder that mer train wrote")
    from mer_pipeline.evaluation.compare import compare as compare_runs
    from mer_pipeline.runs.run import Run

    found = compare_runs([Run(folder) for folder in runs]).as_json()
    if as_json:
        say_json(found)
        return
    rows = [
        (run["run"], run["model"], len(run["seeds"]), *(f"{run[name]:.3f}" for name in ("uf1", "uar", "accuracy")),
         run.get("note", f"{run['protocol']}, {run['selection']}, Action Units {run['aus']}"))
        for run in found["runs"]
    ]  # fmt: skip
    say_table("", ("run", "model", "seeds", "UF1", "UAR", "accuracy", ""), rows)
    for comparison in found["comparisons"]:
        say(comparison["conclusion"])
