import math
import re

import pytest

from mer_pipeline.figures.charts import curve, half_circle, rank_scores, reliability
from mer_pipeline.figures.ranges import RangeChart, RangeMark, RangeRow
from mer_pipeline.figures.svg import element, ticks
from mer_pipeline.runs.card import Prediction


def prediction(truth: str, predicted: str, confidence: float) -> Prediction:
    return Prediction("d/s/c", "d/s", "last", "none", truth, predicted, [confidence, 1 - confidence])


def numbers(svg: str) -> list[float]:
    return [float(n) for n in re.findall(r"[ML](-?[\d.]+)", svg)]


def test_a_training_that_diverged_is_drawn_as_far_as_it_went():
    svg = curve([[3.0, 2.0, math.nan], [3.0, math.inf, math.nan]], "loss", "control", share=False)
    assert "nan" not in svg
    assert "inf" not in svg
    assert "nan" not in curve([[math.nan]], "loss", "control", share=False)


def test_an_angle_that_passes_180_degrees_is_not_drawn_across_the_circle():
    crossing = half_circle([("fold", [175.0, 179.0, 1.0, 4.0])], 2.0, "angle")
    trace = re.search(r'd="([^"]+)" class="trace"', crossing).group(1)
    assert trace.count("M") == 2
    straight = half_circle([("fold", [45.0, 60.0, 80.0])], None, "angle")
    assert re.search(r'd="([^"]+)" class="trace"', straight).group(1).count("M") == 1
    assert 'class="mean"' not in straight


def test_an_angle_of_90_degrees_points_down():
    svg = half_circle([("fold", [90.0])], 90.0, "angle")
    x1, y1, x2, y2 = map(
        float, re.search(r'x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)" class="mean"', svg).groups()
    )
    assert x1 == x2
    assert y2 > y1


def test_reliability_counts_every_clip():
    clips = [prediction("a", "a", 0.95)] * 3 + [prediction("b", "a", 0.95)] + [prediction("a", "a", 1.0)]
    svg = reliability(clips)
    assert svg.count('class="bar"') == 1
    assert "80% of 5 clips right" in svg


def test_what_is_written_into_a_drawing_is_escaped():
    assert "<b>" not in element("text", "<b>", title='"><b>')
    assert "<script" not in half_circle([("<script>", [1.0, 2.0])], 1.0, "<script>")


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1e-9), (-3, 5e6), (0.2, 0.9)])
def test_ticks_lie_inside(low, high):
    found = ticks(low, high)
    assert len(found) <= 12
    assert all(low - 1e-6 <= value <= high + 1e-6 for value in found)


def test_places_stay_on_the_axis():
    chart = RangeChart([RangeRow("a", "", [RangeMark(2.0, "honest")])])
    assert (chart.at(2.0), chart.at(-1.0), chart.at(0.25)) == (100.0, 0.0, 25.0)


def test_scores_that_are_all_alike_are_drawn():
    assert "nan" not in rank_scores([0.5] * 8, "scores")
