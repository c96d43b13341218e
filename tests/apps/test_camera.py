import io
import json
import threading

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mer_pipeline.apps.camera import Live, PlayedFile, open_camera, watch
from mer_pipeline.errors import MerError
from mer_pipeline.inference import Predictor
from mer_pipeline.video import VideoWriter, open_footage

FPS = 50


@pytest.fixture(scope="module")
def film(raw, tmp_path_factory):
    """Three seconds at 50 frames a second; one expression, after a second."""
    row = pd.read_parquet(raw / "truth.parquet").iloc[0]
    clip = open_footage(raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"])
    frames = [image for _, image in clip.read(range(0, len(clip), 4))]
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, FPS) as writer:
        for index, image in enumerate([*[frames[0]] * FPS, *frames, *[frames[-1]] * (2 * FPS - len(frames))]):
            writer.write(image, index / FPS)
    return path, FPS + row["apex_frame"] / 4


@pytest.fixture(scope="module")
def predictor(run):
    with Predictor(run, "cpu") as predictor:
        predictor.find_faces(np.zeros((64, 64, 3), np.uint8))
        yield predictor


def test_a_file_played_as_a_camera_is_judged(film, predictor):
    path, apex = film
    states = []
    result = watch(PlayedFile(path), predictor, lambda state: states.append((state.seconds, state.frames)))
    assert (result.clip, result.fps, result.faces) == (str(path), FPS, 1)
    assert 0.7 * 3 * FPS <= result.frames <= 3 * FPS, "a busy machine may leave some out"
    (found,) = result.expressions
    assert found.apex_frame == pytest.approx(apex, abs=8 + (3 * FPS - result.frames))  # what was left out is not seen
    assert found.kind == "micro"
    assert found.apex_s == pytest.approx(found.apex_frame / FPS)
    assert states == sorted(states)
    assert len(states) >= 5, "told a few times a second"


class Fast:
    """A camera that gives everything at once."""

    name, fps, doubt = "fast", 1000.0, 1.0

    def __init__(self, image, frames):
        self._image, self._frames = image, frames

    def frames(self):
        return iter([self._image] * self._frames)


def test_frames_that_come_too_fast_are_left_out_and_told(predictor):
    result = watch(Fast(np.zeros((480, 640, 3), np.uint8), 5000), predictor, lambda state: None)
    assert 0 < result.frames < 5000
    *_, warning = result.warnings
    assert warning == f"{5000 - result.frames} frames came faster than they could be looked at, and were left out"


def test_it_ends_when_it_is_told_to(film, predictor):
    stop = threading.Event()

    def enough(state: Live) -> None:
        if state.frames > 10:
            stop.set()

    result = watch(PlayedFile(film[0]), predictor, enough, stop=stop)
    assert result.frames < 3 * FPS


def test_past_frames_are_kept_for_some_seconds_only(film, predictor, monkeypatch):
    from mer_pipeline.apps import camera as live

    monkeypatch.setattr(live, "_KEPT_S", 0.5)
    watching = live._Watch(PlayedFile(film[0]), predictor, lambda state: None, False)
    watching.run(threading.Event())
    assert len(watching._past) <= 0.5 * FPS + 1


class Broken(Fast):
    def frames(self):
        raise MerError("unplugged", where=self.name)


def test_what_cannot_be_watched_is_one_line(predictor, tmp_path):
    with pytest.raises(MerError, match="unplugged"):
        watch(Broken(None, 0), predictor, lambda state: None)
    with pytest.raises(MerError, match="no such file or folder"):
        open_camera(str(tmp_path / "absent.mp4"))
    with pytest.raises(MerError, match="camera 77: cannot be opened; check that it is connected"):
        open_camera("77")
    with pytest.raises(MerError, match="camera 0: a camera has its own rate; leave --fps out"):
        open_camera("0", 30.0)


def test_a_played_file_keeps_its_rate_unless_another_is_insisted_on(film):
    with pytest.raises(MerError, match=r"12 frames a second were asked for, and it states .* --force-fps"):
        open_camera(str(film[0]), 12.0)
    assert open_camera(str(film[0]), 12.0, force_fps=True).fps == 12.0


def test_the_command(mer, run, film):
    called = mer("predict", "--camera", film[0], "--model", run, "--json", "-q", "--device", "cpu")
    assert called.code == 0
    (result,) = json.loads(called.out)
    assert result["clip"] == str(film[0])
    assert len(result["expressions"]) == 1
    assert "a frame is done" in called.err
    assert "the last expression was reported" in called.err
    for wrong in (["--camera", "0", film[0]], [], ["--camera", "0", "--overlay", "o.mp4"]):
        assert mer("predict", *wrong, "--model", run).code == 2


def test_the_view_fits_a_narrow_terminal(film, predictor):
    from mer_pipeline.cli.live import _view

    states = []
    watch(PlayedFile(film[0]), predictor, states.append)
    screen = Console(width=60, file=io.StringIO())
    screen.print(_view(states[-1]))
    text = screen.file.getvalue()
    assert max(map(len, text.splitlines())) <= 60
    (found,) = states[-1].result.expressions
    for part in ("film.mp4", f"{found.onset_s:.1f} s", found.emotion, "Ctrl-C ends", " frames in "):
        assert part in text
