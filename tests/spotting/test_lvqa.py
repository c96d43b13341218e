"""Answers to questions about long videos, and the control that does not look."""

import pytest

from mer_pipeline.datasets.coders import Mark
from mer_pipeline.errors import MerError
from mer_pipeline.spotting.lvqa import Answers, answers_from, priors, score


def test_answers_follow_from_the_marks():
    marks = [Mark("macro", 50, 90, aus="6+12"), Mark("micro", 3, 9, aus="4+L12+61"), Mark("blink", 1, 2),
             Mark("micro", 20, 25, aus="smile?!")]  # fmt: skip
    assert answers_from(marks).as_json() == {
        "expressions": 3, "micro": 2, "macro": 1, "aus": [4, 6, 12], "kinds": ["micro", "micro", "macro"],
    }  # fmt: skip


def test_scores():
    truth = [Answers(("micro", "macro"), frozenset({4, 12})), Answers(("micro",), frozenset())]
    said = [Answers(("micro",), frozenset({12})), Answers(("macro", "macro"), frozenset())]
    assert score(said, truth) == {
        "counts": {
            "expressions": {"mae": 1.0, "rmse": 1.0},
            "micro": {"mae": 0.5, "rmse": 0.7071},
            "macro": {"mae": 1.5, "rmse": 1.5811},
        },
        # 2/3 and 1/2 of the first video; of the second both are empty, which agrees.
        "aus": {"f1": 0.8333, "jaccard": 0.75},
        # micro: one of two, precision 1; macro: the one was not answered, and one was said in vain.
        "kinds": {"uf1": 0.3333, "uar": 0.25},
    }
    assert score(truth, truth)["kinds"] == {"uf1": 1.0, "uar": 1.0}


def test_the_control_knows_the_videos_of_others_alone():
    truth = [Answers(("micro",) * 3, frozenset({4})), Answers(("macro",), frozenset({12, 4})),
             Answers(("macro", "micro", "macro"), frozenset({12}))]  # fmt: skip
    usual = priors(truth, ["anna", "anna", "ben"])
    assert usual[0] == usual[1] == Answers(("macro", "macro", "micro"), frozenset({12}))
    assert usual[2] == Answers(("micro", "micro"), frozenset({4})), "median of 3 and 0 micro, of 0 and 1 macro"
    assert priors(truth[:2], ["anna", "anna"])[0] == Answers(("macro",), frozenset({4, 12})), "one person: other videos"
    with pytest.raises(MerError, match="one video has no others"):
        priors(truth[:1], ["anna"])
