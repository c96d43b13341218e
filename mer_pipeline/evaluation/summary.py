"""What a run came to: the scores of its pooled predictions, what they stand beside, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mer_pipeline.choices import SELECTIONS
from mer_pipeline.evaluation.controls import DESCRIPTIONS, SVM
from mer_pipeline.evaluation.metrics import DetailedScores, intervals, scores
from mer_pipeline.evaluation.statistics import paired_bootstrap, verdict
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.results import AUS_ONLY, OPTIMISTIC, Control, Scores, Seed


@dataclass(frozen=True)
class Pooled:
    """Scores over the pooled predictions of all folds.

    Attributes:
        aus: The AU source that the scores are of.
        detailed: Of the chosen selection and AU source.
        intervals: Measure -> low and high of the 95 % interval over subjects.
        selections: Every way of choosing the epoch that the training recorded -> scores.
        by_aus, by_dataset: Every AU source and every dataset -> scores.
        controls: What needs no network.
    """

    aus: str
    detailed: DetailedScores
    intervals: Mapping[str, tuple[float, float]]
    selections: Mapping[str, Scores]
    by_aus: Mapping[str, Scores]
    by_dataset: Mapping[str, Scores]
    controls: tuple[Control, ...]


def pooled(
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    *,
    aus: str,
    select: str,
    controls: Mapping[str, Mapping[str, str]],
) -> Pooled:
    """Scores over the pooled predictions of all folds.

    Args:
        predictions: Of all folds, selections and AU sources.
        classes: Names.
        aus: The AU source whose score is the run's.
        select: The selection whose score is the run's.
        controls: Control -> clip_id -> class that it predicts.
    """
    chosen = headline(predictions, aus, select)
    source = chosen[0].aus
    truth, guess, subjects = _columns(chosen)
    return Pooled(
        aus=source,
        detailed=scores(truth, guess, classes),
        intervals=intervals(truth, guess, subjects, classes),
        selections={
            name: _brief([p for p in predictions if p.selection == name and p.aus == source], classes)
            for name in SELECTIONS
            if any(p.selection == name for p in predictions)
        },
        by_aus={
            name: _brief([p for p in predictions if p.selection == select and p.aus == name], classes)
            for name in sorted({p.aus for p in predictions if p.selection == select})
        },
        by_dataset={
            name: _brief([p for p in chosen if p.clip_id.split("/")[0] == name], classes)
            for name in sorted({p.clip_id.split("/")[0] for p in chosen})
        },
        controls=tuple(
            _control(name, dict(guesses), predictions, chosen, classes) for name, guesses in controls.items()
        ),
    )


def headline(predictions: Sequence[Prediction], aus: str, select: str) -> list[Prediction]:
    """The predictions that a run is judged by: one a clip."""
    chosen = [p for p in predictions if p.selection == select]
    sources = {p.aus for p in chosen}
    return [p for p in chosen if p.aus == (aus if aus in sources else "unused")]


def _control(
    name: str,
    guesses: Mapping[str, str],
    predictions: Sequence[Prediction],
    chosen: Sequence[Prediction],
    classes: Sequence[str],
) -> Control:
    """A control's scores, and the network's UF1 less the control's on the same clips."""
    network = "the network"
    annotated = [p for p in predictions if p.selection == chosen[0].selection and p.aus == "annotated"]
    if name == AUS_ONLY and annotated:
        # It is given what only annotators know; so must be what it is compared with.
        chosen, network = annotated, "the network with annotated Action Units"
    truth, guess, subjects = _columns(chosen)
    controlled = [guesses[p.clip_id] for p in chosen]
    difference = paired_bootstrap(truth, [guess], [controlled], subjects, classes)["uf1"]
    said = verdict(difference, network, name)
    if name == AUS_ONLY and not (difference.clear and difference.value > 0):
        said = f"the image added nothing to annotated Action Units ({said})"
    if name == SVM and not (difference.clear and difference.value > 0):
        said = f"the network does not beat the {name} ({said})"
    return Control(name, DESCRIPTIONS[name], _without_weighted(scores(truth, controlled, classes)), difference, said)


def _columns(rows: Sequence[Prediction]) -> tuple[list[str], list[str], list[str]]:
    """Truth, prediction and subject of every clip."""
    return [p.truth for p in rows], [p.predicted for p in rows], [p.clip_id.rpartition("/")[0] for p in rows]


def _brief(rows: Sequence[Prediction], classes: Sequence[str]) -> Scores:
    truth, guess, _ = _columns(rows)
    return _without_weighted(scores(truth, guess, classes))


def _without_weighted(found: DetailedScores) -> Scores:
    return replace(found.overall, weighted_f1=None)


def over_seeds(found: Sequence[Metrics], run: Path, seconds: float) -> Metrics:
    """The metrics of a run with several seeds: means and standard deviations of what each was judged by.

    Args:
        found: Of each training.
        run: The run folder that holds theirs.
        seconds: How long all took.
    """
    each = [one.scores for one in found]
    values = torch.tensor([[s.accuracy, s.uf1, s.uar, s.weighted_f1] for s in each], dtype=torch.float64)
    best = [one.optimistic[0] for one in found]
    optimistic = torch.tensor([[s.accuracy, s.uf1, s.uar] for s in best], dtype=torch.float64)
    return replace(
        found[0],
        run=str(run),
        scores=replace(_scores_of(values.mean(0)), clips=each[0].clips),
        deviation=_scores_of(values.std(0)),
        optimistic=(_scores_of(optimistic.mean(0)), OPTIMISTIC),
        seeds=tuple(Seed(one.seed, one.run, one.scores, one.theta_deg) for one in found),
        theta_deg=mean_axis_deg([one.theta_deg for one in found]),
        seconds=seconds,
    )


def _scores_of(values: torch.Tensor) -> Scores:
    """Accuracy, UF1, UAR and, where it is given, weighted F1."""
    accuracy, uf1, uar, *weighted = values.tolist()
    return Scores(uf1, uar, accuracy, weighted_f1=weighted[0] if weighted else None)


def mean_axis_deg(folds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean over folds of each layer's angle; angles are axes, so 179 and 1 average to 0."""
    if not folds or not folds[0]:
        return ()
    doubled = torch.deg2rad(torch.tensor(folds, dtype=torch.float64) * 2)
    mean = torch.atan2(doubled.sin().mean(0), doubled.cos().mean(0)).rad2deg() / 2
    return tuple(round(float(angle) % 180, 2) for angle in mean)
