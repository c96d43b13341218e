"""Probabilities that mean what they say: one temperature (Guo et al., ICML 2017), and sets that keep a promise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from mer_pipeline.arrays import Matrix
from mer_pipeline.evaluation.statistics import mean_interval
from mer_pipeline.evaluation.summary import subject_of
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.results import Calibration, ConformalSets, Loss

LEVEL = 0.9
_BINS = 10
_LEAST = 1e-6  # probabilities were written with six digits
# Softer than this says nothing, sharper than this is certainty.
_RANGE = (0.05, 20.0)


def calibrate(predictions: Sequence[Prediction], classes: Sequence[str], merged: Mapping[str, str]) -> Calibration:
    """Fit a temperature and a threshold on held-out predictions, and measure what they do.

    Args:
        predictions: One of every clip, each made by a network that never saw its subject.
        classes: In the order of the probabilities.
        merged: Subject -> the group that it is held out with, where that has another name.

    Returns:
        The temperature for the network of all subjects, fitted on all of these predictions, and how good the
        probabilities are without and with one. For the latter the temperature of each fold is fitted on the other
        folds alone, so that no clip is judged by a temperature that has seen it; so are the thresholds of sets.
    """
    logits = np.array([_logits(p) for p in predictions])
    truth = np.array([list(classes).index(p.truth) for p in predictions])
    folds = np.array([p.fold for p in predictions])
    subjects = np.array([subject_of(p.clip_id, merged) for p in predictions])
    cooled = np.zeros_like(logits)
    for fold in np.unique(folds):
        inside = folds == fold
        temperature = fitted(logits[~inside], truth[~inside]) if not inside.all() else 1.0
        cooled[inside] = logits[inside] / temperature
    before, after = softmax(logits, axis=1), softmax(cooled, axis=1)
    return Calibration(
        temperature=round(fitted(logits, truth), 4),
        ece_before=round(expected_error(before, truth), 4),
        ece_after=round(expected_error(after, truth), 4),
        nll=_loss(_nll(logits, truth), _nll(cooled, truth), subjects),
        brier=_loss(_brier(before, truth), _brier(after, truth), subjects),
        sets=conformal(after, truth, subjects),
    )


def conformal(
    probabilities: Matrix, truth: npt.NDArray[np.int64], subjects: npt.NDArray[np.str_]
) -> ConformalSets | None:
    """Sets of classes that hold the truth of a new subject's clip with a probability of 0.9.

    Conformal prediction with the same weight for each subject, whatever its clips (Dunn, Wasserman and Ramdas, JASA
    2023, pooled distributions): subjects are exchangeable, clips of one are not. The new subject has a weight too, so
    that fewer than nine others allow no promise.

    Args:
        probabilities: (clips, classes), each by a network that never saw the subject.
        truth: (clips,) class numbers.
        subjects: (clips,) whose clip it is.
    """
    scores = 1 - probabilities[np.arange(len(truth)), truth]
    threshold = _threshold(scores, subjects)
    if not math.isfinite(threshold):
        return None
    covered, single = np.zeros(len(truth)), np.zeros(len(truth))
    for subject in np.unique(subjects):
        inside = subjects == subject
        own = 1 - probabilities[inside] <= _threshold(scores[~inside], subjects[~inside])
        covered[inside], single[inside] = own[np.arange(inside.sum()), truth[inside]], own.sum(1) == 1
    weights = _weights(subjects)
    return ConformalSets(
        LEVEL, round(1 - threshold, 4), round(float(weights @ covered), 4), round(float(weights @ single), 4)
    )


def _threshold(scores: Matrix, subjects: npt.NDArray[np.str_]) -> float:
    """The score that a new subject's clip is below with the promised probability; infinite where none is sure."""
    known = len(np.unique(subjects))
    order = np.argsort(scores)
    below = np.cumsum(_weights(subjects)[order]) * known / (known + 1)
    enough = np.flatnonzero(below >= LEVEL - 1e-9)
    return float(scores[order][enough[0]]) if len(enough) else math.inf


def _weights(subjects: npt.NDArray[np.str_]) -> Matrix:
    """The same for each subject, shared by its clips; they sum to 1."""
    names, at, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(names) * counts[at]), np.float64)


def mean_calibration(each: Sequence[Calibration]) -> Calibration:
    """Of several trainings, each calibrated on its own folds."""
    sets = [one.sets for one in each if one.sets is not None]
    return Calibration(
        **{name: _mean([getattr(one, name) for one in each]) for name in ("temperature", "ece_before", "ece_after")},
        nll=_mean_loss([one.nll for one in each if one.nll is not None]),
        brier=_mean_loss([one.brier for one in each if one.brier is not None]),
        sets=ConformalSets(**{f.name: _mean([getattr(one, f.name) for one in sets]) for f in fields(sets[0])})
        if sets
        else None,
    )


def _mean_loss(each: Sequence[Loss]) -> Loss:
    bounds = [(one.low, one.high) for one in each if one.low is not None and one.high is not None]
    low, high = (_mean([bound[at] for bound in bounds]) if bounds else None for at in (0, 1))
    return Loss(_mean([one.before for one in each]), _mean([one.after for one in each]), low, high)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def cool(prediction: Prediction, temperature: float) -> Prediction:
    """The same prediction with the probabilities that a temperature gives."""
    found = softmax(np.array(_logits(prediction)) / temperature)
    return replace(prediction, probabilities=found.tolist())


def _logits(prediction: Prediction) -> list[float]:
    """What the temperature will divide; an older version recorded probabilities alone, with six digits."""
    if prediction.logits is not None:
        return prediction.logits
    return [math.log(max(p, _LEAST)) for p in prediction.probabilities]


def fitted(logits: Matrix, truth: npt.NDArray[np.int64]) -> float:
    """The temperature with the highest likelihood.

    Args:
        logits: (clips, classes).
        truth: (clips,) class numbers.
    """

    def loss(log_temperature: float) -> float:
        return float(_nll(logits / np.exp(log_temperature), truth).mean())

    low, high = np.log(_RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def _nll(logits: Matrix, truth: npt.NDArray[np.int64]) -> Matrix:
    """(clips,) the logarithm of what the truth was given, with the other sign."""
    return np.asarray(-log_softmax(logits, axis=1)[np.arange(len(truth)), truth], np.float64)


def _brier(probabilities: Matrix, truth: npt.NDArray[np.int64]) -> Matrix:
    """(clips,) squared distance from the truth: 0 to 2."""
    return np.asarray(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(1), np.float64)


def _loss(before: Matrix, after: Matrix, subjects: npt.NDArray[np.str_]) -> Loss:
    bounds = mean_interval(after, subjects)
    rounded = (None, None) if bounds is None else (round(bounds[0], 4), round(bounds[1], 4))
    return Loss(round(float(before.mean()), 4), round(float(after.mean()), 4), *rounded)


def expected_error(probabilities: Matrix, truth: npt.NDArray[np.int64]) -> float:
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
