"""The papers' tables: one model with its parts switched on and off, every row judged alike."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mer_pipeline import networks
from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.device import choose_device, hardware
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.compare import compare
from mer_pipeline.evaluation.controls import AUS_ONLY, MAJORITY, SVM
from mer_pipeline.evaluation.summary import OPTIMISTIC
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.recipe import Recipe, load_recipe
from mer_pipeline.runs.card import read_json, write_json
from mer_pipeline.runs.provenance import versions
from mer_pipeline.training.train import Plan, train

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SCORES = ("uf1", "uar", "accuracy")


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
) -> dict[str, Any]:
    """Train every row and write the table; what is finished is not trained again.

    Args:
        load: Gives the clips that a recipe looks at.
        model: Name in the zoo.
        out: One run folder a row, `ablation.json`, and the table as text, CSV and LaTeX.
        plan: How every row is judged.
        settings: What all rows change of the model's recipe.
        rows: See `chosen_variants`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        command: What the user typed, for the record.
        progress: Told after every epoch of a row.

    Returns:
        What `ablation.json` holds.

    Raises:
        MerError: The folder belongs to another ablation, or a training cannot begin.
    """
    recipes = {
        row.name: load_recipe(model, {**settings, **{f"options.{name}": value for name, value in row.options.items()}})
        for row in rows
    }
    clips = load(next(iter(recipes.values())))
    _open(out, clips, model, plan, settings, [row.name for row in rows])
    summaries = {}
    for number, row in enumerate(rows, 1):
        at = f"{row.label} ({number} of {len(rows)})"

        def report(task: str, done: int, total: int, detail: str = "", at: str = at) -> None:
            progress(f"{task} {at}", done, total, detail)

        summaries[row.name] = train(
            clips, recipes[row.name], out / row.name, plan, device=device, command=command, progress=report
        )
    found = {
        **read_json(out / "ablation.json"),
        "classes": list(clips.classes),
        "clips": next(iter(summaries.values()))["clips"],
        "subjects": len(set(clips.groups)),
        "rows": _rows(rows, recipes, summaries, out) + _control_rows(summaries),
        "command": command,
        "versions": versions(),
        "hardware": hardware(choose_device(device)),
    }
    write_json(out / "ablation.json", found)
    for suffix, text in (("txt", as_text(found)), ("csv", as_csv(found)), ("tex", as_latex(found))):
        write_atomically(out / f"table.{suffix}", text.encode())
    return found


def _open(out: Path, clips: ClipSet, model: str, plan: Plan, settings: Mapping[str, Any], rows: Sequence[str]) -> None:
    identity = {
        "model": model,
        "dataset": "+".join(clips.datasets),
        "fingerprint": clips.fingerprint(),
        "labels": clips.protocol,
        "protocol": plan.protocol,
        "select": plan.select,
        "settings": dict(settings),
    }
    path = out / "ablation.json"
    if path.is_file():
        before = read_json(path)
        if differing := [key for key, value in identity.items() if before.get(key) != value]:
            raise MerError(
                f"this folder holds an ablation with another {' and '.join(differing)}",
                where=out,
                fix="choose another --out",
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MerError("exists and is not an ablation folder", where=out, fix="choose another --out")
    private_folder(out)
    write_json(path, {**identity, "seeds": plan.seeds, "wanted": list(rows)})


def _rows(
    rows: Sequence[Variant], recipes: Mapping[str, Recipe], summaries: Mapping[str, dict[str, Any]], out: Path
) -> list[dict[str, Any]]:
    """What was trained, each compared with the first."""
    first = rows[0].name
    found = []
    for row in rows:
        summary = summaries[row.name]
        pair, labels = (out / row.name, out / first), (row.label, rows[0].label)
        against = compare(pair, labels)["comparisons"][0] if row.name != first else None
        found.append(
            {
                "name": row.name,
                "label": row.label,
                "model": recipes[row.name].model,
                "settings": dict(row.options),
                "run": row.name,
                **{name: summary[name] for name in _SCORES},
                "sd": summary.get("sd"),
                "intervals95": summary["intervals95"],
                "oracle": summary["oracle"],
                "by_aus": summary["by_aus"],
                "theta_deg": summary["theta_deg"],
                "against": first if against else None,
                "difference": against["difference"]["uf1"] if against else None,
                "p_seeds": against["paired_t"]["p"] if against and against["paired_t"] else None,
                "verdict": against["conclusion"] if against else "",
            }
        )
    return found


def _control_rows(summaries: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The controls, from the row that has most of them; they depend on the clips alone."""
    controls = max((summary["controls"] for summary in summaries.values()), key=len)
    return [
        {
            "name": name,
            "label": "AUs only, no image" if name == AUS_ONLY else f"control: {name}",
            "run": None,
            **{score: controls[name][score] for score in _SCORES},
            "what": controls[name]["what"],
        }
        for name in (AUS_ONLY, SVM, MAJORITY)
        if name in controls
    ]


def _table(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and cells: the honest scores, then the sources of AUs, then the flattering score under its name."""
    sources = ("annotated", "predicted", "none")
    header = ["row", "UF1", "UAR", "accuracy", *(f"UF1, AUs {source}" for source in sources), f"UF1 ({OPTIMISTIC})"]
    cells = []
    for row in found["rows"]:
        deviation = row.get("sd")
        honest = [f"{row[name]:.3f}" + (f" ± {deviation[name]:.3f}" if deviation else "") for name in _SCORES]
        aus = [f"{row['by_aus'][s]['uf1']:.3f}" if s in row.get("by_aus", {}) else "" for s in sources]
        cells.append([row["label"], *honest, *aus, f"{row['oracle']['uf1']:.3f}" if "oracle" in row else ""])
    return header, cells


def as_text(found: Mapping[str, Any]) -> str:
    """The table in columns."""
    header, cells = _table(found)
    widths = [max(len(line[at]) for line in [header, *cells]) for at in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [header, *cells]
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_csv(found: Mapping[str, Any]) -> str:
    """The table as CSV."""
    header, cells = _table(found)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *cells])
    return text.getvalue()


def as_latex(found: Mapping[str, Any]) -> str:
    """The table as LaTeX (booktabs)."""
    header, cells = _table(found)
    escaped = [
        [cell.replace("±", r"$\pm$").replace("_", r"\_").replace("%", r"\%") for cell in line]
        for line in [header, *cells]
    ]
    body = [" & ".join(line) + r" \\" for line in escaped]
    rules = [rf"\begin{{tabular}}{{l{'c' * (len(header) - 1)}}}", r"\toprule", body[0], r"\midrule", *body[1:]]
    return "\n".join([*rules, r"\bottomrule", r"\end{tabular}"]) + "\n"
