"""The folder of an ablation: one run folder a row, `ablation.json`, and the table as text, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.errors import MerError
from mer_pipeline.reading import Checked, Count, Json, JsonObject, Option, Share, read_json, well_formed
from mer_pipeline.runs.card import write_json
from mer_pipeline.runs.results import OPTIMISTIC, Difference, Scores
from mer_pipeline.runs.run import Run

FILE = "ablation.json"
_SCORES = ("uf1", "uar", "accuracy")


@dataclass(frozen=True)
class Angles(Checked):
    """The angles that the folds of a row learned, as axes in degrees.

    Attributes:
        mean_deg, sd_deg: Over the folds of all seeds, of each fold's mean over layers.
        layers_deg: Mean of each layer.
        p_vertical: Of a t-test against 90, which takes folds as independent; None where it says nothing.
        folds_deg: Each fold's mean over layers.
    """

    mean_deg: float
    sd_deg: float
    layers_deg: tuple[float, ...]
    p_vertical: Share | None
    folds_deg: tuple[float, ...]

    def as_json(self) -> JsonObject:
        """JSON values."""
        return {**asdict(self), "layers_deg": list(self.layers_deg), "folds_deg": list(self.folds_deg)}


@dataclass(frozen=True)
class AblationRow(Checked):
    """One row of the table.

    Attributes:
        name, label: For links, and for people.
        scores: Of the epoch that no test clip chose; means over seeds.
        deviation: Over seeds; None with one, and for controls.
        run: What was trained; None for a control, which has no network.
        what: What a control does; empty for a run.
        settings: Options of the network that the row sets.
        difference: UF1 less that of the row `against`; None for the first and for controls.
        against: The name of that row.
        p_seeds: Paired t-test over seeds; None with one seed.
        verdict: What the difference allows to be said.
        p_seeds_holm: `p_seeds`, corrected for the rows of the table.
        parameters, multiply_accumulates: Of the network, the latter a clip; None for a control.
        angles: None where none is learned.
        published: What others published of it, in words.
    """

    name: str
    label: str
    scores: Scores
    deviation: Scores | None = None
    run: Run | None = None
    what: str = ""
    settings: Mapping[str, Option] = field(default_factory=dict)
    difference: Difference | None = None
    against: str | None = None
    p_seeds: float | None = None
    verdict: str = ""
    p_seeds_holm: float | None = None
    parameters: Count | None = None
    multiply_accumulates: Count | None = None
    angles: Angles | None = None
    published: str = ""

    @property
    def honest(self) -> Scores:
        """Scores that no test clip had a say in."""
        return self.run.metrics.honest if self.run is not None else self.scores

    @classmethod
    def of(cls, values: Mapping[str, Json], run: Run | None) -> AblationRow:
        """Read it from a JSON object and its run."""
        return cls.from_json({**values, "scores": values, "deviation": values.get("sd")}, run=run)

    def as_json(self) -> JsonObject:
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
            "sd": None if self.deviation is None else self.deviation.as_json(),
            **{name: metrics[name] for name in ("intervals95", "oracle", "by_aus", "theta_deg")},
            "against": self.against,
            "difference": self.difference.as_json() if self.difference else None,
            "p_seeds": self.p_seeds,
            "verdict": self.verdict,
            "p_seeds_holm": self.p_seeds_holm,
            "parameters": self.parameters,
            "multiply_accumulates": self.multiply_accumulates,
            "angles": None if self.angles is None else self.angles.as_json(),
            "published": self.published,
        }


@dataclass(frozen=True)
class AblationFacts(Checked):
    """What `ablation.json` has besides the rows.

    Attributes:
        model: Name in the zoo.
        dataset: The sets, joined by `+`.
        fingerprint: Of the clips.
        labels, protocol, select: How every row is judged.
        settings: What all rows change of the recipe.
        seeds: Trainings a row.
        wanted: Names of the rows.
        classes, clips, subjects: Of the clips; None until it is finished.
        command: What the user typed.
        versions, hardware: What it was made with.
        table: Its name; empty for rows by name.
        remarks: What the rows say together, one sentence each.
    """

    model: str = ""
    dataset: str = ""
    fingerprint: str = ""
    labels: str = ""
    protocol: str = ""
    select: str = ""
    settings: Mapping[str, Option] = field(default_factory=dict)
    seeds: Count = 1
    wanted: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    clips: Count | None = None
    subjects: Count | None = None
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Json] = field(default_factory=dict)
    table: str = ""
    remarks: tuple[str, ...] = ()

    def identity(self) -> JsonObject:
        """JSON values of what makes it this ablation and no other."""
        names = ("model", "dataset", "fingerprint", "labels", "protocol", "select")
        return {**{name: getattr(self, name) for name in names}, "settings": dict(self.settings)}

    def as_json(self, rows: Sequence[AblationRow] | None = None) -> JsonObject:
        """What `ablation.json` has: without rows while it is under way."""
        begun = {**self.identity(), "seeds": self.seeds, "wanted": list(self.wanted)}
        if rows is None:
            return begun
        counted: JsonObject = {"classes": list(self.classes or ()), "clips": self.clips, "subjects": self.subjects}
        made: JsonObject = {"command": self.command, "versions": dict(self.versions), "hardware": dict(self.hardware)}
        said: JsonObject = {"table": self.table, "remarks": list(self.remarks)}
        return {**begun, **counted, "rows": [row.as_json() for row in rows], **said, **made}

    @classmethod
    def from_json(cls, values: Any, **known: Any) -> AblationFacts:
        """Read them; what an older version did not write has its default."""
        return super().from_json({name: value for name, value in values.items() if value is not None}, **known)


@dataclass(frozen=True)
class Ablation:
    """A table of runs.

    Attributes:
        folder: Where it lies.
        facts: Model, data, protocol, command, versions, hardware.
        rows: In the order of the table; empty while it is under way.
    """

    folder: Path
    facts: AblationFacts
    rows: tuple[AblationRow, ...] = ()

    @property
    def runs(self) -> list[tuple[AblationRow, Run]]:
        """The rows that were trained."""
        return [(row, row.run) for row in self.rows if row.run is not None]

    @property
    def note(self) -> str:
        """The words for scores of an epoch chosen on the test fold."""
        return next((run.metrics.optimistic[1] for _, run in self.runs), OPTIMISTIC)

    @classmethod
    def create(cls, folder: Path, facts: AblationFacts) -> Ablation:
        """Begin an ablation, or go on with the one that the folder holds.

        Args:
            folder: Created with mode 0700.
            facts: Of a folder that exists, the part that makes it this ablation must be equal.

        Raises:
            MerError: The folder holds something else.
        """
        path = folder / FILE
        if path.is_file():
            before = read_json(path)
            if differing := [key for key, value in facts.identity().items() if before.get(key) != value]:
                what = " and ".join(differing)
                raise MerError(
                    f"this folder holds an ablation with another {what}", where=folder, fix="choose another --out"
                )
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise MerError("exists and is not an ablation folder", where=folder, fix="choose another --out")
        private_folder(folder)
        write_json(path, facts.as_json())
        return cls(folder, facts)

    def finish(self, rows: Sequence[AblationRow], facts: AblationFacts, tables: Mapping[str, str]) -> Ablation:
        """Write the rows and the table; the finished ablation.

        Args:
            rows: In the order of the table.
            facts: With what is known at the end.
            tables: Suffix -> the table as text.
        """
        write_json(self.folder / FILE, facts.as_json(rows))
        for suffix, text in tables.items():
            write_atomically(self.folder / f"table.{suffix}", text.encode())
        return Ablation(self.folder, facts, tuple(rows))

    def table(self, suffix: str) -> Path:
        """The table as a file: `txt`, `csv` or `tex`."""
        return self.folder / f"table.{suffix}"

    def as_json(self) -> JsonObject:
        """What `ablation.json` holds."""
        return self.facts.as_json(self.rows or None)


def read_ablation(folder: Path) -> Ablation:
    """Read a finished ablation with the runs of its rows.

    Raises:
        MerError: It is not finished, or damaged.
    """
    path = folder / FILE
    values = read_json(path)
    with well_formed(path):
        if "rows" not in values:
            raise MerError(
                "this ablation is not finished", where=folder, fix="finish it with the same mer ablate command"
            )
        # A row names a folder beside this file and nothing farther away.
        runs = {row["run"]: folder / Path(row["run"]).name for row in values["rows"] if row.get("run")}
    read = {name: Run(run).check() for name, run in runs.items()}
    with well_formed(path):
        rows = tuple(AblationRow.of(row, read.get(row.get("run"))) for row in values["rows"])
        if not read:
            raise ValueError("no row was trained")
        facts = AblationFacts.from_json(values)
    return Ablation(folder, facts, rows)
