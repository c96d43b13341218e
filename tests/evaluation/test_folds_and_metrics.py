import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.metrics import scores, scores_of
from mer_pipeline.evaluation.protocols import Fold, LeaveOneSubjectOut


def test_every_subject_is_held_out_once_and_never_trained_on():
    groups = ["casme2/01", "samm/01", "casme2/02", "casme2/01"]
    folds = LeaveOneSubjectOut().folds(groups, groups)
    assert [fold.held_out for fold in folds] == ["casme2/01", "casme2/02", "samm/01"]
    assert sorted(row for fold in folds for row in fold.test) == [0, 1, 2, 3]
    for fold in folds:
        assert {groups[row] for row in fold.test}.isdisjoint(groups[row] for row in fold.train)


def test_one_subject_is_not_enough():
    with pytest.raises(MerError, match="at least two subjects"):
        LeaveOneSubjectOut().folds(["a/1/x", "a/1/y"], ["a/1", "a/1"])


def test_a_fold_with_a_leak_cannot_be_built():
    with pytest.raises(ValueError, match="disjoint"):
        Fold("a/1", train=(0, 1), test=(1, 2))


def test_known_scores():
    truth = ["a", "a", "a", "a", "b", "b"]
    predicted = ["a", "a", "a", "b", "b", "a"]
    found = scores(truth, predicted, ["a", "b"]).as_json()
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["uar"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found["uf1"] == pytest.approx((2 * 3 / (2 * 3 + 1 + 1) + 2 * 1 / (2 * 1 + 1 + 1)) / 2)
    assert found["confusion"] == [[3, 1], [1, 1]]


def test_scores_agree_with_scikit_learn_where_all_classes_occur():
    rng = np.random.default_rng(0)
    truth, predicted = rng.choice(list("abcd"), (2, 200)).tolist()
    found = scores(truth, predicted, list("abcd")).as_json()
    assert found["uf1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found["uar"] == pytest.approx(balanced_accuracy_score(truth, predicted))


def test_a_class_that_nobody_shows_is_left_out_of_the_averages():
    found = scores(["a", "b"], ["a", "c"], ["a", "b", "c"]).as_json()
    assert set(found["per_class"]) == {"a", "b"}
    assert found["uar"] == pytest.approx(0.5)


def test_the_bootstrap_scores_as_scikit_learn_does():
    rng = np.random.default_rng(1)
    for size in (5, 40):  # with five clips some of the classes are absent
        truth, predicted = rng.choice(list("abcd"), (2, size)).tolist()
        table = np.zeros((1, 4, 4))
        for true, guess in zip(truth, predicted, strict=True):
            table[0, "abcd".index(true), "abcd".index(guess)] += 1
        expected = scores(truth, predicted, list("abcd")).as_json()
        for name, value in scores_of(table).items():
            assert value[0] == pytest.approx(expected[name])
