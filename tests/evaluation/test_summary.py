"""What is said of a run follows from its predictions: sources of Action Units, and where the release would stop."""

import dataclasses

import pytest

from mer_pipeline.evaluation.summary import Training, cautions, early_stops, pooled, source_words
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.results import History
from tests.test_reading import METRICS

CLASSES = ("a", "b")


def training(seed: int, **wrong: int) -> Training:
    """24 clips of 8 subjects; the first so many answers by a source are wrong. Action Units alone are right."""
    rows, truth = [], {}
    for source, count in wrong.items():
        for at in range(24):
            label = CLASSES[at % 2]
            answer = CLASSES[(at + (at < count)) % 2]
            truth[f"d/{at % 8}/{at}"] = label
            for selection in ("last", "oracle"):
                rows.append(Prediction(f"d/{at % 8}/{at}", f"d/{at % 8}", selection, source, label, answer, [0.5, 0.5]))
    return Training(seed, "r", rows, {"aus-only": truth})


@pytest.mark.parametrize(
    ("answers", "said", "control"),
    [
        (
            {"predicted": 6, "annotated": 0, "none": 12},
            "answers that are not those with predicted ones: annotated 25%, none 25%",
            "the image is not shown to add to annotated Action Units (",
        ),
        (
            {"predicted": 6, "annotated": 0, "none": 6},
            "answers that are not those with predicted ones: annotated 25%, none 0%; the estimate changes none",
            "the image is not shown to add to annotated Action Units (",
        ),
        (
            {"predicted": 6, "annotated": 6, "none": 6},
            "no answer changes with the source, so that these are one score several times",
            "no answer of the network changes with annotated Action Units, which says nothing of the image (",
        ),
    ],
    ids=["heard", "annotations alone are heard", "not heard"],
)
def test_what_is_said_of_annotated_action_units_is_earned(answers, said, control):
    found = pooled([training(0, **answers), training(1, **answers)], CLASSES, aus="predicted", select="last", merged={})
    assert found.controls[0].verdict.startswith(control)
    metrics = dataclasses.replace(METRICS, aus="predicted", changed_by_aus=found.changed_by_aus)
    assert source_words(metrics) == said
    assert source_words(METRICS) == ""


def test_an_optimistic_score_that_is_the_lower_one_is_explained():
    lower = dataclasses.replace(METRICS.scores, uf1=METRICS.scores.uf1 - 0.1)
    (said,) = (
        line for line in cautions(dataclasses.replace(METRICS, optimistic=(lower, "note"))) if "optimistic" in line
    )
    assert said.startswith("the optimistic score is the lower one here")
    assert not any("optimistic" in line for line in cautions(METRICS))


def test_where_the_release_would_have_stopped():
    def fold(accuracy, angles):
        return History([1.0] * len(accuracy), accuracy, accuracy, [[angle] for angle in angles])

    stops = early_stops([fold([0.5, 1.0, 0.8], [10, 20, 80]), fold([0.2, 0.3, 1.0], [1, 2, 40]), fold([0, 0], [5, 60])])
    assert (stops.folds, stops.of) == (1, 3)
    assert stops.theta_deg == pytest.approx((40,), abs=1)
    assert stops.words == (
        f"1 of 3 folds reached 100 % of their test clips, where the papers' release stops; learned angles there: "
        f"{stops.theta_deg[0]:.1f} deg"
    )
    assert early_stops([fold([1.0], [5])]).folds == 0
