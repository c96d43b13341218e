"""What was run: `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from mer_pipeline.reading import Checked, Count, Json, JsonObject, Option, SidePx


@dataclass(frozen=True)
class Data(Checked):
    """The clips of a run.

    Attributes:
        clips, subjects: How many.
        fingerprint: A hash of everything that training reads of them.
        datasets: Which sets they come from.
        labels: Name of the label set.
        classes: Class -> clips.
        size: Side of the network's pictures, in pixels.
        view: What the network is given, such as `pair`.
        flow: How optical flow was computed; empty where none is used.
    """

    clips: Count
    fingerprint: str
    subjects: Count
    datasets: list[str]
    labels: str
    classes: dict[str, Count]
    size: SidePx
    view: str = ""
    flow: str = ""


@dataclass(frozen=True)
class Facts(Checked):
    """A run before it begins.

    Attributes:
        recipe: With every default written out, options of the network included.
        data: The clips.
        protocol, selection, seeds: How the recipe is judged.
        split: Digest of the clips on both sides of every fold; empty in runs of older versions.
        merged: `dataset/subject` -> the group that it is held out with, where one person has several names.
        defaults: What a recipe has where a model states nothing; empty in runs of older versions.
        command: What the user typed.
        cache: The folder that the clips were read from, if any.
        versions, hardware: Of the program and the machine.
        notes: What was left out of the data and why.
        folds: Names of what is held out in turn; empty in runs of older versions.
    """

    recipe: Mapping[str, Json]
    data: Data
    protocol: str
    selection: str
    seeds: Count = 1
    split: str = ""
    merged: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Json] = field(default_factory=dict)
    command: str = ""
    cache: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Json] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, values: Any, **known: Any) -> Facts:
        """Read them from the JSON object of `run.json`; what an older version did not write has its default.

        Raises:
            KeyError, TypeError, ValueError: Something is missing, or of another kind.
        """
        for name, kind in (("network", str), ("model", str), ("epochs", int), ("options", dict)):
            if not isinstance(values["recipe"][name], kind):
                raise ValueError(f"the recipe's {name} is {values['recipe'][name]!r}")
        return super().from_json({name: value for name, value in values.items() if value is not None}, **known)

    @property
    def network(self) -> str:
        """Its name in `mer_pipeline.networks`."""
        return str(self.recipe["network"])

    @property
    def options(self) -> Mapping[str, Option]:
        """Of the network."""
        return cast("Mapping[str, Option]", self.recipe["options"])

    @property
    def seed(self) -> int:
        """Of the first training."""
        return cast(int, self.recipe.get("seed", 0))

    def identity(self) -> JsonObject:
        """The part that makes it this run and no other, as JSON values."""
        return {
            "recipe": dict(self.recipe),
            "data": asdict(self.data),
            "protocol": self.protocol,
            "selection": self.selection,
            "seeds": self.seeds,
            "split": self.split,
            **({"merged": dict(self.merged)} if self.merged else {}),
        }

    def as_json(self) -> JsonObject:
        """What `run.json` holds."""
        return {
            **self.identity(),
            "command": self.command,
            "cache": self.cache,
            "versions": dict(self.versions),
            "hardware": dict(self.hardware),
            "notes": list(self.notes),
            "defaults": dict(self.defaults),
            "folds": list(self.folds),
        }
