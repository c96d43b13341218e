"""`mer compare RUN RUN...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import check_folder, say, say_json, say_table


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Finished run folders on the same clips.")],
    table: Annotated[
        Path | None, typer.Option(help="Also write a row a run, seed and clip here (.csv), for a model of your own.")
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Compare the first run with the others: intervals over subjects and seeds, swap permutation, Holm's correction."""
    for folder in runs:
        check_folder(folder, fix="give the folder that mer train wrote")
    from mer_pipeline.evaluation.compare import COMPARED
    from mer_pipeline.evaluation.compare import compare as compare_runs
    from mer_pipeline.runs.run import Run

    found = compare_runs([Run(folder) for folder in runs])
    if table is not None:
        found.write_table(table)
    if as_json:
        say_json(found.as_json())
        return
    rows = []
    for judged in found.runs:
        metrics, scores = judged.run.metrics, judged.scores()
        how = f"{metrics.protocol}, {metrics.selection}, Action Units {metrics.aus}"
        if metrics.au_macro_f1 is not None:
            how += f", their estimate F1 {metrics.au_macro_f1:.3f}"
        how = COMPARED if metrics.selection == "oracle" else how
        shown = (f"{scores[name]:.3f}" for name in ("uf1", "uar", "accuracy"))
        rows.append((judged.name, metrics.model, len(judged.guesses), *shown, how))
    say_table("", ("run", "model", "seeds", "UF1", "UAR", "accuracy", ""), rows)
    for comparison in found.comparisons:
        say(comparison.conclusion)
