"""The papers' tables: one model with its parts switched on and off, every row judged alike."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from mer_pipeline import networks
from mer_pipeline.device import choose_device, hardware
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.compare import compare
from mer_pipeline.evaluation.controls import MAJORITY, SVM
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.recipe import Recipe, load_recipe
from mer_pipeline.runs.ablation import Ablation, AblationFacts, Row
from mer_pipeline.runs.provenance import versions
from mer_pipeline.runs.results import AUS_ONLY, MEASURES, OPTIMISTIC
from mer_pipeline.runs.run import Run
from mer_pipeline.training.train import Plan, train

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Variant:
    """One row: the options of the network that it sets."""

    name: str
    label: str
    options: Mapping[str, Any]


def variants() -> list[Variant]:
    """All rows, in the order of the table; the first is what the others are compared with."""
    table = tomllib.loads(resources.files("mer_pipeline").joinpath("data/ablation.toml").read_text())
    return [Variant(name, row["label"], row["options"]) for name, row in table.items()]


def chosen_variants(model: str, settings: Mapping[str, Any], names: Sequence[str]) -> tuple[list[Variant], list[str]]:
    """The rows that a model can have.

    Args:
        model: Name in the zoo.
        settings: What all rows change of its recipe.
        names: The rows that are wanted; empty for all.

    Returns:
        The rows, each once (rows that come to the same network are one), and what was left out and why.

    Raises:
        MerError: An unknown row, or none that fits the model.
    """
    everything = variants()
    known = [variant.name for variant in everything]
    if unknown := sorted(set(names) - set(known)):
        raise MerError(f"no row is called {unknown[0]!r}", fix=f"choose from {', '.join(known)}")
    has = networks.option_defaults(load_recipe(model, settings).network)
    kept: list[Variant] = []
    notes = []
    for variant in everything:
        if names and variant.name not in names:
            continue
        # A part that a network does not have is off in every row.
        options = {name: value for name, value in variant.options.items() if name in has}
        same = next((one.label for one in kept if one.options == options), None)
        if same:
            notes.append(f"{variant.label} is left out: in {model} it is {same}")
        else:
            kept.append(Variant(variant.name, variant.label, options))
    if not any(variant.options for variant in kept):
        raise MerError(f"{model} has none of the parts that rows switch", fix="choose a FaceSleuth model")
    return kept, notes


def ablate(
    load: Callable[[Recipe], ClipSet],
    model: str,
    out: Path,
    plan: Plan,
    *,
    settings: Mapping[str, Any],
    rows: Sequence[Variant],
    device: str = "auto",
    command: str = "",
    progress: Progress = silent,
) -> Ablation:
    """Train every row and write the table; what is finished is not trained again.

    Args:
        load: Gives the clips for a recipe.
        model: Name in the zoo.
        out: One run folder a row, `ablation.json`, and the table as text, CSV and LaTeX.
        plan: How every row is judged.
        settings: What all rows change of the model's recipe.
        rows: See `chosen_variants`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        command: What the user typed, for the record.
        progress: Called after every epoch of a row.

    Raises:
        MerError: The folder belongs to another ablation, or a training cannot begin.
    """
    recipes = {
        row.name: load_recipe(model, {**settings, **{f"options.{name}": value for name, value in row.options.items()}})
        for row in rows
    }
    clips = load(next(iter(recipes.values())))
    facts = _facts(clips, model, plan, settings, rows)
    ablation = Ablation.create(out, facts)
    runs = {}
    for number, row in enumerate(rows, 1):
        at = f"{row.label} ({number} of {len(rows)})"

        def report(task: str, done: int, total: int, detail: str = "", at: str = at) -> None:
            progress(f"{task} {at}", done, total, detail)

        runs[row.name] = train(
            clips, recipes[row.name], out / row.name, plan, device=device, command=command, progress=report
        )
    found = _rows(rows, runs) + _control_rows(runs.values())
    finished = replace(
        facts,
        classes=clips.classes,
        clips=next(iter(runs.values())).metrics.clips,
        subjects=len(set(clips.groups)),
        command=command,
        versions=versions(),
        hardware=hardware(choose_device(device)),
    )
    return ablation.finish(found, finished, {"txt": as_text(found), "csv": as_csv(found), "tex": as_latex(found)})


def _facts(
    clips: ClipSet, model: str, plan: Plan, settings: Mapping[str, Any], rows: Sequence[Variant]
) -> AblationFacts:
    return AblationFacts(
        model=model,
        dataset="+".join(clips.dataset_names),
        fingerprint=clips.fingerprint(),
        labels=clips.label_set,
        protocol=plan.protocol,
        select=plan.select,
        settings=dict(settings),
        seeds=plan.seeds,
        wanted=tuple(row.name for row in rows),
    )


def _rows(rows: Sequence[Variant], runs: Mapping[str, Run]) -> list[Row]:
    """What was trained, each compared with the first; the tests are corrected for the number of rows."""
    first, *others = rows
    found = [_row(row, runs[row.name]) for row in rows]
    if not others:
        return found
    compared = compare([runs[row.name] for row in rows], [row.label for row in rows], others_first=True).comparisons
    return [found[0]] + [
        replace(
            row,
            against=first.name,
            difference=one.difference["uf1"],
            p_seeds=one.over_seeds.p if one.over_seeds else None,
            verdict=one.conclusion,
        )
        for row, one in zip(found[1:], compared, strict=True)
    ]


def _row(row: Variant, run: Run) -> Row:
    metrics = run.metrics
    return Row(row.name, row.label, metrics.honest, metrics.honest_deviation, run, settings=dict(row.options))


def _control_rows(runs: Iterable[Run]) -> list[Row]:
    """The controls, from the row that has most of them; they depend on the clips alone."""
    controls = {control.name: control for control in max((run.metrics.controls for run in runs), key=len)}
    return [
        Row(
            name,
            "AUs only, no image" if name == AUS_ONLY else f"control: {name}",
            controls[name].scores,
            what=controls[name].what,
        )
        for name in (AUS_ONLY, SVM, MAJORITY)
        if name in controls
    ]


def _table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells: the honest scores, then the sources of AUs, then the optimistic score under its name."""
    sources = ("annotated", "predicted", "none")
    header = ["row", *MEASURES.values(), *(f"UF1, AUs {source}" for source in sources), f"UF1 ({OPTIMISTIC})"]
    cells = []
    for row in rows:
        spread = [f" ± {row.deviation[name]:.3f}" if row.deviation else "" for name in MEASURES]
        honest = [f"{row.honest[name]:.3f}{more}" for name, more in zip(MEASURES, spread, strict=True)]
        by_aus = row.run.metrics.by_aus if row.run else {}
        aus = [f"{by_aus[source].uf1:.3f}" if source in by_aus else "" for source in sources]
        cells.append([row.label, *honest, *aus, f"{row.run.metrics.optimistic[0].uf1:.3f}" if row.run else ""])
    return header, cells


def as_text(rows: Sequence[Row]) -> str:
    """The table in columns."""
    header, cells = _table(rows)
    widths = [max(len(line[at]) for line in [header, *cells]) for at in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [header, *cells]
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """The table as CSV."""
    header, cells = _table(rows)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *cells])
    return text.getvalue()


def as_latex(rows: Sequence[Row]) -> str:
    """The table as LaTeX (booktabs)."""
    header, cells = _table(rows)
    escaped = [
        [cell.replace("±", r"$\pm$").replace("_", r"\_").replace("%", r"\%") for cell in line]
        for line in [header, *cells]
    ]
    body = [" & ".join(line) + r" \\" for line in escaped]
    rules = [rf"\begin{{tabular}}{{l{'c' * (len(header) - 1)}}}", r"\toprule", body[0], r"\midrule", *body[1:]]
    return "\n".join([*rules, r"\bottomrule", r"\end{tabular}"]) + "\n"
