"""A stretch of a film, and results counted from the film's beginning."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.video import FOR_MEASURING, VideoWriter, Window, open_footage


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A second at 29.97 frames a second; each frame has its own grey."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, Fraction(30000, 1001), FOR_MEASURING) as writer:
        for at in range(30):
            writer.write(np.full((32, 32, 3), 8 * at, np.uint8))
    return open_footage(path)


WINDOWS = [
    pytest.param((None, 0.2), (0, 7), id="up to a frame, whose time is rounded"),
    pytest.param((0.5, None), (15, 30), id="from"),
    pytest.param((0.1, 0.1), (3, 4), id="one frame, whose time is rounded to a tenth of a millisecond"),
    pytest.param((0.5, 99), (15, 30), id="beyond the end"),
]


@pytest.mark.parametrize(("window", "frames"), WINDOWS)
def test_the_frames_of_a_window_are_those_of_the_film(film, window, frames):
    part = Window(*window).of(film, film.fps)
    assert (part.first, part.first + len(part)) == frames
    assert part.times_s[0] == 0
    for wanted in (range(len(part)), [0, len(part) - 1]):
        for index, image in part.read(wanted):
            assert abs(int(image[0, 0, 0]) - 8 * (index + part.first)) <= 3
    with pytest.raises(MerError, match="is outside"):
        list(part.read([len(part)]))


def test_a_folder_is_cut_by_the_given_rate(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.png").touch()
    footage = open_footage(tmp_path)
    part = Window(0.2, 0.5).of(footage, 10.0)
    assert (part.first, len(part), part.start_s) == (2, 4, 0.2)
    with pytest.raises(MerError, match="does not say its rate; give --fps"):
        Window(0.2, 0.5).of(footage, None)


def test_an_empty_window_is_one_line(film):
    with pytest.raises(MerError, match=r"no frame lies between 5 s and 9 s; it lasts 0\.97 s"):
        Window(5, 9).of(film, film.fps)


@dataclass(frozen=True)
class Found:
    onset_frame: int
    apex_frame: int | None
    onset_s: float
    strength: float


def test_results_are_counted_from_the_beginning_of_the_film(film):
    part = Window(0.5, None).of(film, film.fps)
    assert part.in_film(Found(2, None, 0.0667, 1.5)) == Found(17, None, 0.5672, 1.5)
    assert not Window()
    assert Window(0.5).words == "only 0.5 s to the end was searched"
