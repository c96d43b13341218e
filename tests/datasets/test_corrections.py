"""Corrections are applied only where the mistake still stands, and never in silence."""

from pathlib import Path

import pytest

from mer_pipeline.datasets import read_dataset
from mer_pipeline.datasets.corrections import load_corrections
from mer_pipeline.errors import MerError

from .raw import casme2, points

HEADER = "dataset,subject,clip,field,old,new,reason,source\n"
LINES = (
    "casme2,01,a,apex,/,5,seen in the frames,the coders",
    "casme2,01,b,emotion,Disgust,fear,a slip,the coders",
    "casme2,01,b,apex,7,6,a slip,the coders",
    "casme2,09,z,apex,7,6,a slip,the coders",
    "samm,006,006_1_2,apex,7,6,a slip,the coders",
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return casme2(tmp_path / "raw", ("01", "a", 2, "/", 9, "4", "disgust"), ("01", "b", 2, 5, 9, "4", "disgust"))


def table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "corrections.csv"
    path.write_text(HEADER + "\n".join(lines))
    return path


def test_applied_and_refused(raw: Path, tmp_path: Path) -> None:
    found = read_dataset(raw, corrections=table(tmp_path, *LINES))
    assert [points(clip) for clip in found.clips] == [(1, 4, 8), (1, 4, 8)]
    assert [clip.emotion for clip in found.clips] == ["disgust", "fear"]
    assert [(c.clip, c.field, c.applied, c.refusal) for c in found.corrections] == [
        ("casme2/01/a", "apex", True, ""),
        ("casme2/01/b", "emotion", True, ""),
        ("casme2/01/b", "apex", False, "the sheet says '5'"),
        ("casme2/09/z", "apex", False, "the sheet has no such clip"),
    ]
    assert found.problems == (), "what was corrected is no problem any more"


def test_opting_out(raw: Path) -> None:
    found = read_dataset(raw, corrections=False)
    assert (found.corrections, [p.value for p in found.problems]) == ((), ["/"])


def test_the_shipped_table_is_sound() -> None:
    assert load_corrections("casme2").outcomes == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dataset,subject\n", "no column clip, field, old, new, reason, source; expected dataset, subject"),
        (HEADER + "casme2,01,a,apex,/,5,,the coders", "row 2: a correction needs every cell but old and new"),
        (HEADER + "casme2,01,a,colour,/,5,x,y", "row 2: no field 'colour'; one of"),
        (HEADER + "casme2,01,a,apex,/,5,x,y\n" * 2, "row 3: casme2/01/a apex is corrected twice"),
        (HEADER + "casme2,01", "row 2: a correction needs every cell but old and new"),
    ],
)
def test_bad_tables(raw: Path, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text(content)
    with pytest.raises(MerError) as caught:
        read_dataset(raw, corrections=path)
    assert message in str(caught.value)


def test_no_table(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(MerError, match="cannot read the corrections"):
        read_dataset(raw, corrections=tmp_path / "nowhere.csv")
