"""What is said of a difference is right as often as it claims, and follows from all trainings."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from mer_pipeline.evaluation.calibration import conformal
from mer_pipeline.evaluation.statistics import (
    differences,
    figures,
    holm,
    intervals,
    mcnemar,
    mean_interval,
    paired_t,
    rare_classes,
    verdict,
)
from mer_pipeline.runs.results import Difference
from studies.coverage import null_pair

CLASSES = ("negative", "positive", "surprise")


def false_rate(subjects, draws):
    """How often one of two equally good systems is called the better."""
    random = np.random.default_rng(subjects)
    found = [differences(*null_pair(random, subjects), CLASSES)["uf1"].clear for _ in range(draws)]
    return np.mean(found)


def test_two_equal_systems_are_seldom_called_different():
    assert false_rate(10, 300) < 0.09


@pytest.mark.slow
@pytest.mark.parametrize("subjects", [6, 10, 16, 26, 68])
def test_two_equal_systems_are_seldom_called_different_on_any_number_of_subjects(subjects):
    assert false_rate(subjects, 3000) < 0.065


def test_the_interval_is_the_jackknife_over_subjects():
    random = np.random.default_rng(0)
    truth, (guess,), _, groups = null_pair(random, 12)
    low, high = intervals(truth, [guess], groups, CLASSES)["uf1"]
    names = sorted(set(groups))
    parts = [
        f1_score([t for t, g in zip(truth, groups, strict=True) if g != name],
                 [p for p, g in zip(guess, groups, strict=True) if g != name], average="macro")
        for name in names
    ]  # fmt: skip
    error = np.sqrt((len(names) - 1) * np.var(parts))
    half = stats.t.ppf(0.975, len(names) - 1) * error
    value = f1_score(truth, guess, average="macro")
    assert (low, high) == (pytest.approx(value - half, abs=1e-4), pytest.approx(value + half, abs=1e-4))


def test_the_interval_is_over_subjects_not_clips():
    """Thirty clips that stand or fall together are one piece of evidence."""
    truth = ["a", "b"] * 30
    guess = truth[:30] + ["b", "a"] * 15
    alike = intervals(truth, [guess], ["s1"] * 30 + ["s2"] * 30, ["a", "b"])["accuracy"]
    many = intervals(truth, [guess], [f"s{i // 2}" for i in range(60)], ["a", "b"])["accuracy"]
    assert alike == (0.0, 1.0)
    assert 0.2 < many[0] < 0.5 < many[1] < 0.8
    assert intervals(truth, [truth], ["s1"] * 60, ["a", "b"])["accuracy"] == (0.0, 1.0)  # one subject says nothing


def test_the_spread_over_seeds_widens_the_interval():
    """Two trainings that disagree are less sure than one, though subjects alone show no more spread."""
    random = np.random.default_rng(1)
    truth, (good,), (other,), groups = null_pair(random, 20)
    bad = ["negative"] * len(truth)
    alone = differences(truth, [good, good], [other], groups, CLASSES)["uf1"]
    apart = differences(truth, [good, bad], [other], groups, CLASSES)["uf1"]
    assert apart.high - apart.low > 2 * (alone.high - alone.low)


def test_the_comparison_is_paired():
    """Two systems that fail on the same subjects differ surely, however much the subjects scatter."""
    random = np.random.default_rng(0)
    groups = [f"s{i // 10}" for i in range(200)]
    truth = ["a", "b"] * 100
    hard = np.repeat(random.random(20) < 0.5, 10)
    other = ["a" if h and t == "b" else t for h, t in zip(hard, truth, strict=True)]
    worse = ["b" if i % 10 == 0 else g for i, g in enumerate(other)]
    found = differences(truth, [other], [worse], groups, ["a", "b"])["accuracy"]
    assert (found.value, found.low, found.high) == (pytest.approx(0.1),) * 3
    assert found.p == pytest.approx(1e-4)  # 10,000 swaps, none as large
    assert found.clear


def test_the_swaps_are_all_counted_up_to_sixteen_subjects():
    truth, groups = ["a", "b"] * 6, [f"s{i // 2}" for i in range(12)]
    found = differences(truth, [truth], [["a"] * 12], groups, ["a", "b"])["accuracy"]
    assert (found.value, found.p) == (0.5, 2 / 2**6)


def test_holm_is_the_correction_of_the_textbook():
    table = {name: Difference(0.1, 0.01, 0.2, p, p) for name, p in zip("abcd", (0.01, 0.04, 0.03, 0.005), strict=True)}
    assert {name: round(one.p_holm, 6) for name, one in holm(table).items()} == {
        "a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02
    }  # fmt: skip


SHOWN = Difference(0.1, 0.02, 0.18, 0.01, 0.01, 0.01, 20, 0.1)
WORDS = [
    pytest.param({}, "x has the higher UF1 than y: +0.100", id="shown"),
    pytest.param({"value": -0.1, "low": -0.2, "high": -0.05}, "y has the higher UF1 than x", id="the other way"),
    pytest.param({"low": -0.01}, "no difference in UF1 is shown between x and y", id="zero inside"),
    pytest.param({"p_holm": 0.2}, "no difference in UF1 is shown between x and y", id="one row of many"),
    pytest.param({"subjects": 5}, "5 test subjects are too few (6 at least) to compare x with y", id="too few"),
    pytest.param({"value": 0.0, "low": -0.03, "high": 0.04}, "x and y have the same UF1 within 0.05", id="equal"),
]


@pytest.mark.parametrize(("changes", "words"), WORDS)
def test_words_follow_from_interval_tests_and_subjects(changes, words):
    assert verdict(dataclasses.replace(SHOWN, **changes), "x", "y").startswith(words)


def test_the_corrected_p_stands_beside_the_other():
    assert figures(dataclasses.replace(SHOWN, p_holm=0.09)).endswith("p = 0.01 (0.09 after Holm)")
    assert figures(Difference(0.1, 0.0, 0.2)).endswith("0.000 to 0.200")  # of an older version


def test_a_smaller_difference_than_is_detectable_is_missed_more_often_than_not():
    random = np.random.default_rng(2)
    found = differences(*null_pair(random, 26), CLASSES)["uf1"]
    assert 0.08 < found.detectable < 0.3
    assert found.detectable > found.high - found.value


def test_classes_that_few_subjects_show():
    truth = ["a"] * 10 + ["b"]
    assert rare_classes(truth, [f"s{i}" for i in range(10)] + ["s0"]) == {"b": pytest.approx(0.9**10, abs=1e-4)}


def test_sets_hold_the_truth_of_new_subjects():
    """The promise is kept for subjects that no threshold has seen, however unequal their clips."""
    random = np.random.default_rng(3)
    subjects = np.repeat([f"s{at:02d}" for at in range(60)], random.integers(1, 30, 60))
    logits = random.normal(0, 1.5, (len(subjects), 3)) + np.repeat(
        random.normal(0, 0.5, (60, 3)), np.unique(subjects, return_counts=True)[1], axis=0
    )
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([random.choice(3, p=row) for row in probabilities])
    found = conformal(probabilities, truth, subjects)
    assert found.covered == pytest.approx(0.9, abs=0.03)
    assert 0 < found.least_probability < 0.5
    assert 0 < found.single < 1
    few = np.isin(subjects, [f"s{at:02d}" for at in range(8)])
    assert conformal(probabilities[few], truth[few], subjects[few]) is None


def test_the_interval_of_a_mean_is_students_where_subjects_have_one_clip_each():
    values = np.random.default_rng(4).normal(0, 1, 12)
    low, high = mean_interval(values, np.array([f"s{at:02d}" for at in range(12)]))
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert (low, high) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    assert mean_interval(values, np.array(["s"] * 12)) is None


def test_mcnemar_is_the_binomial_of_the_clips_on_which_they_differ():
    truth = ["a"] * 12
    found = mcnemar(truth, ["a"] * 9 + ["b"] * 3, ["b"] * 8 + ["a"] * 4)
    assert (found.only_first, found.only_second) == (8, 3)
    assert found.p == pytest.approx(stats.binomtest(8, 11).pvalue)
    assert mcnemar(truth, truth, truth).p == 1.0


def test_paired_t_over_seeds():
    first, second = [0.7, 0.72, 0.69], [0.65, 0.70, 0.66]
    assert paired_t(first, second).p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert paired_t([0.6, 0.6], [0.5, 0.5]).p is None  # without any spread there is no test
