"""A finished ablation as its report needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_pipeline.errors import MerError
from mer_pipeline.runs.card import read_json
from mer_pipeline.runs.run import Run, Scores, Span, read_run, span, well_formed

FILE = "ablation.json"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name, label: For links, and for people.
        scores: What it is judged by; means over seeds.
        deviation: Over seeds; None with one, and for controls.
        run: What was trained; None for a control, which has no network.
        what: What a control does; empty for a run.
        settings: Options of the network that the row sets.
        difference: UF1 less that of the row `against`; None for the first and for controls.
        against: The name of that row.
        p_seeds: Paired t-test over seeds; None with one seed.
        verdict: What the difference allows to be said.
    """

    name: str
    label: str
    scores: Scores
    deviation: Scores | None
    run: Run | None
    what: str
    settings: Mapping[str, Any]
    difference: Span | None
    against: str | None
    p_seeds: float | None
    verdict: str

    @property
    def honest(self) -> Scores:
        """Scores that no test clip had a say in."""
        return self.run.honest if self.run is not None else self.scores


@dataclass(frozen=True)
class Ablation:
    """A table of runs.

    Attributes:
        folder: Where it lies.
        facts: `ablation.json`.
        rows: In the order of the table.
        note: The words for scores of an epoch chosen on the test fold.
    """

    folder: Path
    facts: Mapping[str, Any]
    rows: tuple[Row, ...]
    note: str

    @property
    def runs(self) -> list[tuple[Row, Run]]:
        """The rows that were trained."""
        return [(row, row.run) for row in self.rows if row.run is not None]


def read_ablation(folder: Path) -> Ablation:
    """Read a finished ablation with the runs of its rows.

    Raises:
        MerError: It is not finished, or damaged.
    """
    path = folder / FILE
    facts = read_json(path)
    with well_formed(path):
        if "rows" not in facts:
            raise MerError(
                "this ablation is not finished", where=folder, fix="finish it with the same mer ablate command"
            )
        # A row names a folder beside this file and nothing farther away.
        runs = {row["run"]: folder / Path(row["run"]).name for row in facts["rows"] if row.get("run")}
    read = {name: read_run(run) for name, run in runs.items()}
    with well_formed(path):
        rows = tuple(_row(values, read.get(values.get("run"))) for values in facts["rows"])
        if not read:
            raise ValueError("no row was trained")
    return Ablation(folder, facts, rows, next(iter(read.values())).optimistic[1])


def _row(values: Mapping[str, Any], run: Run | None) -> Row:
    deviation, difference, p_seeds = (values.get(name) for name in ("sd", "difference", "p_seeds"))
    return Row(
        name=str(values["name"]),
        label=str(values["label"]),
        scores=Scores.of(values),
        deviation=Scores.of(deviation) if deviation else None,
        run=run,
        what=str(values.get("what", "")),
        settings=dict(values.get("settings", {})),
        difference=span(difference) if difference else None,
        against=values.get("against"),
        p_seeds=None if p_seeds is None else float(p_seeds),
        verdict=str(values.get("verdict", "")),
    )
