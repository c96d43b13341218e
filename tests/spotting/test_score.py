import pytest

from mer_pipeline.spotting.score import SpotScore, iou, match, pooled, score

SCORES = [
    pytest.param([(10, 19)], [(10, 19)], SpotScore(1, 0, 0), id="exact"),
    pytest.param([], [(10, 19)], SpotScore(0, 0, 1), id="missed"),
    pytest.param([(10, 19)], [], SpotScore(0, 1, 0), id="false alarm"),
    pytest.param([], [], SpotScore(0, 0, 0), id="nothing"),
    pytest.param([(10, 14)], [(10, 19)], SpotScore(1, 0, 0), id="IoU exactly one half hits"),
    pytest.param([(10, 13)], [(10, 19)], SpotScore(0, 1, 1), id="IoU 0.4 is a false alarm and a miss"),
    pytest.param([(10, 19), (11, 19)], [(10, 19)], SpotScore(1, 1, 0), id="a double detection is a false alarm"),
    pytest.param([(0, 40)], [(0, 9), (30, 40)], SpotScore(0, 1, 2), id="one over two hits neither"),
    pytest.param([(0, 19)], [(0, 9), (10, 19)], SpotScore(1, 0, 1), id="half of each: one of them, once"),
    pytest.param([(0, 9), (1, 12)], [(1, 12), (0, 9)], SpotScore(2, 0, 0), id="each takes its best fit"),
    pytest.param([(0, 9), (50, 59)], [(50, 59), (90, 99)], SpotScore(1, 1, 1), id="one of each"),
]


@pytest.mark.parametrize(("predicted", "true", "expected"), SCORES)
def test_score(predicted, true, expected):
    assert score(predicted, true) == expected


def test_the_best_fit_is_matched_first_whatever_the_order():
    true = [(10, 19)]
    assert match([(12, 19), (10, 19)], true) == [(1, 0)]
    assert match([(10, 19), (12, 19)], true) == [(0, 0)]


def test_iou_counts_both_ends():
    assert iou((5, 5), (5, 5)) == 1
    assert iou((0, 4), (5, 9)) == 0


def test_counts_are_summed_over_videos_before_the_one_f1():
    videos = [
        ({"micro": [(0, 9)], "macro": []}, {"micro": [(0, 9)], "macro": [(50, 90)]}),
        ({"micro": [(0, 9), (20, 29), (40, 49)]}, {"micro": []}),
    ]
    scores = pooled(videos)
    assert scores == {"micro": SpotScore(1, 3, 0), "macro": SpotScore(0, 0, 1), "all": SpotScore(1, 3, 1)}
    assert scores["micro"].f1 == pytest.approx(2 / 5)  # the mean of both videos' own would be one half
    assert (scores["micro"].precision, scores["micro"].recall) == (0.25, 1.0)


def test_a_micro_expression_does_not_hit_a_macro_expression():
    scores = pooled([({"micro": [(0, 9)]}, {"macro": [(0, 9)]})])
    assert scores["all"] == SpotScore(0, 1, 1)


def test_no_prediction_and_no_truth_give_zero_and_no_error():
    assert SpotScore().as_json() == {"tp": 0, "fp": 0, "fn": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
