"""What a run came to: the scores of its pooled predictions, what they stand beside, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mer_pipeline.evaluation.controls import AUS_ONLY, DESCRIPTIONS, SVM
from mer_pipeline.evaluation.metrics import intervals, scores
from mer_pipeline.evaluation.statistics import paired_bootstrap, verdict
from mer_pipeline.runs.card import Prediction

OPTIMISTIC = "optimistic: epoch chosen on the test fold"
SELECTIONS = ("last", "inner", "oracle")
_BRIEF = ("clips", "accuracy", "uf1", "uar")


def pooled(
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    *,
    aus: str,
    select: str,
    controls: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Scores over the pooled predictions of all folds.

    Args:
        predictions: Of all folds, selections and AU sources.
        classes: Names.
        aus: The AU source whose score is the run's.
        select: The selection whose score is the run's.
        controls: Control -> clip_id -> class that it predicts.

    Returns:
        Scores of the chosen selection and AU source with intervals over subjects; beside them every selection that the
        training recorded, every AU source, every dataset and every control.
    """
    chosen = headline(predictions, aus, select)
    sources = sorted({p.aus for p in predictions if p.selection == select})
    datasets = sorted({p.clip_id.split("/")[0] for p in chosen})
    truth, guess, subjects = _columns(chosen)
    selections: dict[str, dict[str, Any]] = {
        name: _brief([p for p in predictions if p.selection == name and p.aus == chosen[0].aus], classes)
        for name in SELECTIONS
        if any(p.selection == name for p in predictions)
    }
    selections["oracle"] = {"note": OPTIMISTIC, **selections["oracle"]}
    return {
        "aus": chosen[0].aus,
        **scores(truth, guess, classes),
        **({"note": OPTIMISTIC} if select == "oracle" else {}),
        "intervals95": intervals(truth, guess, subjects, classes),
        "selections": selections,
        "oracle": selections["oracle"],
        "by_aus": {
            source: _brief([p for p in predictions if p.selection == select and p.aus == source], classes)
            for source in sources
        },
        "by_dataset": {
            name: _brief([p for p in chosen if p.clip_id.split("/")[0] == name], classes) for name in datasets
        },
        "controls": {
            name: _control(name, dict(guesses), predictions, chosen, classes) for name, guesses in controls.items()
        },
    }


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
) -> dict[str, Any]:
    """A control's scores, and the network's UF1 less the control's on the same clips."""
    network = "the network"
    annotated = [p for p in predictions if p.selection == chosen[0].selection and p.aus == "annotated"]
    if name == AUS_ONLY and annotated:
        # It is given what only annotators know; so must be what it is compared with.
        chosen, network = annotated, "the network with annotated Action Units"
    truth, guess, subjects = _columns(chosen)
    controlled = [guesses[p.clip_id] for p in chosen]
    difference = paired_bootstrap(truth, [guess], [controlled], subjects, classes)["uf1"]
    found = {key: value for key, value in scores(truth, controlled, classes).items() if key in _BRIEF}
    said = verdict(difference, network, name)
    if name == AUS_ONLY and not (difference.clear and difference.value > 0):
        said = f"the image added nothing to annotated Action Units ({said})"
    if name == SVM and not (difference.clear and difference.value > 0):
        said = f"the network does not beat the {name} ({said})"
    return {"what": DESCRIPTIONS[name], **found, "difference": difference.as_json(), "verdict": said}


def _columns(rows: Sequence[Prediction]) -> tuple[list[str], list[str], list[str]]:
    """Truth, prediction and subject of every clip."""
    return [p.truth for p in rows], [p.predicted for p in rows], [p.clip_id.rpartition("/")[0] for p in rows]


def _brief(rows: Sequence[Prediction], classes: Sequence[str]) -> dict[str, Any]:
    truth, guess, _ = _columns(rows)
    return {name: value for name, value in scores(truth, guess, classes).items() if name in _BRIEF}


def mean_and_sd(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of what every run was judged by, and of its optimistic figure."""
    names = ("accuracy", "uf1", "uar", "weighted_f1")
    values = torch.tensor([[summary[name] for name in names] for summary in summaries], dtype=torch.float64)
    optimistic = torch.tensor([[s["oracle"][name] for name in names[:3]] for s in summaries], dtype=torch.float64)
    return {
        **dict(zip(names, values.mean(0).tolist(), strict=True)),
        "sd": dict(zip(names, values.std(0).tolist(), strict=True)),
        "oracle": {"note": OPTIMISTIC, **dict(zip(names[:3], optimistic.mean(0).tolist(), strict=True))},
    }


def mean_axis_deg(folds: Sequence[Sequence[float]]) -> list[float]:
    """The mean over folds of each layer's angle; angles are axes, so 179 and 1 average to 0."""
    if not folds or not folds[0]:
        return []
    doubled = torch.deg2rad(torch.tensor(folds, dtype=torch.float64) * 2)
    mean = torch.atan2(doubled.sin().mean(0), doubled.cos().mean(0)).rad2deg() / 2
    return [round(float(angle) % 180, 2) for angle in mean]
