"""What lies on disk."""

import filecmp
import stat
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import openpyxl
import pandas as pd
import pytest

from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.synth.layouts import casme2

from .conftest import CLIPS, SUBJECTS

TRUTH_COLUMNS = {
    "clip_id", "dataset", "subject", "clip", "emotion", "aus", "onset_number", "apex_number", "offset_number",
    "onset_frame", "apex_frame", "offset_frame", "first_number", "n_frames", "fps", "amplitude_px", "drift_px",
    "drift_deg", "drift_scale", "blink_frame", "seed",
}  # fmt: skip


def truth_of(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "truth.parquet")


def test_sheet_has_the_published_columns_and_one_row_a_clip(dataset: Path) -> None:
    book = openpyxl.load_workbook(dataset / "CASME2-coding-20190701.xlsx")
    assert book.sheetnames == ["Sheet1"]
    header, *rows = book["Sheet1"].iter_rows(values_only=True)
    assert header == (
        "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None,
        "Action Units", "Estimated Emotion", "Objective Classes",
    )  # fmt: skip
    assert len(rows) == SUBJECTS * CLIPS
    truth = truth_of(dataset)
    for row, planted in zip(rows, truth.itertuples(), strict=True):
        assert row[:2] == (planted.subject, planted.clip)
        assert row[3:6] == (planted.onset_number, planted.apex_number, planted.offset_number)
        assert row[7:9] == (planted.aus, planted.emotion)
        assert row[9] in range(1, 8)
    assert rows[0][0] == "01"


def test_every_clip_has_its_frames_under_the_numbers_of_the_sheet(dataset: Path) -> None:
    truth = truth_of(dataset)
    for row in truth.itertuples():
        folder = dataset / "CASME2-RAW" / f"sub{row.subject}" / row.clip
        numbers = range(row.first_number, row.first_number + row.n_frames)
        assert {path.name for path in folder.iterdir()} == {f"img{number}.jpg" for number in numbers}
        assert row.onset_number == row.first_number + row.onset_frame
        assert row.apex_number == row.first_number + row.apex_frame
        assert row.offset_number == row.first_number + row.offset_frame
        assert 0 < row.onset_frame < row.apex_frame < row.offset_frame < row.n_frames - 1
    assert {1} < set(truth["first_number"]), "most clips start at 1, some elsewhere"
    first = dataset / "CASME2-RAW/sub01/EP02_01f/img1.jpg"
    assert cv2.imread(str(first)).shape == (480, 640, 3)


def test_truth_has_one_row_a_clip(dataset: Path) -> None:
    truth = truth_of(dataset)
    assert set(truth.columns) >= TRUTH_COLUMNS
    assert len(truth) == SUBJECTS * CLIPS
    assert truth["clip_id"][0] == "casme2/01/EP02_01f"
    assert truth["clip_id"].is_unique
    assert truth["amplitude_px"].between(0.8, 3.0).all()
    assert set(truth["fps"]) == {200.0}
    assert 0 < truth["blink_frame"].notna().sum() < len(truth)


def test_every_subject_shows_every_class(dataset: Path) -> None:
    truth = truth_of(dataset)
    for _, own in truth.groupby("subject"):
        counts = Counter(own["emotion"])
        assert set(counts) == {"happiness", "disgust", "repression", "surprise", "others"}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_folders_are_their_owners_alone_and_nothing_is_left_over(dataset: Path) -> None:
    folders = [dataset, *(path for path in dataset.rglob("*") if path.is_dir())]
    assert len(folders) == 2 + SUBJECTS * (1 + CLIPS)
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert not list(dataset.rglob("*.partial"))


def test_a_face_is_found_where_the_subject_is(dataset: Path) -> None:
    truth = truth_of(dataset).groupby("subject").first().reset_index()
    with FaceMesh() as mesh:
        for row in truth.itertuples():
            path = dataset / "CASME2-RAW" / f"sub{row.subject}" / row.clip / f"img{row.onset_number}.jpg"
            faces = mesh(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
            assert len(faces) == 1, row.subject
            assert 190 < faces[0].box.size_wh[1] < 270
            x0, y0, x1, y1 = faces[0].box.box_xyxy
            assert np.hypot((x0 + x1) / 2 - row.pivot_x_px, (y0 + y1) / 2 - row.pivot_y_px) < 8


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    options = Options(drift_px=2, blink_share=1, flicker=0.01)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        synthesise(tmp_path / name, subjects=1, clips=1, seed=seed, options=options)
    files = sorted(str(p.relative_to(tmp_path / "a")) for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) > 40
    _, differ, missing = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)
    assert (differ, missing) == ([], [])
    same, *_ = filecmp.cmpfiles(tmp_path / "a", tmp_path / "c", files, shallow=False)
    assert same == []


def test_video_holds_the_frames_of_the_folder(tmp_path: Path) -> None:
    synthesise(tmp_path / "frames", subjects=1, clips=1)
    synthesise(tmp_path / "video", subjects=1, clips=1, options=Options(video=True))
    files = [p.relative_to(tmp_path / "video") for p in (tmp_path / "video").rglob("*") if p.is_file()]
    assert sorted(map(str, files)) == [
        "CASME2-RAW/sub01/EP02_01f.avi", "CASME2-coding-20190701.xlsx", "truth.parquet",
    ]  # fmt: skip
    truth = truth_of(tmp_path / "video")
    with av.open(str(tmp_path / "video" / "CASME2-RAW/sub01/EP02_01f.avi")) as container:
        assert container.streams.video[0].average_rate == 200
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert len(packets) == truth["n_frames"][0]
    folder = tmp_path / "frames" / "CASME2-RAW/sub01/EP02_01f"
    assert packets == [(folder / f"img{i + 1}.jpg").read_bytes() for i in range(len(packets))]


@pytest.mark.parametrize(("index", "number"), [(0, 1), (1, 63), (2, 1), (5, 211)])
def test_first_numbers(index: int, number: int) -> None:
    assert casme2.first_number(index) == number
