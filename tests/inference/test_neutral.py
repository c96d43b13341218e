"""A face at rest in the place of the onset."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.faces.landmarks import POINTS, Landmarks
from mer_pipeline.inference import Predictor
from mer_pipeline.inference.neutral import Neutral, NeutralPicture
from mer_pipeline.video import Window, open_footage


@pytest.fixture(scope="module")
def row(raw):
    return pd.read_parquet(raw / "truth.parquet").iloc[0]


@pytest.fixture(scope="module")
def clip(raw, row):
    return raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"]


def landmarks(x=0.0, y=0.0, size=100.0, opening=0.3):
    """A face with its outer eye corners on one line, and eyes that are open so far."""
    points = np.random.default_rng(0).uniform(0.2, 0.8, (POINTS, 2))
    for right, left, upper1, upper2, lower1, lower2, at in (
        (33, 133, 160, 158, 153, 144, 0.25), (362, 263, 385, 387, 373, 380, 0.6),
    ):  # fmt: skip
        points[[right, left]] = (at, 0.4), (at + 0.15, 0.4)
        points[[upper1, upper2]] = (at + 0.05, 0.4 - 0.15 * opening / 2), (at + 0.1, 0.4 - 0.15 * opening / 2)
        points[[lower1, lower2]] = (at + 0.1, 0.4 + 0.15 * opening / 2), (at + 0.05, 0.4 + 0.15 * opening / 2)
    return Landmarks(points * size + (x, y))


def test_the_eyes_of_a_picture_are_laid_on_those_of_the_onset():
    image = np.zeros((200, 200, 3), np.uint8)
    rest = landmarks(20, 30, 100)
    cv2.circle(image, tuple(rest.eyes_xy[0].round().astype(int).tolist()), 4, (255, 255, 255), -1)
    onset = landmarks(60, 10, 150)
    placed = NeutralPicture(image, rest).placed(np.zeros((240, 300, 3), np.uint8), onset)
    assert placed.shape == (240, 300, 3)
    ys, xs = np.nonzero(placed[..., 0] > 128)
    assert (xs.mean(), ys.mean()) == pytest.approx(onset.eyes_xy[0], abs=1.5)


class Film:
    """Ten grey frames, each with its number as its grey level."""

    path = "film"

    def __len__(self):
        return 10

    def read(self, indices):
        yield from ((index, np.full((120, 120, 3), index, np.uint8)) for index in indices)


def test_a_blink_and_what_is_unlike_the_rest_are_not_taken(monkeypatch):
    def find(image):
        blinks = image[0, 0, 0] in (2, 3)
        return [landmarks(opening=0.05 if blinks else 0.3)] if image[0, 0, 0] else []

    pattern = np.random.default_rng(1).uniform(size=(64, 64))
    unlike = np.random.default_rng(2).uniform(size=(64, 64))

    def face(image, _to_unit, _size):
        frame = int(image[0, 0, 0])
        return pattern + (0.0 if frame == 5 else 0.1 + 0.01 * frame) * unlike * frame

    monkeypatch.setattr("mer_pipeline.inference.neutral.smooth_face", face)
    monkeypatch.setattr("mer_pipeline.inference.neutral.open_footage", lambda path: Film())
    (picture,) = Neutral(files=("film",)).pictures(None, 30.0, find, True)
    assert int(picture.image[0, 0, 0]) not in (0, 2, 3, 9)
    with pytest.raises(MerError, match="no face in the neutral stretch"):
        Neutral(files=("film",)).pictures(None, 30.0, lambda image: [], True)


def test_an_expression_that_is_cut_is_read_as_from_its_onset(clip, row):
    """The onset is almost the apex: without the face at rest there is no motion to read."""
    cut = {"onset_frame": int(row["apex_frame"]) - 1, "apex_frame": int(row["apex_frame"]), "fps": 200.0}
    rest_s = (row["onset_frame"] - 1) / 200
    neutral = Neutral(windows=(Window(0.0, rest_s), Window(0.0, rest_s / 2)))
    with Predictor() as predictor:
        whole = predictor(clip, **{**cut, "onset_frame": int(row["onset_frame"])}).expressions[0]
        alone = predictor(clip, **cut).expressions[0]
        sights = []
        (result,) = predictor.people(clip, face="largest", neutral=neutral, **cut, on_expression=sights.append)
    (read,) = result.expressions
    assert "read against the neutral picture" in " ".join(result.warnings)

    def away(found):
        return sum(abs(found.aus[number] - p) for number, p in whole.aus.items())

    assert away(read) < 0.5 * away(alone), (away(read), away(alone))
    assert read.onset_frame == cut["onset_frame"], "frames are as they were"
    assert sights[0].onset.shape == (448, 448, 3)


def test_what_a_user_may_write(tmp_path):
    (tmp_path / "rest.mp4").touch()
    found = Neutral.of([str(tmp_path / "rest.mp4"), "2:4.5", "0:12-1:02.5"])
    assert (found.files, found.windows) == ((tmp_path / "rest.mp4",), (Window(2.0, 4.5), Window(12.0, 62.5)))


def test_another_file_of_the_same_name_is_another_baseline(clip, tmp_path):
    rest = Neutral((tmp_path / "rest",))
    shutil.copytree(clip, rest.files[0])
    before = rest.fingerprint()
    first = next(rest.files[0].iterdir())
    first.write_bytes(first.read_bytes() + b" ")
    assert before != rest.fingerprint() != Neutral().fingerprint() == []


WRONG = [
    pytest.param(["--neutral", "absent.mp4"], 1, "no such file, and no stretch of time", id="absent"),
    pytest.param(["--neutral", "0:1", "--face", "all"], 2, "without --neutral", id="people"),
]


@pytest.mark.parametrize(("options", "code", "message"), WRONG)
def test_wrong_baselines(mer, clip, options, code, message):
    called = mer("predict", clip, "--fps", "200", *options, "-q")
    assert called.code == code
    assert message in " ".join(called.err.replace("│", " ").split())


def test_the_command_takes_one(mer, clip, row):
    end_s = (row["onset_frame"] - 1) / 200
    called = mer("predict", clip, "--fps", "200", "--neutral", f"0:{end_s:.3f}", "--json", "-q")
    assert called.code == 0
    assert any("neutral picture" in text for text in json.loads(called.out)[0]["warnings"])
    assert len(open_footage(clip)) > row["onset_frame"]
