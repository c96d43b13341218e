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
    protocol: Annotated[
        str, typer.Option(help="Who is held out: loso, lodo (a dataset), kfold:N, or a .csv file with a fixed split.")
    ] = "loso",
    select: Annotated[
        str,
        typer.Option(help="Which epoch counts: last, inner (subjects inside the fold choose) or oracle (optimistic)."),
    ] = "last",
    seeds: Annotated[int, typer.Option(min=1, help="So many trainings with other seeds; mean and deviation.")] = 1,
    aus: Annotated[
        str | None, typer.Option(help="Action Units at test time: predicted, annotated or none.", show_default=False)
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--protocol-labels",
            help="Label protocol, such as megc3, or a .toml file with your own; the dataset's by default.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/<date>-<name>.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard files.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check recipe, folds, cache and memory, tell the cost, and train nothing.")
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train and judge leave-one-subject-out, then train once on all subjects for prediction; --out resumes a run."""
    from mer_pipeline.recipe import load_recipe, parse_settings

    overrides: dict[str, Any] = {"epochs": epochs, "seed": seed, "aus": aus, "options.attention": attention}
    overrides = {key: value for key, value in overrides.items() if value is not None}
    recipe = load_recipe(model, {**overrides, **parse_settings(settings or [])})
    from mer_pipeline import training  # after what is quick to refuse: it imports torch

    plan = training.Plan(protocol, select, seeds, tensorboard)
    clips = training.load_clips(dataset, labels, recipe.view, size=recipe.size, frames=recipe.frames)
    for note in clips.notes:
        say_warning(note)
    if dry_run:
        _say_estimate(training.estimate(clips, recipe, plan, device), as_json)
        return
    run = out or Path("runs") / f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{model}"
    with progress_bar(quiet, f"the same command with --out {run} goes on from here") as progress:
        summary = training.train(
            clips, recipe, run, plan, device=device, command=shlex.join(sys.argv), progress=progress
        )
    if as_json:
        say_json(summary)
        return
    say_summary(summary, clips.class_counts)


def _say_estimate(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    say(f"[bold]{found['model']}[/]: {found['parameters']:,} parameters, {found['multiply_accumulates']:,} "
        f"multiply-accumulates a clip")  # fmt: skip
    say(f"{found['clips']} clips of {found['subjects']} subjects, {found['view']} at {found['size']} px; "
        f"{found['folds']} folds ({found['protocol']}), no leak between their sides")  # fmt: skip
    say(
        f"memory: {found['data_mb']:,} MB of clips, {found['memory_mb']:,} MB in all; "
        f"{found['memory_free_mb']:,} MB were free"
    )
    say(f"time: about {_duration(found['seconds'])} on {found['device']} ({found['seconds_per_step']:.2f} s a step)")
    for problem in found["problems"]:
        say_warning(problem)


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=max(1, round(seconds))))


_EPOCHS = {"last": "last epoch", "inner": "epoch chosen inside the training fold"}
_HELD_OUT = {"loso": "LOSO", "lodo": "LODO"}


def say_summary(summary: dict[str, Any], class_counts: dict[str, int]) -> None:
    """Print a training's result: the honest score first, the flattering one beside it and named so."""
    oracle, (low, high) = summary["oracle"], summary["intervals95"]["uf1"]
    say(f"[bold]{summary['model']}[/] {summary['labels']}: {counts_line(class_counts)}")
    epoch = _EPOCHS.get(summary["selection"], summary.get("note"))
    what = f"{_HELD_OUT.get(summary['protocol'], summary['protocol'])}, {summary['subjects']} subjects, "
    what += f"{summary['clips']} clips, {epoch}, Action Units {summary['aus']}"
    if "seeds" in summary:
        what = f"{len(summary['seeds'])} seeds, mean ± sd; {what}"
    say(f"[bold]{_scores(summary)}[/]  ({what})")
    if "seeds" in summary:
        say(f"what follows is of seed {summary['seeds'][0]}:")
    say(f"UF1 95 % interval over subjects {low:.3f} to {high:.3f}")
    for name, control in summary["controls"].items():
        say(f"control {name}: UF1 {control['uf1']:.3f}; {control['verdict']}")
    if len(summary["by_dataset"]) > 1:
        each = "; ".join(f"{name} {values['uf1']:.3f}" for name, values in summary["by_dataset"].items())
        say(f"UF1 by dataset: {each}")
    if len(summary["by_aus"]) > 1:
        each = "; ".join(f"{source} {values['uf1']:.3f}" for source, values in summary["by_aus"].items())
        say(f"UF1 by source of the Action Units at test time: {each}")
    if summary["selection"] != "oracle":
        say(f"[dim]{_scores(oracle)}  ({oracle['note']})[/]")
    if summary["theta_deg"]:
        say(f"learned angles: {', '.join(f'{angle:.1f}' for angle in summary['theta_deg'])} deg")
    say(f"{summary['seconds']:.0f} s; run: {summary['run']}")


def _scores(found: dict[str, Any]) -> str:
    """`UF1 0.612 ± 0.010  UAR ...`; without the deviation where there is one seed."""
    deviation = found.get("sd", {})
    names = {"uf1": "UF1", "uar": "UAR", "accuracy": "accuracy"}
    return "  ".join(
        f"{label} {found[name]:.3f}" + (f" ± {deviation[name]:.3f}" if deviation else "")
        for name, label in names.items()
    )
