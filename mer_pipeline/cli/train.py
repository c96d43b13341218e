"""`mer train --dataset CACHE --attention soa`."""

from __future__ import annotations

import datetime
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import check_folder, chosen_engine, counts_line, progress_bar, say, say_json, say_warning

if TYPE_CHECKING:  # they import torch, which takes seconds
    from mer_pipeline.inputs.clip_set import ClipSet
    from mer_pipeline.recipe import Recipe
    from mer_pipeline.runs.metrics import Metrics
    from mer_pipeline.runs.results import Scores
    from mer_pipeline.training.estimate import Estimate
    from mer_pipeline.training.session import Plan

Model = Annotated[
    str,
    typer.Option("--model", "--recipe", help="A model of the zoo (see mer models), or a .toml file: your own recipe."),
]
Aus = Annotated[
    str | None, typer.Option(help="Action Units at test time: predicted, annotated or none.", show_default=False)
]
Attention = Annotated[
    str | None, typer.Option(help="cva, soa, soa-shared, horizontal or none; the recipe's own where not given.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe; may be repeated."),
]
Select = Annotated[
    str | None,
    typer.Option(
        help="Which epoch counts: last, inner (subjects inside the fold choose) or oracle (optimistic); last, unless "
        "the recipe says otherwise.",
        show_default=False,
    ),
]
ShuffleLabels = Annotated[
    bool,
    typer.Option(
        "--shuffle-labels", help="Deal each subject's labels at random among its clips: what chance comes to."
    ),
]
AuTables = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Tables of Action Units by frame that OpenFace or py-feat wrote, named as the clips (SUBJECT/CLIP.csv): "
        "what they alone predict stands beside the score.",
    ),
]


OneFold = Annotated[
    str | None,
    typer.Option(
        "--fold",
        metavar="KEY",
        help="Train this fold alone, such as casme2/01, of the training with --seed, into --out; the same command "
        "without --fold and --seed collects.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Check recipe, folds, cache and memory, estimate the cost, and train nothing."),
]


def train(
    dataset: Annotated[Path, typer.Option(help="The cache folder that mer preprocess wrote.")],
    model: Model = "facesleuth",
    attention: Attention = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Short for --set epochs=N.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Short for --set seed=N.")] = None,
    settings: Settings = None,
    protocol: flags.HeldOut = "loso",
    select: Select = None,
    seeds: Annotated[int, typer.Option(min=1, help="So many trainings with other seeds; all are in every score.")] = 3,
    aus: Aus = None,
    labels: flags.Labels = None,
    old_labels: flags.OldLabels = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/<date>-<name>.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard files.")] = False,
    shuffle_labels: ShuffleLabels = False,
    au_tables: AuTables = None,
    jobs: flags.Jobs = None,
    engine: flags.EngineName = "local",
    engine_option: flags.EngineOptions = None,
    dry_run: DryRun = False,
    fold: OneFold = None,
    device: flags.Device = "auto",
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
) -> None:
    """Train and judge leave-one-subject-out, then train once on all subjects for prediction; --out resumes a run."""
    check_folder(dataset)  # first, since a recipe is checked by building its network, for which torch is imported
    from mer_pipeline.evaluation.protocols import check_selection, parse_protocol

    _check_part(fold, out, dry_run)
    first = seed if fold is None or seeds == 1 else _first_seed(out)  # with --fold, --seed is one of several
    recipe = _recipe(model, {"epochs": epochs, "seed": first, "aus": aus, "options.attention": attention}, settings)
    select = select or recipe.select
    parse_protocol(protocol)
    check_selection(select)
    processes = chosen_engine(engine, jobs, engine_option)
    from mer_pipeline import training  # after what is quick to refuse: it imports torch

    plan = training.Plan(protocol, select, seeds, tensorboard, jobs, au_tables)
    clips = training.load_clips(dataset, labels or old_labels, recipe.view, size=recipe.size, frames=recipe.frames)
    clips = training.shuffle_labels(clips, recipe.seed) if shuffle_labels else clips
    foreseen = () if dry_run or fold else training.long_training(clips, recipe, plan, device, processes)
    _say_notes(clips, plan, foreseen)
    if dry_run:
        _say_estimate(training.estimate(clips, recipe, plan, device, processes), as_json)
        return
    run = out or Path("runs") / f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{recipe.model}"
    given: dict[str, Any] = {"device": device, "command": shlex.join(sys.argv)}
    with progress_bar(quiet, f"the same command with --out {run} goes on from here") as progress:
        if fold is not None:
            one = training.train_fold(clips, recipe, run, plan, fold, seed, **given, progress=progress)
        else:
            found = training.train(clips, recipe, run, plan, engine=processes, **given, progress=progress)
    if fold is not None:
        say_json(one.as_json()) if as_json else say(one.words)
    else:
        say_json(found.metrics.as_json()) if as_json else say_summary(found.metrics, clips.class_counts)


def _say_notes(clips: ClipSet, plan: Plan, foreseen: Sequence[str]) -> None:
    from mer_pipeline.evaluation.au_tables import au_tables_note
    from mer_pipeline.evaluation.leaks import look_alikes

    for note in (*clips.notes, *look_alikes(clips), *foreseen, *au_tables_note(plan.au_tables, clips.clip_ids)):
        say_warning(note)


def _check_part(fold: str | None, out: Path | None, dry_run: bool) -> None:
    if fold is not None and (out is None or dry_run):
        raise typer.BadParameter("one fold is a part of a run: give --out RUN, and no --dry-run", param_hint="--fold")


def _recipe(model: str, changes: Mapping[str, Any], settings: list[str] | None) -> Recipe:
    from mer_pipeline.recipe import load_recipe, parse_settings

    given = {key: value for key, value in changes.items() if value is not None}
    return load_recipe(model, {**given, **parse_settings(settings or [])})


def _first_seed(run: Path | None) -> int | None:
    """Of the trainings of a run that has begun; None where none has."""
    from mer_pipeline.runs.run import Run

    if run is None or not (run / "run.json").is_file():
        return None
    return Run(run, under_way=True).facts.seed


def _say_estimate(found: Estimate, as_json: bool) -> None:
    if as_json:
        say_json(found.as_json())
        return
    say((found.model, "bold"), f": {found.parameters:,} parameters, {found.multiply_accumulates:,} "
        f"multiply-accumulates a clip")  # fmt: skip
    say(f"{found.clips} clips of {found.subjects} subjects, {found.view} at {found.size} px; "
        f"{found.folds} folds ({found.protocol}); no subject, clip or equal picture on both sides")  # fmt: skip
    say(f"memory: {found.data_mb:,} MB of clips, {found.memory_mb:,} MB in all; {found.memory_free_mb:,} MB were free")
    say(f"time: about {_duration(found.seconds)} on {found.device} ({found.seconds_per_step:.2f} s a step)")
    for each in found.engines:
        times = f"about {_duration(each.seconds)}, {each.workers} at a time" if each.workers else "not installed"
        say(f"engine {each.engine}: {times}{f' ({each.missing})' if each.missing else ''}")
    say(f"fastest here: {found.fastest} (of devices like this one; waiting in a queue is not counted)")
    for problem in found.problems:
        say_warning(problem)


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=max(1, round(seconds))))


_EPOCHS = {"last": "last epoch", "inner": "epoch chosen inside the training fold"}


def say_summary(found: Metrics, class_counts: dict[str, int]) -> None:
    """Print a training's result: the honest score first, the optimistic one beside it and named so."""
    from mer_pipeline.evaluation.protocols import protocol_label
    from mer_pipeline.evaluation.summary import cautions, source_words

    (optimistic, note), (low, high) = found.optimistic, found.intervals["uf1"]
    say((found.model, "bold"), f" {found.labels}: {counts_line(class_counts)}")
    what = f"{protocol_label(found.protocol)}, {found.subjects} subjects, {found.clips} clips, "
    what += f"{_EPOCHS.get(found.selection, note)}, "
    what += f"onset and apex {found.keyframes}, Action Units {found.aus}"
    if found.seeds:
        what = f"{len(found.seeds)} seeds, mean ± sd; {what}"
    say((_scores(found.scores, found.deviation), "bold"), f"  ({what})")
    say(f"UF1 95 % interval over subjects{' and seeds' if found.seeds else ''} {low:.3f} to {high:.3f}")
    for control in found.controls:
        say(f"control {control.name}: UF1 {control.scores.uf1:.3f}; {control.verdict}")
    if len(found.by_dataset) > 1:
        say(f"UF1 by dataset: {_uf1_of_each(found.by_dataset)}")
    if found.by_keyframes:
        clips = found.by_keyframes["spotted"].clips
        say(f"UF1 by onset and apex at test time, of {clips} clips: {_uf1_of_each(found.by_keyframes)}")
    if len(found.by_aus) > 1:
        more = f" ({words})" if (words := source_words(found)) else ""
        say(f"UF1 by source of the Action Units at test time: {_uf1_of_each(found.by_aus)}{more}")
    if found.selection != "oracle":
        say((f"{_scores(optimistic)}  ({note})", "dim"))
    else:
        say(f"{_scores(found.honest, found.honest_deviation)}  (last epoch, as are sources and controls above)")
    if found.stops is not None:
        say(found.stops.words)
    for caution in cautions(found):
        say(f"mind: {caution}")
    if found.theta_deg:
        say(f"learned angles: {', '.join(f'{angle:.1f}' for angle in found.theta_deg)} deg")
    say(f"{found.seconds:.0f} s; run: {found.run}")


def _uf1_of_each(scores: Mapping[str, Scores]) -> str:
    return "; ".join(f"{name} {values.uf1:.3f}" for name, values in scores.items())


def _scores(found: Scores, deviation: Scores | None = None) -> str:
    """`UF1 0.612 ± 0.010  UAR ...`; without the deviation where there is one seed."""
    names = {"uf1": "UF1", "uar": "UAR", "accuracy": "accuracy"}
    return "  ".join(
        f"{label} {found[name]:.3f}" + (f" ± {deviation[name]:.3f}" if deviation else "")
        for name, label in names.items()
    )
