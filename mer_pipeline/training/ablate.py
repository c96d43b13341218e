"""The papers' tables: one model with its parts switched on and off, every row judged alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mer_pipeline import networks
from mer_pipeline.device import choose_device, hardware
from mer_pipeline.engines import Engine, Local
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.compare import Comparison, compare
from mer_pipeline.evaluation.controls import MAJORITY, SVM
from mer_pipeline.evaluation.statistics import holm, holm_p, verdict
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.progress import Progress, silent
from mer_pipeline.reading import Option, shipped_toml
from mer_pipeline.recipe import Recipe, load_recipe
from mer_pipeline.runs.ablation import Ablation, AblationFacts, AblationRow
from mer_pipeline.runs.provenance import versions
from mer_pipeline.runs.results import AUS_ONLY
from mer_pipeline.runs.run import Run
from mer_pipeline.training.orientations import learned_angles, orientation_remarks
from mer_pipeline.training.parallel import one_thread, train_ahead
from mer_pipeline.training.session import Plan, Session
from mer_pipeline.training.tables import as_csv, as_latex, as_text, published, published_of_others
from mer_pipeline.training.train import train


@dataclass(frozen=True)
class Variant:
    """One row: the options of the network that it sets."""

    name: str
    label: str
    options: Mapping[str, Option]


@dataclass(frozen=True)
class Table:
    """A table of `data/ablation.toml`; the first row is what the others are compared with."""

    name: str
    rows: tuple[Variant, ...]
    model: str | None
    protocol: str | None


def read_table(name: str, starts_deg: Sequence[float] = ()) -> Table:
    """A table with its rows.

    Args:
        name: In `data/ablation.toml`.
        starts_deg: Where angles start, or stay where they are frozen: the row that a table names is made once for each.

    Raises:
        MerError: An unknown table, or starts for one without such a row.
    """
    file = shipped_toml("ablation.toml")
    if name not in file["tables"]:
        raise MerError(f"no table is called {name!r}", fix=f"choose from {', '.join(file['tables'])}")
    table = file["tables"][name]
    if starts_deg and "starts" not in table:
        raise MerError(f"the table {name} has no row with a start", fix="leave --starts out")
    rows: list[Variant] = []
    for row in table["rows"]:
        made, options = file["rows"][row], file["rows"][row]["options"]
        if row == table.get("starts") and (starts := starts_deg or table.get("angles", ())):
            for start in starts:
                label = made["started"].format(f"{start:g}")
                rows.append(Variant(f"{row}-{start:g}", label, {**options, "theta_deg": float(start)}))
        else:
            rows.append(Variant(row, made["label"], options))
    return Table(name, tuple(rows), table.get("model"), table.get("protocol"))


def chosen_variants(
    model: str, settings: Mapping[str, Option], names: Sequence[str], table: Table | None = None
) -> tuple[list[Variant], list[str]]:
    """The rows that a model can have.

    Args:
        model: Name in the zoo.
        settings: What all rows change of its recipe.
        names: The rows that are wanted; empty for all.
        table: Whose rows; None for `parts`.

    Returns:
        The rows, each once (rows that come to the same network are one), and what was left out and why.

    Raises:
        MerError: An unknown row, or none that fits the model.
    """
    everything = (table or read_table("parts")).rows
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
        raise MerError(f"{model} has none of the parts that rows switch", fix="choose another model or table")
    return kept, notes


def ablate(
    load: Callable[[Recipe], ClipSet],
    model: str,
    out: Path,
    plan: Plan,
    *,
    settings: Mapping[str, Option],
    rows: Sequence[Variant],
    device: str = "auto",
    engine: Engine | None = None,
    table: str = "",
    pairs: bool = False,
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
        engine: What shares the folds of all rows out; by default `plan.jobs` processes of this machine.
        table: The name of the table, for the record.
        pairs: Whether all rows are compared with each other, not with the first alone.
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
    ablation, engine = Ablation.create(out, facts), engine or Local(plan.jobs)
    session = Session(clips, plan, choose_device("auto" if engine.elsewhere else device), command, progress)
    runs = _train_rows(session, [(row, recipes[row.name]) for row in rows], out, engine, device)
    trained = [_with_cost(row, recipes[row.name], clips) for row in _rows(rows, runs)]
    found = trained + _control_rows(runs.values())
    others = published_of_others([model, *recipes], clips.datasets, clips.label_set)
    remarks = [*orientation_remarks(trained), *(_pair_remarks(rows, runs) if pairs else ()), *others]
    finished = replace(
        facts,
        classes=clips.classes,
        clips=next(iter(runs.values())).metrics.clips,
        subjects=len(set(clips.groups)),
        command=command,
        table=table,
        remarks=tuple(remarks),
        versions=versions(),
        hardware=hardware(session.device),
    )
    return ablation.finish(found, finished, {"txt": as_text(found), "csv": as_csv(found), "tex": as_latex(found)})


def _train_rows(
    session: Session, recipes: Sequence[tuple[Variant, Recipe]], out: Path, engine: Engine, device: str
) -> dict[str, Run]:
    """The run of every row; the folds of all of them are shared out together."""
    with one_thread():
        begun = [session.begin(out / row.name, recipe) for row, recipe in recipes]
        train_ahead(session, [part for _, parts in begun for part in parts], engine, device)
    return {
        row.name: train(
            session.clips, recipe, out / row.name, session.plan, device=device, engine=engine, command=session.command,
            progress=_named(session.progress, f"{row.label} ({number} of {len(recipes)})"),
        )
        for number, (row, recipe) in enumerate(recipes, 1)
    }  # fmt: skip


def _named(progress: Progress, row: str) -> Progress:
    """Progress whose tasks name the row."""
    return lambda task, done, total, detail="": progress(f"{task} {row}", done, total, detail)


def _facts(
    clips: ClipSet, model: str, plan: Plan, settings: Mapping[str, Option], rows: Sequence[Variant]
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


def _rows(rows: Sequence[Variant], runs: Mapping[str, Run]) -> list[AblationRow]:
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
            p_seeds_holm=p_holm,
            verdict=one.conclusion,
        )
        for row, one, p_holm in zip(found[1:], compared, _holm_over_seeds(compared), strict=True)
    ]


def _holm_over_seeds(compared: Sequence[Comparison]) -> list[float | None]:
    """Probabilities of the t-tests over seeds, corrected for their number (Holm)."""
    known = [one.over_seeds.p if one.over_seeds else None for one in compared]
    corrected = iter(holm_p([p for p in known if p is not None]))
    return [None if p is None else next(corrected) for p in known]


def _pair_remarks(rows: Sequence[Variant], runs: Mapping[str, Run]) -> list[str]:
    """What may be said of every two rows; the tests are corrected for the number of pairs."""
    pairs = list(itertools.combinations(rows, 2))
    found = [compare([runs[a.name], runs[b.name]], [a.label, b.label]).comparisons[0] for a, b in pairs]
    corrected = holm({str(at): one.difference["uf1"] for at, one in enumerate(found)})
    return [verdict(corrected[str(at)], a.label, b.label) for at, (a, b) in enumerate(pairs)]


def _with_cost(row: AblationRow, recipe: Recipe, clips: ClipSet) -> AblationRow:
    assert row.run is not None
    outline, labels = recipe.outline(clips.size, len(clips.classes)), clips.label_set
    return replace(
        row,
        parameters=sum(parameter.numel() for parameter in outline.parameters()),
        multiply_accumulates=networks.multiply_accumulates(outline),
        angles=learned_angles(row.run),
        published=published((row.name, recipe.model), clips.datasets, labels),
    )


def _row(row: Variant, run: Run) -> AblationRow:
    metrics = run.metrics
    return AblationRow(row.name, row.label, metrics.honest, metrics.honest_deviation, run, settings=dict(row.options))


def _control_rows(runs: Iterable[Run]) -> list[AblationRow]:
    """The controls, from the row that has most of them; they depend on the clips alone."""
    controls = {control.name: control for control in max((run.metrics.controls for run in runs), key=len)}
    return [
        AblationRow(
            name,
            "AUs only, no image" if name == AUS_ONLY else f"control: {name}",
            controls[name].scores,
            what=controls[name].what,
        )
        for name in (AUS_ONLY, SVM, MAJORITY)
        if name in controls
    ]
