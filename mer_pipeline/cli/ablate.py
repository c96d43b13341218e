"""`mer ablate --dataset CACHE`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli.common import (
    Device,
    HeldOut,
    Jobs,
    Json,
    Labels,
    OldLabels,
    Quiet,
    progress_bar,
    say,
    say_json,
    say_warning,
)


def ablate(
    dataset: Annotated[Path, typer.Option(help="The cache folder that mer preprocess wrote.")],
    model: Annotated[str, typer.Option(help="A FaceSleuth of the zoo; see mer models.")] = "facesleuth",
    rows: Annotated[
        str, typer.Option(help="Rows by name, with commas, such as baseline,cva,soa; all where not given.")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings a row, with other seeds.")] = 3,
    protocol: HeldOut = "loso",
    select: Annotated[str, typer.Option(help="Which epoch counts: last, inner or oracle (optimistic).")] = "last",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of every row's recipe.")
    ] = None,
    labels: Labels = None,
    old_labels: OldLabels = None,
    jobs: Jobs = None,
    out: Annotated[Path | None, typer.Option(help="Folder; by default runs/ablation-<model>.")] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the rows of the papers' tables and compare them; --out resumes. Writes text, CSV, LaTeX and a report."""
    from mer_pipeline import training
    from mer_pipeline.reports import write_report
    from mer_pipeline.stages.workers import cores

    changes = training.parse_settings(settings or [])
    variants, notes = training.chosen_variants(
        model, changes, [name.strip() for name in rows.split(",") if name.strip()]
    )
    for note in notes:
        say_warning(note)

    def load(recipe: training.Recipe) -> training.ClipSet:
        clips = training.load_clips(dataset, labels or old_labels, recipe.view, size=recipe.size, frames=recipe.frames)
        for note in clips.notes:
            say_warning(note)
        return clips

    folder = out or Path("runs") / f"ablation-{model}"
    with progress_bar(quiet, f"the same command with --out {folder} goes on from here") as progress:
        found = training.ablate(
            load,
            model,
            folder,
            training.Plan(protocol, select, seeds, jobs=jobs or cores()),
            settings=changes,
            rows=variants,
            device=device,
            command=shlex.join(sys.argv),
            progress=progress,
        )
    page = write_report(folder)
    if as_json:
        say_json({**found.as_json(), "report": str(page)})
        return
    say(found.table("txt").read_text().rstrip())
    for row in found.rows:
        if row.verdict:
            say(f"{row.label}: {row.verdict}")
    say(f"table: {folder}/table.txt, .csv, .tex; report: {page}")
