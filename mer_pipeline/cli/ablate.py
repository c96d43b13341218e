"""`mer ablate --dataset CACHE`."""

from __future__ import annotations

import functools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import check_folder, chosen_engine, progress_bar, say, say_json, say_warning
from mer_pipeline.evaluation.protocols import protocol_help

if TYPE_CHECKING:
    from mer_pipeline.runs.ablation import Ablation
    from mer_pipeline.training import ClipSet, Recipe


def ablate(
    dataset: Annotated[
        list[Path], typer.Option(help="The cache folder that mer preprocess wrote; given twice, a table each.")
    ],
    table: Annotated[
        str, typer.Option(help="Which table: parts, orientation, scan, baselines, aus, lodo or fdp.")
    ] = "parts",
    model: Annotated[
        str | None,
        typer.Option(help="A model of the zoo; by default facesleuth, or the table's own.", show_default=False),
    ] = None,
    rows: Annotated[
        str, typer.Option(help="Rows by name, with commas, such as baseline,cva,soa; all where not given.")
    ] = "",
    starts: Annotated[
        str, typer.Option(help="Where angles start, in degrees, such as 0,20,45,72,90,135: a row each.")
    ] = "",
    pairs: Annotated[bool, typer.Option("--pairs", help="Compare every two rows, not each with the first.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings a row, with other seeds.")] = 3,
    protocol: Annotated[
        str | None,
        typer.Option(help=f"{protocol_help()} By default loso, or the table's own.", show_default=False),
    ] = None,
    select: Annotated[str, typer.Option(help="Which epoch counts: last, inner or oracle (optimistic).")] = "last",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of every row's recipe.")
    ] = None,
    labels: flags.Labels = None,
    old_labels: flags.OldLabels = None,
    jobs: flags.Jobs = None,
    engine: flags.EngineName = "local",
    engine_option: flags.EngineOptions = None,
    out: Annotated[Path | None, typer.Option(help="Folder; by default runs/ablation-<model>.")] = None,
    device: flags.Device = "auto",
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
) -> None:
    """Train the rows of one of the papers' tables and compare them; --out resumes. Writes text, CSV, LaTeX, HTML."""
    check_folder(*dataset)
    from mer_pipeline import training

    changes, chosen = training.parse_settings(settings or []), training.read_table(table, _numbers(starts))
    name, wanted = model or chosen.model or "facesleuth", [row.strip() for row in rows.split(",") if row.strip()]
    variants, notes = training.chosen_variants(name, changes, wanted, chosen)
    for note in notes:
        say_warning(note)
    plan = training.Plan(chosen.protocol or "loso" if protocol is None else protocol, select, seeds, jobs=jobs)
    folder = out or Path("runs") / (f"ablation-{name}" if table == "parts" else f"ablation-{name}-{table}")
    found, processes = [], chosen_engine(engine, jobs, engine_option)
    for cache in dataset:
        part = folder if len(dataset) == 1 else folder / cache.name
        with progress_bar(quiet, f"the same command with --out {folder} goes on from here") as progress:
            finished = training.ablate(
                functools.partial(_load, cache, labels or old_labels), name, part, plan,
                settings=changes, rows=variants, device=device, engine=processes, table=table, pairs=pairs,
                command=shlex.join(sys.argv), progress=progress,
            )  # fmt: skip
        found.append(_written(finished, part, as_json))
    if as_json:
        say_json(found[0] if len(found) == 1 else {"tables": found})


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of degrees", param_hint="--starts") from None


def _load(cache: Path, labels: str | None, recipe: Recipe) -> ClipSet:
    from mer_pipeline.training import load_clips

    clips = load_clips(cache, labels, recipe.view, size=recipe.size, frames=recipe.frames)
    for note in clips.notes:
        say_warning(note)
    return clips


def _written(found: Ablation, folder: Path, as_json: bool) -> dict[str, Any]:
    """Write the page of a finished table, and print the table."""
    from mer_pipeline.reports import write_report

    page = write_report(folder)
    if not as_json:
        say(found.table("txt").read_text().rstrip())
        for row in found.rows:
            if row.verdict:
                say(f"{row.label}: {row.verdict}")
        for remark in found.facts.remarks:
            say(remark)
        say(f"table: {folder}/table.txt, .csv, .tex; report: {page}")
    return {**found.as_json(), "report": str(page)}
