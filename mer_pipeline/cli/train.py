"""`mer train --dataset CACHE --attention soa`."""

from __future__ import annotations

import datetime
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mer_pipeline.cli.common import Device, Json, Quiet, counts_line, progress_bar, say, say_json, say_warning


def train(
    dataset: Annotated[Path, typer.Option(help="The cache folder that mer preprocess wrote.")],
    model: Annotated[str, typer.Option(help="A model of the zoo; see mer models.")] = "facesleuth",
    attention: Annotated[
        str | None, typer.Option(help="cva, soa, soa-shared, horizontal or none; the recipe's own where not given.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Short for --set epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Short for --set seed=N.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe; may be repeated."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--protocol-labels",
            help="Label protocol, such as megc3, or a .toml file with your own; the dataset's by default.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/<date>-<name>.")] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train leave-one-subject-out, then once on all subjects for prediction; an interrupted run is resumed by --out."""
    from mer_pipeline import training

    overrides: dict[str, Any] = {"epochs": epochs, "seed": seed, "options.attention": attention}
    overrides = {key: value for key, value in overrides.items() if value is not None}
    recipe = training.load_recipe(model, {**overrides, **training.parse_settings(settings or [])})
    clips = training.load_clips(dataset, labels, recipe.kind)
    run = out or Path("runs") / f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{model}"
    for note in clips.notes:
        say_warning(note)
    with progress_bar(quiet, f"the same command with --out {run} goes on from here") as progress:
        summary = training.train(clips, recipe, run, device=device, command=shlex.join(sys.argv), progress=progress)
    if as_json:
        say_json(summary)
        return
    say_summary(summary, clips.class_counts)


def say_summary(summary: dict[str, Any], class_counts: dict[str, int]) -> None:
    """Print a training's result: the honest score first, the flattering one beside it and named so."""
    from mer_pipeline.training import OPTIMISTIC

    oracle, (low, high), majority = summary["oracle"], summary["intervals95"]["uf1"], summary["majority"]
    say(f"[bold]{summary['model']}[/] {summary['labels']}: {counts_line(class_counts)}")
    say(
        f"[bold]UF1 {summary['uf1']:.3f}  UAR {summary['uar']:.3f}  accuracy {summary['accuracy']:.3f}[/]  "
        f"(LOSO, {summary['folds']} subjects, {summary['clips']} clips, last epoch, Action Units {summary['aus']})"
    )
    say(f"UF1 95 % interval over subjects {low:.3f} to {high:.3f}; always the commonest class: {majority['uf1']:.3f}")
    if len(summary["by_dataset"]) > 1:
        each = "; ".join(f"{name} {values['uf1']:.3f}" for name, values in summary["by_dataset"].items())
        say(f"UF1 by dataset: {each}")
    if len(summary["by_aus"]) > 1:
        each = "; ".join(f"{source} {values['uf1']:.3f}" for source, values in summary["by_aus"].items())
        say(f"UF1 by source of the Action Units at test time: {each}")
    say(f"[dim]UF1 {oracle['uf1']:.3f}  UAR {oracle['uar']:.3f}  accuracy {oracle['accuracy']:.3f}  ({OPTIMISTIC})[/]")
    if summary["theta_deg"]:
        say(f"learned angles: {', '.join(f'{angle:.1f}' for angle in summary['theta_deg'])} deg")
    say(f"{summary['seconds']:.0f} s; run: {summary['run']}")
