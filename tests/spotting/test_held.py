"""Expressions that are held, in tracks whose truth is known."""

import numpy as np
import pytest

from mer_pipeline.spotting.live import LiveSpotter
from mer_pipeline.spotting.tracking import Seen, Tracked
from tests.spotting.test_intervals import BROWS, CORNER, MOUTH, TRUST, TURN, tracks

OPEN = Seen(0.3, 0.0, 34.0)


class Played:
    """In the place of a tracker: gives the motion of each frame."""

    def __init__(self, motion, segments=None, seen=OPEN):
        self.motion, self.seen = motion, seen
        self.segments = np.zeros(len(motion), int) if segments is None else segments

    def push(self, index, _image):
        if self.segments[index] < 0:
            return None
        return Tracked(int(self.segments[index]), self.motion[index], TRUST.ravel(), np.eye(3)[:2], self.seen)


def spotted(motion, fps, **played):
    spotter = LiveSpotter(fps, lambda _image: None)
    spotter._tracker = Played(motion, **played)
    found = [each for index in range(len(motion)) for each in spotter.push(index, None)]
    return found + spotter.finish(len(motion)), spotter.events


def held(seconds, fps, rise_s, fall_s, ramp_s=0.3):
    """Rises, stays and falls; each flank one of minimum jerk."""
    at = np.arange(round(seconds * fps)) / fps

    def ramp(start):
        t = np.clip((at - start) / ramp_s, 0, 1)
        return t**3 * (10 - 15 * t + 6 * t * t)

    return ramp(rise_s) - (0 if fall_s is None else ramp(fall_s))


@pytest.mark.parametrize("fps", [25, 60, 200])
def test_a_long_smile_is_one_macro_expression_with_its_onset_before_its_apex(fps):
    ((each,), _) = spotted(tracks(16, fps, (held(16, fps, 3.0, 11.0), 4 * CORNER)), fps)
    assert each.kind == "macro"
    assert each.onset_s == pytest.approx(3.0, abs=0.1)
    assert each.apex_s == pytest.approx(3.3, abs=0.1)
    assert each.offset_s == pytest.approx(11.15, abs=0.15)
    assert each.flags == ()


def test_one_that_the_film_cuts_says_so():
    ((each,), _) = spotted(tracks(9, 60, (held(9, 60, 2.0, None), 4 * CORNER)), 60)
    assert (each.kind, each.offset_frame) == ("macro", 9 * 60 - 1)
    assert each.flags == ("not seen to end",)


def test_a_face_that_leaves_ends_it_and_is_an_event():
    fps = 60
    segments = np.where(np.arange(12 * fps) < 7 * fps, 0, -1)
    ((each,), events) = spotted(tracks(12, fps, (held(12, fps, 2.0, None), 4 * CORNER)), fps, segments=segments)
    assert each.offset_frame == 7 * fps - 1
    assert "not seen to end" in each.flags
    assert [(e.kind, e.first_frame, e.last_frame) for e in events] == [("no face", 7 * fps, 12 * fps - 1)]


def test_a_cut_of_the_film_is_an_event():
    fps = 60
    segments = np.where(np.arange(8 * fps) < 4 * fps, 0, 1)
    _, events = spotted(tracks(8, fps), fps, segments=segments)
    assert [(e.kind, e.first_frame) for e in events] == [("cut", 4 * fps)]


@pytest.mark.parametrize(
    ("pattern", "seen", "kind"),
    [
        pytest.param(6 * TURN, OPEN, "turn", id="the head turns and stays there"),
        pytest.param(40 * MOUTH, OPEN, "hidden", id="a hand comes and stays"),
        pytest.param(4 * CORNER, Seen(0.3, 0.0, 15.0), "hidden", id="a face of which half is not seen"),
    ],
)
def test_what_is_no_held_expression(pattern, seen, kind):
    found, events = spotted(tracks(12, 60, (held(12, 60, 4.0, 8.0), pattern)), 60, seen=seen)
    assert found == []
    assert kind in {each.kind for each in events}


def test_a_micro_expression_is_found_while_another_is_held():
    fps = 60
    motion = tracks(16, fps, (held(16, fps, 2.0, 13.0), 4 * CORNER), (held(16, fps, 7.0, 7.2, 0.15), 2 * BROWS))
    found, _ = spotted(motion, fps)
    assert sorted((each.kind, round(each.apex_s, 1)) for each in found) == [("macro", 2.3), ("micro", 7.2)]


def test_memory_is_bounded_while_one_is_held():
    fps, spotter = 30, LiveSpotter(30, lambda _image: None)
    motion = tracks(60, fps, (held(60, fps, 3.0, 55.0), 4 * CORNER))
    spotter._tracker = Played(motion)
    found = []
    for index in range(len(motion)):
        found += spotter.push(index, None)
        assert len(spotter._rows) <= 12 * fps
    found += spotter.finish(len(motion))
    assert [(each.kind, round(each.onset_s), round(each.offset_s)) for each in found] == [("macro", 3, 55)]


@pytest.mark.parametrize("fps", [0.05, 0.5, 3.0, 1000.0])
def test_strange_rates_give_no_expression_and_no_error(fps):
    assert spotted(tracks(1, 30), fps)[0] == []


def test_an_event_ends_with_the_film():
    """A hand that comes in the last frames: what it hides does not reach beyond them."""
    fps, frames = 30, 70
    course = np.clip(np.arange(frames) - 60, 0, 4) / 4
    _, events = spotted(tracks(frames / fps, fps, (course, 24 * MOUTH)), fps)
    assert events
    assert max(event.last_frame for event in events) == frames - 1
