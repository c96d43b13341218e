"""`mer inspect`: right and wrong calls, with their exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mer_pipeline.cli import app
from mer_pipeline.errors import MerError
from tests.datasets.raw import casme2

GOOD = ("01", "a", 2, 5, 9, "L12 or L14", "happiness")
BAD = ("02", "b", 2, 15, 9, "4+39", "disgust")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return casme2(tmp_path, GOOD, BAD)


def test_text(raw: Path) -> None:
    result = CliRunner().invoke(app, ["inspect", str(raw)])
    assert result.exit_code == 0
    for line in (
        "casme2 (recognised by the sheet CASME2-coding-20190701.xlsx)",
        "2 clips of 2 subjects, 2 of them usable",
        "frames a second (clips at each): 200 2",
        "emotions: happiness 1, disgust 1",
        "Action Units (clips with each): 4 1, 12 1, 39 1",
        "outside the 21 of the vector: 39 1",
        "flagged: alternative 1",
        "1 problem\nCASME2-coding-20190701.xlsx, Sheet1:\n",
        "  row 3, casme2/02/b: apex '15': after the offset 9; it will be spotted\n",
    ):
        assert line in result.stdout
    (warning,) = result.stderr.splitlines()
    assert warning.endswith("of 20 counts in this table are not the published ones: is the set whole?")


def test_the_problems_as_a_table(raw: Path, tmp_path: Path) -> None:
    file = tmp_path / "problems.csv"
    assert CliRunner().invoke(app, ["inspect", str(raw), "--csv", str(file)]).exit_code == 0
    header, row = file.read_text().splitlines()
    assert header == "sheet,row,clip,field,value,reason"
    assert row == '"CASME2-coding-20190701.xlsx, Sheet1",3,casme2/02/b,apex,15,after the offset 9; it will be spotted'


def test_json(raw: Path) -> None:
    result = CliRunner().invoke(app, ["inspect", str(raw), "--json"])
    found = json.loads(result.stdout)
    assert (found["dataset"], found["clips"], found["usable"], found["subjects"]) == ("casme2", 2, 2, 2)
    assert found["emotions"] == {"happiness": 1, "disgust": 1}
    assert found["aus"] == {"4": 1, "12": 1, "39": 1}
    assert found["aus_outside"] == {"39": 1}
    (problem,) = found["problems"]
    assert problem == {
        "clip": "casme2/02/b",
        "field": "apex",
        "value": "15",
        "reason": "after the offset 9; it will be spotted",
        "sheet": "CASME2-coding-20190701.xlsx, Sheet1",
        "row": 3,
    }
    whole = {"protocol": "whole sheet", "dataset": "casme2", "name": "clips", "here": 2, "published": 255}
    assert whole in found["published"]
    assert found["corrections"] == []


def test_strict(raw: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["inspect", str(raw), "--strict", "--json"]).exit_code == 1
    other = casme2(tmp_path / "other", GOOD)
    assert CliRunner().invoke(app, ["inspect", str(other), "--strict"]).exit_code == 0, "warnings are no problems"


def test_corrections_are_shown(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mer_pipeline.datasets import registry
    from mer_pipeline.datasets.corrections import load_corrections

    table = raw / "table.csv"
    lines = ["dataset,subject,clip,field,old,new,reason,source", "casme2,02,b,apex,15,6,seen,coders"]
    table.write_text("\n".join([*lines, "casme2,01,a,apex,15,6,seen,coders"]))
    monkeypatch.setattr(registry, "load_corrections", lambda name, path: load_corrections(name, table))
    shown = json.loads(CliRunner().invoke(app, ["inspect", str(raw), "--json"]).stdout)
    assert [c["applied"] for c in shown["corrections"]] == [False, True]
    assert shown["problems"] == []
    assert "refused" in CliRunner().invoke(app, ["inspect", str(raw)]).stdout
    raw_values = json.loads(CliRunner().invoke(app, ["inspect", str(raw), "--json", "--no-corrections"]).stdout)
    assert (raw_values["corrections"], len(raw_values["problems"])) == ([], 1)


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 2), (["x", "--colour"], 2), (["nowhere"], 1)], ids=["none", "option", "absent"]
)
def test_wrong_calls(arguments: list[str], code: int) -> None:
    result = CliRunner().invoke(app, ["inspect", *arguments])
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit | MerError)
