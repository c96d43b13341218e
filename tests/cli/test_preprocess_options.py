"""The options of `mer preprocess`, and the pictures and the summary of a cache that `mer inspect` gives."""

import json

import cv2
import pytest

from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets import read_dataset


def test_options_reach_the_stages(mer, raw, tmp_path):
    called = mer("preprocess", raw, "--out", tmp_path / "c", "--size", 32, "--detector", "none", "--registration",
                 "none", "--motion", "dis", "--flow-images", tmp_path / "f", "--jobs", 1, "--json", "-q")  # fmt: skip
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    assert {"dataset", "clips", "ok", "failed", "stages", "failures", "seconds"} <= set(summary)
    assert tuple(summary["stages"]) == ("keyframes", "detect", "align", "crop", "motion")
    assert (summary["flow_images"], summary["jobs"], summary["warnings"]) == (15, 1, [])
    row = read_manifests(tmp_path / "c").iloc[0]
    assert (row["detector"], row["registration"], row["motion"]) == ("none", "none", "dis")
    assert len(read_dataset(tmp_path / "f").clips) == 15


def test_text_says_where_time_went_and_where_images_are(mer, raw, tmp_path):
    called = mer("preprocess", raw, "--out", tmp_path / "c", "--size", 32, "--motion", "dis", "--flow-images",
                 tmp_path / "f", "-q")  # fmt: skip
    assert "seconds: keyframes" in called.out
    assert f"15 flow images in {tmp_path / 'f'}" in called.out


BAD = [
    pytest.param(["--flow-images", "f"], 1, "--flow-images needs motion; add --motion tvl1", id="images of no motion"),
    pytest.param(["--detector", "dlib"], 1, "forbid commercial use", id="dlib without its predictor"),
    pytest.param(["--predictor", "p.dat"], 1, "belongs to --detector dlib", id="predictor of nobody"),
    pytest.param(["--detector", "hog"], 2, "Invalid value for '--detector'", id="unknown detector"),
    pytest.param(["--motion", "farneback"], 2, "Invalid value for '--motion'", id="unknown motion"),
    pytest.param(["--registration", "full"], 2, "Invalid value for '--registration'", id="unknown registration"),
    pytest.param(["--jobs", "0"], 2, "Invalid value for '--jobs'", id="no processes"),
]


@pytest.mark.parametrize(("options", "code", "message"), BAD)
def test_wrong_options(mer, raw, tmp_path, monkeypatch, options, code, message):
    monkeypatch.delenv("MER_DLIB_PREDICTOR", raising=False)
    called = mer("preprocess", raw, "--out", tmp_path / "c", *options)
    assert called.code == code
    assert message in " ".join(called.err.replace("│", " ").split())
    assert not (tmp_path / "c").exists()


def test_inspect_draws_a_clip_of_a_cache(mer, raw, cache, tmp_path):
    clip = read_dataset(raw).clips[0].clip_id
    called = mer("inspect", cache, "--clip", clip, "--image", tmp_path / "sheet.png")
    assert called.code == 0, called.err
    assert f"contact sheet: {tmp_path / 'sheet.png'}" in called.out
    assert (tmp_path / "sheet.png").stat().st_size > 50_000


BAD_SHEETS = [
    pytest.param(["--clip", "casme2/01/EP02_01f"], "belong together; add --image OUT.png", id="no file"),
    pytest.param(["--image", "s.png"], "belong together; add --clip ID", id="no clip"),
    pytest.param(["--clip", "EP99_99", "--image", "s.png"], "did you mean casme2/", id="unknown clip"),
    pytest.param(["--clip", "EP02_01f", "--image", "s.jpg"], "s.jpg: a contact sheet is a PNG file", id="not PNG"),
    pytest.param(["--clip", "EP02_01f", "--image", "file/s.png"], "file: cannot be written (a file", id="no folder"),
    pytest.param(["--clip", "EP02_01f", "--image", "a.png"], "a.png: cannot be written (Is a dir", id="a folder"),
]


@pytest.mark.parametrize(("options", "message"), BAD_SHEETS)
def test_a_sheet_that_cannot_be_drawn_is_one_line(mer, raw, cache, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "a.png").mkdir()
    first = read_dataset(raw).clips[0].clip_id
    called = mer("inspect", cache, *(first if option == "EP02_01f" else option for option in options))
    assert called.code == 1
    assert len(called.error_lines) == 1
    assert message in called.err


def test_a_cache_inside_the_dataset_is_refused_unless_it_is_one_already(mer, raw, cache, tmp_path):
    called = mer("preprocess", raw, "--out", raw / "cache")
    assert (called.code, len(called.error_lines)) == (1, 1)
    assert "lies inside the dataset" in called.err
    assert not (raw / "cache").exists()
    assert "nowhere: no such folder" in mer("preprocess", tmp_path / "nowhere", "--out", tmp_path / "c").err
    within = mer("preprocess", cache, "--out", cache)  # made before this was refused: it goes on to what is wrong
    assert "lies inside" not in within.err


def test_a_cache_alone_is_summed_up(mer, cache):
    called = mer("inspect", cache)
    assert called.code == 0
    assert "casme2 (preprocessed): 15 of 15 clips of 3 subjects" in called.out
    assert "crops (clips at each side in pixels): 64 15; faces by: face-mesh 15; motion: none\n" in called.out
    (found,) = json.loads(mer("inspect", cache, "--json").out)["sets"]
    assert (found["ok"], found["spotted"], found["failures"]) == (15, 0, {})


def test_crops_as_pictures(mer, cache, tmp_path):
    called = mer("inspect", cache, "--clip", "01/EP02_01f", "--crops", tmp_path / "crops")
    assert (called.code, called.out) == (0, f"2 crops, and crops.csv, in {tmp_path / 'crops'}\n")
    header, onset, apex = (tmp_path / "crops" / "crops.csv").read_text().splitlines()
    assert header == "clip_id,emotion,frame,key_frame,image"
    names = [line.split(",")[-1] for line in (onset, apex)]
    assert [name.rpartition("-")[2] for name in names] == ["onset.png", "apex.png"]
    for name in names:
        file = tmp_path / "crops" / name
        assert cv2.imread(str(file)).shape == (64, 64, 3)
        assert file.stat().st_mode & 0o777 == 0o600, "it shows a face"
