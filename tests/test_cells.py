"""Cells that say that there is nothing mean the same for frames, emotions and Action Units."""

import pytest

from mer_pipeline.cells import is_blank
from mer_pipeline.datasets.rows import frame_cell
from mer_pipeline.errors import suggest
from mer_pipeline.facs import parse_aus
from mer_pipeline.labels import canonical_emotion


@pytest.mark.parametrize("cell", ["", " ", "/", "-", "--", "-1", "nan", "NaN", "None", "null", "N/A", "na", "nil"])
def test_blank_everywhere(cell: str) -> None:
    assert is_blank(cell)
    assert (frame_cell(cell), canonical_emotion(cell), parse_aus(cell).terms) == (None, None, ())


def test_zero_is_a_frame_and_no_action_unit() -> None:
    assert not is_blank("0")
    assert (frame_cell("0"), parse_aus("0").terms) == (0, ())


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        pytest.param("epoch", ["seed", "epochs"], "did you mean epochs? Known: epochs, seed", id="near"),
        pytest.param("xyz", ["seed", "epochs"], "Known: epochs, seed", id="far"),
        pytest.param("x", (f"{n:03d}" for n in range(50)), "038, 039 and 10 more", id="many"),
    ],
)
def test_suggest(word: str, known: list[str], expected: str) -> None:
    assert suggest(word, known).endswith(expected)
