"""What may be said of scores on a few subjects, and of two systems on the same clips.

Clips of one subject are no independent evidence, so subjects are what is left out, swapped and counted. Intervals are
those of the jackknife that leaves one subject out, with Student's t (Efron and Tibshirani 1993, chapter 11), to whose
variance that of the trainings is added; `studies/coverage.py` measures how often they hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from mer_pipeline.evaluation.metrics import confusions_by_group, scores_of
from mer_pipeline.runs.results import LEAST_SUBJECTS, LEVEL, Difference

FEW_SUBJECTS = 15  # below it, intervals are as wide as what is looked for, and every verdict hangs on single subjects
EQUAL_WITHIN = 0.05  # a difference inside it, with its whole interval, makes no difference in practice
POWER = 0.8
_EXACT_SUBJECTS = 16  # up to so many, all swaps are counted: 2^15 of them, since a swap of everybody changes a sign
_SWAPS = 10_000

Tables = npt.NDArray[np.float64]  # (seeds, subjects, classes, classes) confusion counts, truth in rows
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class McNemar:
    """McNemar's test: clips that only one of two systems has right, and the p-value, as if clips were independent."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class PairedT:
    """A paired t-test over seeds: number of pairs, mean difference, p-value; None where it is not defined."""

    pairs: int
    mean: float
    p: float | None


def intervals(
    truth: Sequence[str], guesses: Sequence[Sequence[str]], groups: Sequence[str], classes: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """95 % intervals of accuracy, UF1 and UAR, over subjects and, of several trainings, over their seeds.

    Args:
        truth: Class of every clip.
        guesses: What is predicted of every clip, once for each training; the score is the mean over them.
        groups: Whose clip it is.
        classes: Names.

    Returns:
        Measure -> low and high; 0 and 1 of a single subject, which says nothing of others.

    >>> intervals(["a", "b"] * 3, [["a", "b"] * 3], ["s", "s", "t", "t", "u", "u"], ["a", "b"])["uf1"]
    (1.0, 1.0)
    """
    found = {}
    for name, (value, error, freedom) in _jackknife(_tables(truth, guesses, groups, classes)).items():
        half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error if np.isfinite(error) else 1.0
        found[name] = (round(max(value - half, 0.0), 4), round(min(value + half, 1.0), 4))
    return found


def mean_interval(values: Values, groups: npt.NDArray[np.str_]) -> tuple[float, float] | None:
    """95 % interval over subjects of the mean of a value of every clip; None of one subject.

    Args:
        values: (clips,).
        groups: (clips,) whose clip it is.
    """
    names, at = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return None
    sums, counts = np.bincount(at, values), np.bincount(at)
    without = (sums.sum() - sums) / (counts.sum() - counts)
    half = float(stats.t.ppf(1 - LEVEL / 2, len(names) - 1) * np.sqrt((len(names) - 1) * without.var()))
    return float(values.mean()) - half, float(values.mean()) + half


def differences(
    truth: Sequence[str],
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str]],
    groups: Sequence[str],
    classes: Sequence[str],
) -> dict[str, Difference]:
    """Accuracy, UF1 and UAR of one system less those of another on the same clips.

    Args:
        truth: Class of every clip.
        first: What a system says of every clip, once for each of its trainings; scores are means over them.
        second: The same of the other system.
        groups: Whose clip it is.
        classes: Names.

    >>> differences(["a", "b"], [["a", "b"]], [["a", "a"]], ["s", "t"], ["a", "b"])["accuracy"].value
    0.5
    """
    one, other = (_tables(truth, guesses, groups, classes) for guesses in (first, second))
    subjects, p_swap = one.shape[1], _swapped(one.mean(0), other.mean(0))
    found = {}
    for name, (value, error, freedom) in _jackknife(one, other).items():
        if not np.isfinite(error):
            found[name] = Difference(value, -1.0, 1.0, p_swap[name], None, 1.0, subjects)
            continue
        half, power = (float(stats.t.ppf(at, freedom)) * error for at in (1 - LEVEL / 2, POWER))
        # Without any spread over subjects the statistic is not defined; the swaps still are.
        p = 2 * float(stats.t.sf(abs(value) / error, freedom)) if error else None
        low, high = max(value - half, -1.0), min(value + half, 1.0)
        one_of = Difference(value, low, high, p_swap[name], p, None, subjects, min(half + power, 1.0))
        found[name] = replace(one_of, p_holm=_larger_p(one_of))
    return found


def holm(found: Mapping[str, Difference]) -> dict[str, Difference]:
    """The differences of one table, with p-values corrected for their number (Holm 1979).

    >>> table = {"a": Difference(0.1, 0.0, 0.2, 0.01, 0.02), "b": Difference(0.1, 0.0, 0.2, 0.03, 0.01)}
    >>> {name: one.p_holm for name, one in holm(table).items()}
    {'a': 0.04, 'b': 0.04}
    """
    corrected = holm_p([_larger_p(one) for one in found.values()])
    return {name: replace(one, p_holm=p) for (name, one), p in zip(found.items(), corrected, strict=True)}


def holm_p(values: Sequence[float]) -> list[float]:
    """Probabilities corrected for their number (Holm 1979)."""
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(np.minimum((len(values) - np.arange(len(values))) * np.take(values, order), 1.0))
    return [float(raised[rank]) for rank in np.argsort(order)]


def _larger_p(difference: Difference) -> float:
    return max((p for p in (difference.p, difference.p_interval) if p is not None), default=1.0)


def verdict(difference: Difference, better: str, worse: str) -> str:
    """What a difference allows to be said, in words.

    >>> verdict(Difference(0.05, -0.01, 0.11, 0.2, subjects=26), "a", "b")
    'no difference in UF1 is shown between a and b: +0.050, 95 % interval over subjects -0.010 to 0.110, p = 0.2'
    """
    if difference.subjects is not None and difference.subjects < LEAST_SUBJECTS:
        said = f"{difference.subjects} test subjects are too few ({LEAST_SUBJECTS} at least) to compare {better} with"
        said += f" {worse}"
    elif difference.clear:
        above, below = (better, worse) if difference.value > 0 else (worse, better)
        said = f"{above} has the higher UF1 than {below}"
    elif difference.low > -EQUAL_WITHIN and difference.high < EQUAL_WITHIN:
        said = f"{better} and {worse} have the same UF1 within {EQUAL_WITHIN}"
    else:
        said = f"no difference in UF1 is shown between {better} and {worse}"
    return f"{said}: {figures(difference)}"


def figures(difference: Difference) -> str:
    """A difference, its interval and its p-value as text; p is Holm's where several comparisons make one table."""
    text = f"{difference.value:+.3f}, 95 % interval over subjects {difference.low:.3f} to {difference.high:.3f}"
    if difference.p is None:
        return text
    corrected = difference.p_holm is not None and difference.p_holm > _larger_p(difference) + 1e-9
    return f"{text}, p = {difference.p:.2g}" + (f" ({difference.p_holm:.2g} after Holm)" if corrected else "")


def rare_classes(truth: Sequence[str], groups: Sequence[str]) -> dict[str, float]:
    """Class -> the share of sets of as many subjects, drawn with replacement, that lack it; where that is above 1 %.

    >>> rare_classes(["a", "b", "a", "a"], ["s", "s", "t", "u"])
    {'b': 0.2963}
    """
    subjects = len(set(groups))
    having = {name: len({g for t, g in zip(truth, groups, strict=True) if t == name}) for name in sorted(set(truth))}
    absent = {name: round((1 - count / subjects) ** subjects, 4) for name, count in having.items()}
    return {name: share for name, share in absent.items() if share > 0.01}


def mcnemar(truth: Sequence[str], first: Sequence[str], second: Sequence[str]) -> McNemar:
    """McNemar's exact test (binomial) over the clips on which just one of two systems is right.

    >>> mcnemar(["a"] * 10, ["a"] * 10, ["b"] * 10).p
    0.001953125
    """
    only_first = sum(a == t != b for t, a, b in zip(truth, first, second, strict=True))
    only_second = sum(b == t != a for t, a, b in zip(truth, first, second, strict=True))
    both = only_first + only_second
    p = float(stats.binomtest(only_first, both).pvalue) if both else 1.0
    return McNemar(only_first, only_second, p)


def paired_t(first: Sequence[float], second: Sequence[float]) -> PairedT | None:
    """Paired t-test over seeds, two-sided; None with fewer than two pairs, without p where all differences are equal.

    >>> paired_t([0.5], [0.4]) is None
    True
    """
    if len(first) < 2:
        return None
    found: Values = np.subtract(first, second)
    mean = float(found.mean())
    p = None if np.allclose(found, mean) else float(stats.ttest_rel(first, second).pvalue)
    return PairedT(len(first), mean, p)


def _tables(
    truth: Sequence[str], guesses: Sequence[Sequence[str]], groups: Sequence[str], classes: Sequence[str]
) -> Tables:
    return np.stack([confusions_by_group(truth, guess, groups, classes) for guess in guesses])


def _jackknife(first: Tables, second: Tables | None = None) -> dict[str, tuple[float, float, float]]:
    """Measure -> value (of a system, or of one less another), its standard error and the degrees of freedom of that.

    The error is infinite of one subject. The trainings of both systems are independent of each other, so each adds its
    own variance; degrees of freedom are those of Welch and Satterthwaite, since few trainings say little of it.
    """
    systems = [first] if second is None else [first, second]
    whole = [scores_of(tables.sum(1)) for tables in systems]
    subjects = first.shape[1]
    left_out = [_left_out(tables) for tables in systems] if subjects > 1 else []
    found = {}
    for name in whole[0]:
        value = float(whole[0][name].mean() - (whole[1][name].mean() if second is not None else 0.0))
        if not left_out:
            found[name] = (value, float("inf"), 1.0)
            continue
        without = left_out[0][name] - (left_out[1][name] if second is not None else 0.0)
        parts = [((subjects - 1) * float(without.var()), subjects - 1)]
        seeds = (one[name] for one in whole if len(one[name]) > 1)
        parts += [(float(scores.var(ddof=1)) / len(scores), len(scores) - 1) for scores in seeds]
        variance = sum(part for part, _ in parts)
        spread = sum(part**2 / freedom for part, freedom in parts)
        found[name] = (value, float(np.sqrt(variance)), variance**2 / spread if spread else float(subjects - 1))
    return found


def _left_out(tables: Tables) -> dict[str, Values]:
    """Measure -> (subjects,) mean score over trainings without each subject."""
    seeds, subjects, *square = tables.shape
    without = (tables.sum(1, keepdims=True) - tables).reshape(seeds * subjects, *square)
    return {name: values.reshape(seeds, subjects).mean(0) for name, values in scores_of(without).items()}


def _swapped(first: Values, second: Values) -> dict[str, float]:
    """Measure -> two-sided p of the difference, by swapping what both systems say of a subject.

    Both are given as (subjects, classes, classes) confusions, means over trainings.
    """
    subjects, classes = first.shape[:2]
    apart = (first - second).reshape(subjects, -1)
    if subjects <= _EXACT_SUBJECTS:  # the first subject stays: the other half are the same with the other sign
        numbers = np.arange(2 ** (subjects - 1))
        swap = (numbers[:, None] >> np.arange(subjects) & 1).astype(np.float64)[:, ::-1]
    else:
        swap = np.random.default_rng(0).integers(0, 2, (_SWAPS, subjects)).astype(np.float64)
        swap[0] = 0  # what was observed is one of the cases
    moved = (swap @ apart).reshape(-1, classes, classes)
    one, other = scores_of(first.sum(0) - moved), scores_of(second.sum(0) + moved)
    found = {}
    for name in one:
        values = np.abs(one[name] - other[name])
        found[name] = float((values >= values[0] - 1e-12).mean())
    return found
