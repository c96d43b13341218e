"""The table of frames: whose each row is, what it measures, and that it is whole or absent."""

import numpy as np
import pandas as pd
import pytest

from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.landmarks import POINTS, Landmarks
from mer_pipeline.faces.registration import CELLS
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.spotting.frame_table import FaceFrames, FrameTable
from mer_pipeline.spotting.patterns import REGION_NAMES
from mer_pipeline.spotting.result import Event
from mer_pipeline.spotting.tracking import Seen, Tracked

FPS = 30.0


def face(motion=(0.0, 0.0), segment=0, roll=0.0):
    """A face of 100 pixels with its middle at (200, 80), all of its skin moved by as much."""
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]]) / 100
    to_unit = np.column_stack([turn, 0.5 - turn @ (200, 80)])
    skin = np.tile(motion, (CELLS * CELLS, 1)).astype(float)
    return Tracked(segment, skin, np.ones(CELLS * CELLS), to_unit, Seen(0.3, 0.01, 33.0, 0.1, -0.2), 0.97)


@pytest.fixture(params=["csv", "parquet"])
def path(request, tmp_path):
    return tmp_path / f"frames.{request.param}"


def read(path):
    return pd.read_csv(path, keep_default_na=True) if path.suffix == ".csv" else pd.read_parquet(path)


def test_every_row_says_what_was_measured_of_whom(path):
    table = FrameTable(path)
    for frame in range(6):
        table.add(7, frame, frame / FPS, face())
        table.add(9, frame, frame / FPS, face())
    table.faces = [
        FaceFrames(
            7, 2, [Event("blink", 1, 2), Event("turn", 0, 5)], [(3, 4, "micro"), (2, 5, "macro")], {3: {12: 0.9}}
        )
    ]
    assert table.write(with_aus=True) == 6, "of the other face nothing is wanted"
    rows = read(path)
    assert list(rows)[:5] == ["frame", "face_id", "timestamp", "confidence", "success"]
    assert list(rows)[-21:] == [f"AU{number:02d}_p" for number in AU_NUMBERS]
    assert [f"motion_{name}_{axis}" for name in REGION_NAMES for axis in "xy"] == list(rows)[16:32]
    assert rows["frame"].tolist() == list(range(6))
    assert rows["face_id"].eq(2).all()
    assert rows["timestamp"].tolist() == pytest.approx([frame / FPS for frame in range(6)], abs=1e-4)
    assert rows["blink"].tolist() == [0, 1, 1, 0, 0, 0]
    assert rows["expression"].fillna("").tolist() == ["", "", "macro", "micro", "micro", "macro"]
    assert rows["AU12_p"].notna().tolist() == [False, False, False, True, False, False]
    first = rows.iloc[0]
    wanted = {"confidence": 0.97, "success": 1, "face_score": 33, "eye_opening": 0.3, "gaze": 0.01}
    wanted |= {"face_x": 200, "face_y": 80, "face_width": 100, "pose_Rx": 0.1, "pose_Ry": -0.2, "pose_Rz": 0}
    assert {name: first[name] for name in wanted} == pytest.approx(wanted, abs=1e-3)
    assert path.stat().st_mode & 0o777 == 0o600


def test_motion_is_from_rest_and_rest_follows_a_drift(tmp_path):
    """Five seconds of a slow drift, with a movement of a fifth of a second in the middle; then another stretch."""
    table = FrameTable(tmp_path / "f.csv")
    for frame in range(300):
        drift, jump = 0.01 * frame, 2.0 * (140 <= frame < 146)
        table.add(0, frame, frame / FPS, face((drift, jump), int(frame >= 200)))
    table.faces = [FaceFrames(0, None, [], [])]
    table.write()
    rows = read(tmp_path / "f.csv")
    up = rows["motion_chin_y"]
    assert up[140:146].round(3).eq(2.0).all()
    assert up.drop(range(140, 146)).abs().max() < 1e-3
    assert rows["motion_nose_x"][60:140].abs().max() < 0.1, "of 3 pixels of drift"


def test_a_face_that_is_not_seen_has_a_row_without_measurements(path):
    table = FrameTable(path)
    for frame in range(4):
        table.add(0, frame, frame / FPS, None if frame in (1, 2) else face(roll=0.2))
    table.faces = [FaceFrames(0, None, [], [])]
    table.write()
    rows = read(path)
    assert rows["success"].tolist() == [1, 0, 0, 1]
    assert rows["confidence"][1] == 0
    assert rows.loc[1, ["pose_Rz", "face_x", "motion_nose_x"]].isna().all()
    assert rows["pose_Rz"][0] == pytest.approx(0.2, abs=1e-3)
    assert rows["face_id"].eq(0).all()


def test_an_empty_table_has_its_columns(path):
    assert FrameTable(path).write() == 0
    assert "pose_Rx" in read(path)


def test_many_rows_are_in_the_order_in_which_they_came(tmp_path, monkeypatch):
    monkeypatch.setattr("mer_pipeline.spotting.frame_table._CHUNK", 7)
    table = FrameTable(tmp_path / "f.parquet")
    for frame in range(50):
        table.add(0, frame, frame / FPS, face())
    table.faces = [FaceFrames(0, None, [], [])]
    assert table.write() == 50
    assert read(tmp_path / "f.parquet")["frame"].tolist() == list(range(50))


def test_what_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(MerError, match=r"the name must end in \.csv or \.parquet"):
        FrameTable(tmp_path / "frames.txt")
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        FrameTable(tmp_path / "file" / "f.csv").write()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]


TURNS = [
    pytest.param(np.eye(3), (0.0, 0.0), id="straight"),
    pytest.param(np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]), (np.arctan2(0.6, 0.8), 0.0), id="down"),
    pytest.param(np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]]), (0.0, np.arcsin(0.6)), id="to the left"),
]


@pytest.mark.parametrize(("turn", "expected"), TURNS)
def test_a_turned_head(turn, expected):
    """x to the right, y down, z away: a head that looks down has its chin farther away."""
    points = np.random.default_rng(0).normal(size=(POINTS, 3))
    points[[33, 263, 10, 152]] = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)]
    points = points @ turn.T
    assert Landmarks(points[:, :2], depth=points[:, 2]).pitch_yaw == pytest.approx(expected)
    assert np.isnan(Landmarks(points[:, :2]).pitch_yaw).all()
