"""The check of the demo's last table, which `.ci/run` makes: right tables pass, wrong ones are named."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "check_demo.py"


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("check_demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def demo(tmp_path):
    """What `mer demo --json` prints, as far as it is checked."""
    report = tmp_path / "report.html"
    report.write_text("<!doctype html>")
    return {
        "rows": [{"clip": f"EP0{n}", "planted_apex": 20, "predicted_apex": 18 + n % 5} for n in range(8)],
        "class_counts": {"happiness": 10, "disgust": 10, "repression": 9, "surprise": 9, "others": 10},
        "training": {"uf1": 0.9, "controls": {"majority": {"uf1": 0.1}}},
        "report": str(report),
    }


def test_a_demo_that_found_what_was_planted(check, demo, tmp_path, capsys):
    (tmp_path / "demo.json").write_text(json.dumps(demo))
    assert check.main(str(tmp_path / "demo.json")) == 0
    assert capsys.readouterr().out == "the demo found what was planted\n"


def _spoil_apex(demo):
    demo["rows"][3]["predicted_apex"] = 23


def _spoil_rows(demo):
    demo["rows"].pop()


def _spoil_score(demo):
    demo["training"]["uf1"] = 0.2


def _spoil_control(demo):
    demo["training"]["controls"]["majority"]["uf1"] = 0.95


def _spoil_report(demo):
    Path(demo["report"]).unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(_spoil_apex, "EP03: apex 23, planted 20", id="apex three frames away"),
        pytest.param(_spoil_rows, "the last table has 7 rows, not 8", id="a row is missing"),
        pytest.param(_spoil_score, "UF1 0.200 is not above chance, 0.200", id="as good as guessing"),
        pytest.param(_spoil_control, "UF1 0.900 is not above chance, 0.950", id="below the commonest class"),
        pytest.param(_spoil_report, "no report at", id="no report"),
    ],
)
def test_a_demo_that_did_not(check, demo, spoil, said, tmp_path, capsys):
    spoil(demo)
    (tmp_path / "demo.json").write_text(json.dumps(demo))
    assert check.main(str(tmp_path / "demo.json")) == 1
    assert said in capsys.readouterr().err


def test_the_demo_has_as_many_clips_as_the_check_expects(check):
    from mer_pipeline.apps.demo import CLIPS

    assert check.ROWS == CLIPS
