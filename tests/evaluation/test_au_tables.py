"""Another tool's tables of Action Units: read, refused in one line, and a control beside a score."""

import numpy as np
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.au_tables import read_au_tables
from mer_pipeline.evaluation.controls import AU_TABLES, controls
from mer_pipeline.evaluation.protocols import folds_of
from mer_pipeline.training import load_clips
from tests.training.conftest import flow_clips

IDS = ["casme2/01/EP02_01f", "casme2/02/EP03_02", "casme2/03/EP02_01f"]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_tables_of_both_tools_are_read(tmp_path):
    write(tmp_path / "01" / "EP02_01f.csv", "frame, confidence, AU01_r, AU12_r, AU12_c\n1,0.9,1.0,0,0\n2,0.9,3.5,0,1\n")
    write(tmp_path / "EP03_02.csv", "frame,AU01,AU12,AU14\n0,0.1,0.2,1\n1,,0.8,1\n2,0.5,0.2,1\n")
    found = read_au_tables(tmp_path, IDS)
    assert {row: values.tolist() for row, values in found.items()} == {
        0: [2.5, 2.25, 0, 0],
        1: pytest.approx([0.4, 0.3, 0.6, 0.4]),
    }


def test_frames_that_failed_and_other_faces_are_left_out(tmp_path):
    rows = "0,0,0,0\n1,0,1,1.0\n1,1,1,5.0\n2,0,1,3.0\n2,1,1,0.0\n"
    write(tmp_path / "EP03_02.csv", f"frame,face_id,success,AU01_r\n{rows}")
    assert read_au_tables(tmp_path, IDS)[1].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"other.csv": "AU01_r\n1\n"}, "no table of any clip; name them like EP02_01f.csv"),
        ({"EP02_01f.csv": "AU01_r\n1\n"}, "several clips have this name; put tables into folders by subject"),
        ({"EP03_02.csv": "frame,AU12_c\n1,1\n"}, "no column of an Action Unit with numbers"),
        ({"EP03_02.csv": "AU12_r\nnone\n"}, "no column of an Action Unit with numbers"),
        ({"EP03_02.csv": ""}, "not a table"),
        ({"EP03_02.csv": "frame,AU01\n1,2,3,4\n1,2,3,4\n"}, "not a table"),
        ({"EP03_02.csv": "AU01\n1\n", "01/EP02_01f.csv": "AU02\n1\n"}, "the tables have no Action Unit in common"),
    ],
    ids=["nothing", "two clips", "no unit", "no number", "empty", "rows too long", "nothing in common"],
)
def test_what_is_wrong_is_said(tmp_path, tables, message):
    for name, text in tables.items():
        write(tmp_path / name, text)
    with pytest.raises(MerError, match=message):
        read_au_tables(tmp_path, IDS)


def test_a_control_learns_from_them_and_predicts_the_clips_that_have_one():
    clips = flow_clips(subjects=3, datasets=("casme2",))
    rows = range(0, len(clips.clip_ids), 2)
    noise = np.random.default_rng(0).normal(0, 0.1, (len(clips.clip_ids), 3)).astype(np.float32)
    tables = {row: noise[row] + np.eye(3, dtype=np.float32)[int(clips.labels[row])] for row in rows}
    found = controls(clips, folds_of("loso", clips.clip_ids, clips.groups), aus=False, tables=tables)[AU_TABLES]
    assert found == {row: int(clips.labels[row]) for row in rows}


def test_it_stands_beside_the_score(mer, cache, tmp_path):
    tables = tmp_path / "tables"
    for at, clip_id in enumerate(load_clips(cache).clip_ids):
        write(tables / f"{clip_id.partition('/')[2]}.csv", f"AU01_r,AU12_r\n0,0\n{at % 3},{at % 5}\n")
    given = ["train", "--dataset", cache, "--model", "facesleuth-tiny", "--epochs", 1, "--seeds", 1, "--jobs", 1, "-q"]
    out = "--out", tmp_path / "run"
    assert "au-tables" not in mer(*given, *out).out
    called = mer(*given, *out, "--au-tables", tables)  # of a run that is finished, too
    assert called.code == 0
    assert "control au-tables: UF1" in called.out
    assert "15 of 15 clips have a table" in " ".join(called.err.split())
    called = mer(*given, "--out", tmp_path / "other", "--au-tables", tmp_path)
    assert (called.code, not (tmp_path / "other" / "folds").exists()) == (1, True)
    assert "no table of any clip" in called.error_lines[-1]
    called = mer(*given, "--au-tables", tmp_path / "absent", "--dry-run")
    assert (called.code, "no such folder" in called.error_lines[-1]) == (1, True)
