"""Agreement of two who marked the same films."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mer_pipeline.datasets.coders import Coding, Mark, write_codings
from mer_pipeline.errors import MerError
from mer_pipeline.spotting.agreement import Marked, agreement, coders_agree


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(5)
    films, labels = [], ([], [])
    for frames in (200, 90):
        sides = []
        for side in labels:
            starts = np.sort(rng.choice(frames - 12, 4, replace=False))
            marks = [Mark("micro" if at % 2 else "macro", int(s), int(s) + 9) for at, s in enumerate(starts)]
            here = np.zeros(frames, int)
            for mark in marks:
                here[mark.onset_frame : mark.offset_frame + 1] = 1
            side.append(here)
            sides.append(marks)
        films.append(Marked(*sides, frames, 30.0))
    found = agreement(films)
    assert found.kappa["any"] == pytest.approx(cohen_kappa_score(*(np.concatenate(side) for side in labels)))
    assert found.frames == 290


def test_errors_are_of_what_matches_in_ms():
    first = [Mark("micro", 10, 29, 15), Mark("macro", 100, 199), Mark("micro", 400, 410, 405)]
    second = [Mark("micro", 12, 29, 18), Mark("macro", 90, 199, 150), Mark("micro", 430, 440, 435)]
    found = agreement([Marked(first, second, 500, 100.0)])
    assert {kind: (s.hits, s.false_alarms, s.misses) for kind, s in found.scores.items()} == {
        "micro": (1, 1, 1), "macro": (1, 0, 0), "all": (2, 1, 1),
    }  # fmt: skip
    assert found.as_json()["errors"] == {
        "onset": {"intervals": 2, "mean_ms": -40.0, "absolute_ms": 60.0},
        "apex": {"intervals": 1, "mean_ms": 30.0, "absolute_ms": 30.0},
        "offset": {"intervals": 2, "mean_ms": 0.0, "absolute_ms": 0.0},
    }


def test_kappa_is_undefined_where_neither_marked_anything():
    assert agreement([Marked([], [], 100, 30.0)]).as_json() == {
        "frames": 100, "kappa": {"micro": None, "macro": None, "any": None}, "errors": {},
    }  # fmt: skip


def test_two_coders(tmp_path):
    marks = (Mark("micro", 10, 29, 15),)
    for name, shift in (("a", 0), ("b", 1)):
        moved = tuple(Mark(m.kind, m.onset_frame + shift, m.offset_frame, m.apex_frame) for m in marks)
        write_codings(tmp_path / f"{name}.eaf", [Coding(Path("film.mp4"), 60.0, moved, 600)])
    found, warnings = coders_agree(tmp_path / "a.eaf", tmp_path / "b.eaf")
    assert (found.scores["all"].f1, found.frames, warnings) == (1.0, 600, ())
    assert found.kappa["any"] == pytest.approx(0.9735, abs=1e-4)
    assert found.errors["onset"].mean_ms == pytest.approx(1000 / 60)
    write_codings(tmp_path / "c.csv", [Coding(Path(f"{n}.mp4"), 60.0, marks, 600) for n in "xy"])
    with pytest.raises(MerError, match="has no film of the other file"):
        coders_agree(tmp_path / "a.eaf", tmp_path / "c.csv")
