"""What a run came to: `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import stdev
from typing import Any

from mer_pipeline.reading import Checked, Count, JsonObject, Name, Share
from mer_pipeline.runs.results import (
    MEASURES,
    OPTIMISTIC,
    Calibration,
    ClassScores,
    Control,
    Scores,
    Seed,
    Stops,
    UnitScores,
    macro_f1,
)


@dataclass(frozen=True, kw_only=True)
class Pooled(Checked):
    """Scores over the pooled predictions of all folds; of several trainings means over them, and counts of all.

    Where the test fold chose the epoch, everything but `scores`, their deviation and those of `seeds` is of the last
    epoch. What runs of older versions lack has a default.

    Attributes:
        aus: The source of the Action Units that the scores are of.
        subjects: How many were tested.
        scores: What the run is judged by.
        per_class: Class -> F1 and recall; classes that occur.
        confusion: Clips of all trainings, truth in rows.
        intervals: Measure -> low and high of the 95 % interval over subjects and seeds.
        selections: Way of choosing the epoch -> scores.
        by_aus, by_dataset: Every source of the Action Units at test time, and every dataset -> scores.
        controls: What needs no network.
        changed_by_aus: Every other source of Action Units -> share of the answers that are not those with the run's
            own.
        by_keyframes: `annotated` and `spotted` -> scores of the clips that have both; empty where none have.
        rare_classes: Class -> share of sets of as many subjects that lack it.
        seeds: One entry a training; empty with one.
        deviation: Standard deviation of the scores over seeds; None with one.
        au_scores: Action Unit -> how well the network's own estimate finds it; empty where it has none, and where no
            clip is annotated.
        measured: What the network measures of itself on the held-out clips, mean over clips and seeds: of FDP the mean
            squared error and the structural similarity of the dynamic image it builds, and Kendall's tau of its ranks.
        stops: Where the papers' release would have stopped; None where the test fold did not choose the epoch.
    """

    aus: str
    subjects: Count
    scores: Scores
    per_class: Mapping[str, ClassScores]
    confusion: tuple[tuple[Count, ...], ...]
    intervals: Mapping[str, tuple[Share, Share]]
    selections: Mapping[str, Scores]
    by_aus: Mapping[str, Scores]
    by_dataset: Mapping[str, Scores]
    controls: tuple[Control, ...]
    changed_by_aus: Mapping[str, Share] = field(default_factory=dict)
    by_keyframes: Mapping[str, Scores] = field(default_factory=dict)
    rare_classes: Mapping[str, Share] = field(default_factory=dict)
    seeds: tuple[Seed, ...] = ()
    deviation: Scores | None = None
    au_scores: Mapping[int, UnitScores] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    stops: Stops | None = None


@dataclass(frozen=True, kw_only=True)
class Metrics(Pooled):
    """The scores of a run.

    Attributes:
        run: The run folder as it was given.
        model: Name in the zoo.
        attention: Mode of the oriented attention; None for networks without.
        protocol: Who is held out, as it was given.
        labels: Name of the label set.
        classes: In the order of probabilities.
        fold_count, clips: How many were tested.
        selection: Which epoch counts: `last`, `inner` or `oracle`.
        seed: Of the training; the first of several.
        optimistic: Scores of the epoch chosen on the test fold, and the words for that.
        calibration: Of the probabilities.
        theta_deg: Learned angles in degrees, mean over folds, one a layer.
        seconds: How long it took.
        keyframes: Whether onset and apex are `annotated`, `spotted`, or both; those of a new video are spotted.
        of_all_seeds: Whether everything is; in runs of older versions all but the scores is of the first seed.
    """

    run: str
    model: Name
    attention: str | None
    protocol: str
    labels: str
    classes: tuple[Name, ...]
    fold_count: Count
    clips: Count
    selection: str
    seed: Count
    optimistic: tuple[Scores, str]
    calibration: Calibration
    theta_deg: tuple[float, ...]
    seconds: float
    keyframes: str = "annotated"
    of_all_seeds: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if len({len(self.classes), len(self.confusion), *map(len, self.confusion)}) != 1:
            raise ValueError("the confusion matrix does not fit the classes")
        if {"last", "oracle", self.selection} - set(self.selections):
            raise ValueError("a way of choosing the epoch is missing")
        if missing := set(MEASURES) - set(self.intervals):
            raise ValueError(f"lacks the interval of {min(missing)}")

    @property
    def honest_selection(self) -> str:
        """The way of choosing the epoch that no test clip had a say in."""
        return "last" if self.selection == "oracle" else self.selection

    @property
    def honest(self) -> Scores:
        """Scores that no test clip had a say in: of the last epoch where the run itself was judged by the test fold."""
        return self.selections["last"] if self.selection == "oracle" else self.scores

    @property
    def honest_deviation(self) -> Scores | None:
        """Standard deviation of `honest` over seeds; None with one, or where an older version did not record it."""
        if self.selection != "oracle" or self.deviation is None:
            return self.deviation
        each = [seed.honest for seed in self.seeds if seed.honest is not None]
        if len(each) < 2:
            return None
        return Scores.from_json({name: stdev(one[name] for one in each) for name in MEASURES})

    @property
    def au_macro_f1(self) -> float | None:
        """F1 averaged over `au_scores`; None without any."""
        return macro_f1(self.au_scores)

    @classmethod
    def from_json(cls, values: Any, **known: Any) -> Metrics:
        """Read them from the JSON object of `metrics.json`.

        Raises:
            KeyError, TypeError, ValueError: Something is missing, or of another kind.
        """
        seeds = zip(values.get("seeds", ()), values.get("runs", ()), strict=True)
        here = {
            "fold_count": values["folds"],
            "scores": values,
            "intervals": values["intervals95"],
            "optimistic": (values["oracle"], values["oracle"]["note"]),
            "controls": [{"name": name, "scores": one, **one} for name, one in values["controls"].items()],
            "seeds": [{"number": number, "scores": one, **one} for number, one in seeds],
            "deviation": values.get("sd"),
            "of_all_seeds": "rare_classes" in values,
        }
        return super().from_json({**values, **here}, **known)

    def as_json(self) -> JsonObject:
        """What `metrics.json` holds and `mer train --json` prints."""
        optimistic, note = self.optimistic
        selections: dict[str, Any] = {name: scores.as_json() for name, scores in self.selections.items()}
        selections["oracle"] = {"note": note, **selections["oracle"]}
        return {
            **{name: getattr(self, name) for name in ("run", "model", "attention", "protocol", "labels")},
            "classes": list(self.classes),
            "folds": self.fold_count,
            **{name: getattr(self, name) for name in ("clips", "subjects", "selection", "seed", "aus")},
            **self.scores.as_json(),
            "per_class": {name: asdict(scores) for name, scores in self.per_class.items()},
            "confusion": [list(row) for row in self.confusion],
            **({"note": OPTIMISTIC} if self.selection == "oracle" else {}),
            "intervals95": {name: list(pair) for name, pair in self.intervals.items()},
            "selections": selections,
            "oracle": {"note": note, **optimistic.as_json()},
            "by_aus": {name: scores.as_json() for name, scores in self.by_aus.items()},
            "by_dataset": {name: scores.as_json() for name, scores in self.by_dataset.items()},
            "controls": {control.name: control.as_json() for control in self.controls},
            "calibration": asdict(self.calibration),
            "theta_deg": list(self.theta_deg),
            "rare_classes": dict(self.rare_classes),
            "keyframes": self.keyframes,
            "by_keyframes": {name: scores.as_json() for name, scores in self.by_keyframes.items()},
            "au_scores": {str(number): asdict(one) for number, one in self.au_scores.items()},
            "au_macro_f1": self.au_macro_f1,
            "measured": dict(self.measured),
            "changed_by_aus": dict(self.changed_by_aus),
            **({} if self.stops is None else {"stops": asdict(self.stops)}),
            "seconds": self.seconds,
            **(self._over_seeds() if self.seeds else {}),
        }

    def _over_seeds(self) -> dict[str, Any]:
        return {
            "seeds": [seed.number for seed in self.seeds],
            "sd": None if self.deviation is None else self.deviation.as_json(),
            "runs": [seed.as_json() for seed in self.seeds],
        }
