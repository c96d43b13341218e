"""One temperature that makes a network's probabilities mean what they say (Guo et al., ICML 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.results import Calibration

_BINS = 10
_LEAST = 1e-6  # probabilities were written with six digits
# Softer than this says nothing, sharper than this is certainty.
_RANGE = (0.05, 20.0)

Table = npt.NDArray[np.float64]


def calibrate(predictions: Sequence[Prediction], classes: Sequence[str]) -> Calibration:
    """Fit a temperature on held-out predictions, and measure what it does.

    Args:
        predictions: One of every clip, each made by a network that never saw its subject.
        classes: In the order of the probabilities.

    Returns:
        The temperature for the network of all subjects, fitted on all of these predictions, and the expected
        calibration error without and with one. For the latter the temperature of each fold is fitted on the other folds
        alone, so that no clip is judged by a temperature that has seen it.
    """
    logits = np.array([_logits(p) for p in predictions])
    truth = np.array([list(classes).index(p.truth) for p in predictions])
    folds = np.array([p.fold for p in predictions])
    cooled = np.zeros_like(logits)
    for fold in np.unique(folds):
        inside = folds == fold
        temperature = fitted(logits[~inside], truth[~inside]) if not inside.all() else 1.0
        cooled[inside] = logits[inside] / temperature
    return Calibration(
        temperature=round(fitted(logits, truth), 4),
        ece_before=round(expected_error(softmax(logits, axis=1), truth), 4),
        ece_after=round(expected_error(softmax(cooled, axis=1), truth), 4),
    )


def mean_calibration(each: Sequence[Calibration]) -> Calibration:
    """Of several trainings, each calibrated on its own folds."""
    return Calibration(
        **{name: round(float(np.mean([asdict(one)[name] for one in each])), 4) for name in asdict(each[0])}
    )


def _logits(prediction: Prediction) -> list[float]:
    """What the temperature will divide; an older version recorded probabilities alone, with six digits."""
    if prediction.logits is not None:
        return prediction.logits
    return [math.log(max(p, _LEAST)) for p in prediction.probabilities]


def fitted(logits: Table, truth: npt.NDArray[np.int64]) -> float:
    """The temperature with the highest likelihood.

    Args:
        logits: (clips, classes).
        truth: (clips,) class numbers.
    """
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, truth].mean())

    low, high = np.log(_RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def expected_error(probabilities: Table, truth: npt.NDArray[np.int64]) -> float:
    """Mean gap between confidence and accuracy over ten bins of confidence, weighted by their clips (ECE).

    >>> expected_error(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    0.5
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(right[bins == at].mean() - confidence[bins == at].mean()) * (bins == at).mean() for at in np.unique(bins)
    ]
    return float(sum(gaps))
