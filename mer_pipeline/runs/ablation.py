"""The folder of an ablation: one run folder a row, `ablation.json`, and the table as text, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.errors import MerError
from mer_pipeline.runs.card import read_json, write_json
from mer_pipeline.runs.results import OPTIMISTIC, Difference, Scores, well_formed
from mer_pipeline.runs.run import Run

FILE = "ablation.json"
_SCORES = ("uf1", "uar", "accuracy")


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
    deviation: Scores | None = None
    run: Run | None = None
    what: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    difference: Difference | None = None
    against: str | None = None
    p_seeds: float | None = None
    verdict: str = ""

    @property
    def honest(self) -> Scores:
        """Scores that no test clip had a say in."""
        return self.run.metrics.honest if self.run is not None else self.scores

    @classmethod
    def of(cls, values: Mapping[str, Any], run: Run | None) -> Row:
        """Read it from a JSON object and its run."""
        deviation, difference, p_seeds = (values.get(name) for name in ("sd", "difference", "p_seeds"))
        return cls(
            name=str(values["name"]),
            label=str(values["label"]),
            scores=Scores.of(values),
            deviation=Scores.of(deviation) if deviation else None,
            run=run,
            what=str(values.get("what", "")),
            settings=dict(values.get("settings", {})),
            difference=Difference.of(difference) if difference else None,
            against=values.get("against"),
            p_seeds=None if p_seeds is None else float(p_seeds),
            verdict=str(values.get("verdict", "")),
        )

    def as_json(self) -> dict[str, Any]:
        """JSON values; of a run with the parts of its metrics that the table shows."""
        scores = {name: self.scores[name] for name in _SCORES}
        if self.run is None:
            return {"name": self.name, "label": self.label, "run": None, **scores, "what": self.what}
        metrics = self.run.metrics.as_json()
        return {
            "name": self.name,
            "label": self.label,
            "model": metrics["model"],
            "settings": dict(self.settings),
            "run": self.name,
            **scores,
            "sd": metrics.get("sd"),
            **{name: metrics[name] for name in ("intervals95", "oracle", "by_aus", "theta_deg")},
            "against": self.against,
            "difference": self.difference.as_json() if self.difference else None,
            "p_seeds": self.p_seeds,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Ablation:
    """A table of runs.

    Attributes:
        folder: Where it lies.
        facts: What `ablation.json` says besides the rows: model, data, protocol, command, versions, hardware.
        rows: In the order of the table; empty while it is under way.
    """

    folder: Path
    facts: Mapping[str, Any]
    rows: tuple[Row, ...] = ()

    @property
    def runs(self) -> list[tuple[Row, Run]]:
        """The rows that were trained."""
        return [(row, row.run) for row in self.rows if row.run is not None]

    @property
    def note(self) -> str:
        """The words for scores of an epoch chosen on the test fold."""
        return next((run.metrics.optimistic[1] for _, run in self.runs), OPTIMISTIC)

    @classmethod
    def create(cls, folder: Path, identity: Mapping[str, Any], facts: Mapping[str, Any]) -> Ablation:
        """Begin an ablation, or go on with the one that the folder holds.

        Args:
            folder: Created with mode 0700.
            identity: What makes it this ablation and no other; of a folder that exists it must be equal.
            facts: The rest.

        Raises:
            MerError: The folder holds something else.
        """
        path = folder / FILE
        if path.is_file():
            before = read_json(path)
            if differing := [key for key, value in identity.items() if before.get(key) != value]:
                what = " and ".join(differing)
                raise MerError(
                    f"this folder holds an ablation with another {what}", where=folder, fix="choose another --out"
                )
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise MerError("exists and is not an ablation folder", where=folder, fix="choose another --out")
        private_folder(folder)
        write_json(path, {**identity, **facts})
        return cls(folder, {**identity, **facts})

    def finish(
        self, rows: Sequence[Row], before: Mapping[str, Any], after: Mapping[str, Any], tables: Mapping[str, str]
    ) -> Ablation:
        """Write the rows and the table; the finished ablation.

        Args:
            rows: In the order of the table.
            before: More facts, placed before the rows.
            after: More facts, placed after the rows.
            tables: Suffix -> the table as text.
        """
        facts = {**self.facts, **before, "rows": [row.as_json() for row in rows], **after}
        write_json(self.folder / FILE, facts)
        for suffix, text in tables.items():
            write_atomically(self.folder / f"table.{suffix}", text.encode())
        return Ablation(self.folder, facts, tuple(rows))

    def table(self, suffix: str) -> Path:
        """The table as a file: `txt`, `csv` or `tex`."""
        return self.folder / f"table.{suffix}"

    def as_json(self) -> dict[str, Any]:
        """What `ablation.json` holds."""
        return dict(self.facts)


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
    read = {name: Run(run).check() for name, run in runs.items()}
    with well_formed(path):
        rows = tuple(Row.of(values, read.get(values.get("run"))) for values in facts["rows"])
        if not read:
            raise ValueError("no row was trained")
    return Ablation(folder, facts, rows)
