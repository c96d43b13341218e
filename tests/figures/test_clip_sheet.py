import shutil

import cv2
import numpy as np
import pytest

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.figures.clip_sheet import view_clip, write_contact_sheet
from mer_pipeline.stages.preprocess import Parameters, preprocess


def test_a_sheet_is_drawn_for_its_owner_only(raw, cache, tmp_path):
    clip = read_dataset(raw).clips[0]
    write_contact_sheet(cache, clip.clip_id, tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    height, width = sheet.shape[:2]
    assert (tmp_path / "sheet.png").stat().st_mode & 0o777 == 0o600
    assert width > 1400
    # Eight pictures in two rows of four: none of their middles is blank paper.
    for row in (0.33, 0.78):
        for column in (0.13, 0.38, 0.62, 0.87):
            y, x = int(row * height), int(column * width)
            assert np.ptp(sheet[y - 60 : y + 60, x - 60 : x + 60].astype(int)) > 20, (row, column)


def test_a_view_holds_what_was_preprocessed(raw, cache):
    clip = read_dataset(raw).clips[2]
    view = view_clip(cache, clip.name if clip.name.endswith("x") else clip.clip_id)
    assert (view.row.onset_frame, view.row.apex_frame) == (clip.onset_frame, clip.apex_frame)
    assert view.row.aus == str(clip.aus)
    assert view.method == "tvl1"  # found for the view, since the cache has no motion
    assert view.onset.shape == view.apex.shape == (64, 64, 3)
    assert view.flow.shape == (3, 64, 64)
    eyes = view.landmarks.eyes_xy @ view.to_unit[:, :2].T + view.to_unit[:, 2]
    assert np.allclose(eyes, [(0.33, 0.37), (0.67, 0.37)])


def test_a_cropped_set_is_drawn_with_its_own_motion(raw, tmp_path):
    annotations = read_dataset(raw)
    preprocess(annotations, tmp_path, Parameters(size=32, detector=Detector("none"), motion="dis"))
    clip = annotations.clips[0].clip_id
    assert view_clip(tmp_path, clip).method == "dis"
    write_contact_sheet(tmp_path, clip, tmp_path / "sheet.png")


BAD = [
    pytest.param("casme2/01/EP99_99", "s.png", "did you mean casme2/", id="unknown clip"),
    pytest.param("casme2/01/EP02_01f", "s.jpg", "a name that ends in .png", id="not PNG"),
]


@pytest.mark.parametrize(("clip", "file", "message"), BAD)
def test_bad_calls(cache, tmp_path, clip, file, message):
    with pytest.raises(MerError, match=message):
        write_contact_sheet(cache, clip, tmp_path / file)


def test_damage_and_ambiguity_are_reported(raw, cache, tmp_path):
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    shutil.rmtree(copy / "objects" / "align")
    clips = read_dataset(raw).clips
    with pytest.raises(MerError, match=f"{clips[0].clip_id}: its align is absent or damaged; run mer preprocess again"):
        view_clip(copy, clips[0].clip_id)
    names = [clip.name for clip in clips]
    shared = next(name for name in names if names.count(name) > 1)
    with pytest.raises(MerError, match=r"names \d clips"):
        view_clip(copy, shared)
