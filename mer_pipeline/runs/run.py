"""A finished run as its report needs it: read from its folder, and checked once, so that no page meets a surprise."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_pipeline.errors import MerError
from mer_pipeline.runs.card import Prediction, read_json

MEASURES = {"uf1": "UF1", "uar": "UAR", "accuracy": "accuracy"}
AUS_ONLY = "aus-only"  # the control that takes annotated Action Units and no image


@dataclass(frozen=True)
class Scores:
    """Each 0 to 1."""

    uf1: float
    uar: float
    accuracy: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Scores:
        """Read them from a JSON object that may hold more."""
        return cls(*(float(values[name]) for name in MEASURES))

    def __getitem__(self, measure: str) -> float:
        return float(getattr(self, measure))


@dataclass(frozen=True)
class Span:
    """A value and its 95 % interval over subjects."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Control:
    """What needs no network, on the same folds; `difference` is the network's UF1 less its own."""

    name: str
    what: str
    scores: Scores
    difference: Span
    verdict: str


@dataclass(frozen=True)
class Calibration:
    """The temperature that was fitted, and the expected calibration error without and with it."""

    temperature: float
    ece_before: float
    ece_after: float


@dataclass(frozen=True)
class Seed:
    """One of several trainings."""

    name: str
    scores: Scores
    theta_deg: tuple[float, ...]


@dataclass(frozen=True)
class Fold:
    """One fold: who was held out, where its network lies, and what happened in each epoch.

    Attributes:
        held_out: The group that training never saw.
        folder: Weights, card and result.
        clips: The ids of its test clips.
        chosen_epoch: The epoch chosen inside the training fold, from 1; None where the last counts.
        loss, test_accuracy: One value an epoch.
        theta_deg: One list of layers an epoch.
    """

    held_out: str
    folder: Path
    clips: frozenset[str]
    chosen_epoch: int | None
    loss: tuple[float, ...]
    test_accuracy: tuple[float, ...]
    theta_deg: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Run:
    """A finished run. With several seeds the scores are means over them, and the rest is of the first.

    Attributes:
        folder: Where it lies.
        facts: `run.json`: recipe, data, command, versions, hardware.
        model, protocol, labels, selection, aus: See `mer_pipeline.runs.card`.
        attention: Mode of the oriented attention; None for networks without.
        classes: In the order of probabilities.
        clips, subjects: How many were predicted.
        scores: What the run is judged by.
        deviation: Standard deviation over seeds; None with one.
        intervals: Measure -> low and high.
        seeds: One entry a training; empty with one.
        selections: Way of choosing the epoch -> scores.
        optimistic: Scores of the epoch chosen on the test fold, and the words for that.
        by_aus, by_dataset: Scores by source of the Action Units at test time, and by dataset.
        controls: What needs no network.
        per_class: Class -> F1 and recall.
        confusion: Clips, truth in rows.
        calibration: Of the probabilities.
        theta_deg: Learned angles, mean over folds, one a layer.
        predictions: One a clip: those that the scores are of.
        folds: In the order of their folders.
        seconds: How long it took.
    """

    folder: Path
    facts: Mapping[str, Any]
    model: str
    attention: str | None
    protocol: str
    labels: str
    selection: str
    aus: str
    classes: tuple[str, ...]
    clips: int
    subjects: int
    scores: Scores
    deviation: Scores | None
    intervals: Mapping[str, tuple[float, float]]
    seeds: tuple[Seed, ...]
    selections: Mapping[str, Scores]
    optimistic: tuple[Scores, str]
    by_aus: Mapping[str, Scores]
    by_dataset: Mapping[str, Scores]
    controls: tuple[Control, ...]
    per_class: Mapping[str, tuple[float, float]]
    confusion: tuple[tuple[int, ...], ...]
    calibration: Calibration
    theta_deg: tuple[float, ...]
    predictions: tuple[Prediction, ...]
    folds: tuple[Fold, ...]
    seconds: float

    @property
    def recipe(self) -> Mapping[str, Any]:
        """With every default written out."""
        recipe: Mapping[str, Any] = self.facts["recipe"]
        return recipe

    @property
    def honest(self) -> Scores:
        """Scores that no test clip had a say in: of the last epoch where the run itself was judged by the test fold."""
        return self.selections["last"] if self.selection == "oracle" else self.scores


def read_run(folder: Path) -> Run:
    """Read a finished run, with one seed or several.

    Raises:
        MerError: It is no run, not finished, or damaged.
    """
    if not (folder / "metrics.json").is_file():
        known = (folder / "run.json").is_file()
        raise MerError(
            "this run is not finished" if known else "not a run folder",
            where=folder,
            fix="finish it with the same mer train command" if known else "give the folder that mer train wrote",
        )
    facts, metrics = read_json(folder / "run.json"), read_json(folder / "metrics.json")
    with well_formed(folder / "run.json"):
        _check_facts(facts)
    with well_formed(folder / "metrics.json"):
        shown = folder / f"seed-{int(metrics['seeds'][0])}" if "seeds" in metrics else folder
        classes = tuple(str(name) for name in metrics["classes"])
        told = _of_metrics(metrics)
    predictions = _predictions(shown / "predictions.csv", classes, told["selection"], told["aus"])
    folds = tuple(_fold(path) for path in sorted((shown / "folds").glob("*/result.json")))
    if len(folds) != metrics["folds"]:
        raise MerError(
            f"holds {len(folds)} finished folds of {metrics['folds']}", where=shown / "folds", fix="train again"
        )
    if homeless := {p.clip_id for p in predictions} - frozenset().union(*(fold.clips for fold in folds)):
        raise MerError(f"no fold held out {min(homeless)}", where=shown / "folds", fix="train again")
    return Run(folder=folder, facts=facts, classes=classes, predictions=predictions, folds=folds, **told)


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Tell what is wrong with a file's content in one line."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        told = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise MerError(
            f"damaged, or written by another version ({told})", where=path, fix="delete its folder and train again"
        ) from None


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Touch what the page takes from `run.json`."""
    recipe, data = facts["recipe"], facts["data"]
    recipe["network"], recipe["epochs"], dict(recipe["options"]), dict(data["classes"]), int(data["size"])
    list(data["datasets"]), list(facts.get("notes") or ()), dict(facts["versions"]), dict(facts["hardware"])


def _of_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Run` that `metrics.json` holds."""
    confusion = tuple(tuple(int(count) for count in row) for row in metrics["confusion"])
    if len({len(metrics["classes"]), len(confusion), *map(len, confusion)}) != 1:
        raise ValueError("the confusion matrix does not fit the classes")
    if {"last", "oracle", metrics["selection"]} - set(metrics["selections"]):
        raise ValueError("a way of choosing the epoch is missing")
    calibration = metrics["calibration"]
    return {
        **{name: str(metrics[name]) for name in ("model", "protocol", "labels", "selection", "aus")},
        "attention": metrics["attention"],
        "clips": int(metrics["clips"]),
        "subjects": int(metrics["subjects"]),
        "scores": Scores.of(metrics),
        "deviation": Scores.of(metrics["sd"]) if "sd" in metrics else None,
        "intervals": {name: _pair(metrics["intervals95"][name]) for name in MEASURES},
        "seeds": tuple(
            Seed(str(number), Scores.of(one), tuple(map(float, one["theta_deg"])))
            for number, one in zip(metrics.get("seeds", ()), metrics.get("runs", ()), strict=True)
        ),
        "selections": {name: Scores.of(values) for name, values in metrics["selections"].items()},
        "optimistic": (Scores.of(metrics["oracle"]), str(metrics["oracle"]["note"])),
        "by_aus": {name: Scores.of(values) for name, values in metrics["by_aus"].items()},
        "by_dataset": {name: Scores.of(values) for name, values in metrics["by_dataset"].items()},
        "controls": tuple(_control(name, values) for name, values in metrics["controls"].items()),
        "per_class": {name: (float(v["f1"]), float(v["recall"])) for name, v in metrics["per_class"].items()},
        "confusion": confusion,
        "calibration": Calibration(*(float(calibration[k]) for k in ("temperature", "ece_before", "ece_after"))),
        "theta_deg": tuple(float(angle) for angle in metrics["theta_deg"]),
        "seconds": float(metrics["seconds"]),
    }


def _control(name: str, values: Mapping[str, Any]) -> Control:
    return Control(name, str(values["what"]), Scores.of(values), span(values["difference"]), str(values["verdict"]))


def span(values: Mapping[str, Any]) -> Span:
    """Read a difference."""
    return Span(float(values["value"]), float(values["low"]), float(values["high"]))


def _pair(values: Any) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)


def _predictions(path: Path, classes: tuple[str, ...], selection: str, aus: str) -> tuple[Prediction, ...]:
    """The predictions that the run is judged by, one a clip."""
    try:
        with well_formed(path), path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if (row["selection"], row["aus"]) == (selection, aus)]
            found = tuple(_prediction(row, classes) for row in rows)
            if not found:
                raise ValueError(f"holds no prediction of the selection {selection}")
    except OSError:
        raise MerError("absent or unreadable", where=path, fix="train again") from None
    return found


def _prediction(row: Mapping[str, str], classes: tuple[str, ...]) -> Prediction:
    probabilities = [float(row[f"p_{name}"]) for name in classes]
    if not all(0 <= p <= 1 for p in probabilities):
        raise ValueError(f"the probabilities of {row['clip_id']} are not in 0..1")
    for name in (row["truth"], row["predicted"]):
        classes.index(name)
    return Prediction(
        clip_id=row["clip_id"],
        fold=row["fold"],
        selection=row["selection"],
        aus=row["aus"],
        truth=row["truth"],
        predicted=row["predicted"],
        probabilities=probabilities,
    )


def _fold(path: Path) -> Fold:
    result = read_json(path)
    with well_formed(path):
        history, predictions = result["history"], result["predictions"]
        if not history["loss"] or not history["test_accuracy"]:
            raise ValueError("no epoch is recorded")
        return Fold(
            held_out=str(predictions[0]["fold"]),
            folder=path.parent,
            clips=frozenset(str(p["clip_id"]) for p in predictions),
            chosen_epoch=result["chosen_epoch"],
            loss=tuple(float(value) for value in history["loss"]),
            test_accuracy=tuple(float(value) for value in history["test_accuracy"]),
            theta_deg=tuple(tuple(float(angle) for angle in layers) for layers in history["theta_deg"]),
        )
