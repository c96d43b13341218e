"""What may be concluded from two sets of predictions of the same clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from mer_pipeline.evaluation.metrics import confusions_by_group, scores_of, subject_draws
from mer_pipeline.runs.results import Difference


@dataclass(frozen=True)
class McNemar:
    """McNemar's test: clips that only one of two systems has right, and the p-value."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class PairedT:
    """A paired t-test over seeds: number of pairs, mean difference, p-value."""

    pairs: int
    mean: float
    p: float


def paired_bootstrap(
    truth: Sequence[str],
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str]],
    groups: Sequence[str],
    classes: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Difference]:
    """Accuracy, UF1 and UAR of `first` less those of `second`, with intervals by drawing the same subjects for both.

    Args:
        truth: Class of every clip.
        first: What a system says of every clip, once for each of its seeds; scores are means over seeds.
        second: The same of the other system.
        groups: Whose clip it is.
        classes: Names.
        resamples: How often subjects are drawn.
        seed: Of the draw.

    >>> paired_bootstrap(["a", "b"], [["a", "b"]], [["a", "a"]], ["s", "t"], ["a", "b"])["accuracy"].value
    0.5
    """
    tables = [[confusions_by_group(truth, guess, groups, classes) for guess in seeds] for seeds in (first, second)]
    draws = subject_draws(len(set(groups)), resamples, seed)

    def mean_over_seeds(draw: npt.NDArray[np.int64]) -> list[dict[str, npt.NDArray[np.float64]]]:
        found = [[scores_of(np.stack([table[rows].sum(0) for rows in draw])) for table in seeds] for seeds in tables]
        return [{name: np.mean([one[name] for one in seeds], axis=0) for name in seeds[0]} for seeds in found]

    whole, drawn = mean_over_seeds(np.arange(len(set(groups)))[None]), mean_over_seeds(draws)
    differences = {}
    for name in whole[0]:
        low, high = np.quantile(drawn[0][name] - drawn[1][name], [0.025, 0.975])
        differences[name] = Difference(float((whole[0][name] - whole[1][name])[0]), float(low), float(high))
    return differences


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
    """Paired t-test over seeds, two-sided; None with fewer than two pairs.

    >>> paired_t([0.5], [0.4]) is None
    True
    """
    if len(first) < 2:
        return None
    differences: npt.NDArray[np.float64] = np.subtract(first, second)
    mean = float(differences.mean())
    if np.allclose(differences, mean):
        # Without any spread the statistic is not defined: no doubt left, or no difference at all.
        return PairedT(len(first), mean, 1.0 if math.isclose(mean, 0, abs_tol=1e-12) else 0.0)
    return PairedT(len(first), mean, float(stats.ttest_rel(first, second).pvalue))


def verdict(difference: Difference, better: str, worse: str, score: str = "UF1") -> str:
    """What a difference allows to be said, in words.

    >>> verdict(Difference(0.05, -0.01, 0.11), "a", "b")
    'no difference in UF1 is shown between a and b: 95 % interval over subjects -0.010 to 0.110'
    """
    if not difference.clear:
        said = f"no difference in {score} is shown between {better} and {worse}"
    else:
        above, below = (better, worse) if difference.value > 0 else (worse, better)
        said = f"{above} has the higher {score} than {below}"
    return f"{said}: 95 % interval over subjects {difference.low:.3f} to {difference.high:.3f}"
