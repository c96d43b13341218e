"""Lids, gaze and speech, in curves whose truth is known."""

import numpy as np
import pytest

from mer_pipeline.spotting.result import Event, events_in_words, merged
from mer_pipeline.spotting.signs import LEAST_SCORE, Signs, blinks, bridged, glances, read_signs, speech
from tests.spotting.test_intervals import BROWS, CORNER, TRUST, bump, tracks

MOUTH_OPENS = np.zeros((16, 16, 2))
MOUTH_OPENS[12:15, 6:10, 1] = 3.0


def lids(fps, *closures, seconds=6.0, noise=0.008):
    """The opening of the eyes with (second, length, how far they close)."""
    at = np.arange(round(seconds * fps)) / fps
    opening = 0.3 + noise * np.random.default_rng(3).normal(size=len(at))
    for start, length, depth in closures:
        opening[(at >= start) & (at < start + length)] *= 1 - depth
    return opening


@pytest.mark.parametrize("fps", [24, 60, 200])
def test_blinks_are_short(fps):
    curve = lids(fps, (1.0, 0.15, 0.8), (3.0, 0.4, 0.5), (4.0, 1.5, 0.9))
    found = [(a / fps, b / fps) for a, b in blinks(curve, fps)]
    assert [round(a, 1) for a, _ in found] == [1.0, 3.0]
    assert found[1][1] - found[1][0] == pytest.approx(0.4, abs=2 / fps)


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param(lids(30), id="open eyes, with the noise of landmarks"),
        pytest.param(np.full(90, 0.04), id="closed eyes"),
        pytest.param(np.full(90, np.nan), id="landmarks without eyes"),
        pytest.param(np.linspace(0.35, 0.2, 90), id="eyes that narrow"),
        pytest.param(np.array([0.3]), id="one frame"),
    ],
)
def test_what_is_no_blink(opening):
    assert blinks(opening, 30) == []


@pytest.mark.parametrize("fps", [30, 200])
def test_a_glance_is_a_jump_and_no_drift(fps):
    at = np.arange(4 * fps) / fps
    ((first, last),) = glances(np.where(at < 2, 0.0, 0.12), fps)
    assert first / fps <= 2.0 <= last / fps
    assert (last - first) / fps < 0.5
    assert glances(0.03 * at, fps) == []
    assert glances(np.full(len(at), np.nan), fps) == []


@pytest.mark.parametrize("fps", [25, 60, 200])
@pytest.mark.parametrize("hertz", [2.5, 5.0])
def test_speech_has_a_rhythm(fps, hertz):
    at = np.arange(6 * fps) / fps
    syllables = np.where((at > 1) & (at < 4), np.abs(np.sin(np.pi * hertz * at)), 0.0)
    ((first, last),) = speech(tracks(6, fps, (syllables, MOUTH_OPENS.reshape(-1, 2))), TRUST.ravel(), fps)
    assert first / fps == pytest.approx(1.0, abs=0.7)
    assert last / fps == pytest.approx(4.0, abs=0.7)


def test_a_mouth_that_opens_once_does_not_speak():
    course = 2 * bump(6, 60, 1.0, 2.0)
    assert speech(tracks(6, 60, (course, MOUTH_OPENS.reshape(-1, 2))), TRUST.ravel(), 60) == []


def test_signs_of_a_stretch():
    fps = 60
    seen = np.stack([lids(fps, (2.0, 0.2, 0.8)), np.zeros(6 * fps), np.full(6 * fps, 34.0)], 1)
    seen[4 * fps :, 2] = LEAST_SCORE - 3
    signs = read_signs(tracks(6, fps), TRUST.ravel(), seen, fps)
    assert [cause for cause, _ in signs.causes] == ["blink"]
    assert signs.within(100, 130)
    assert not signs.within(200, 300)
    assert (signs.is_hidden(4 * fps, 5 * fps), signs.is_hidden(0, fps)) == (True, False)
    assert not Signs.none(10).is_hidden(0, 9)


def test_a_blink_is_bridged_where_lids_draw_and_nowhere_else():
    fps, course = 60, bump(6, 60, 2.0, 2.2)
    motion = tracks(6, fps, (course, 9 * BROWS), (course, CORNER), noise=0)
    signs = Signs((("blink", (2 * fps, round(2.2 * fps))),), np.full(6 * fps, np.nan))
    without = bridged(motion, signs, fps).reshape(-1, 16, 16, 2)
    assert np.abs(without[:, 3:9, 2:14]).max() < 1e-3
    assert np.array_equal(without[:, 10], motion.reshape(-1, 16, 16, 2)[:, 10])
    assert np.abs(motion).max() > 3


def test_events_that_touch_are_one():
    events = [Event("blink", 40, 44), Event("speech", 10, 30), Event("speech", 25, 60), Event("blink", 46, 50)]
    assert [(e.kind, e.first_frame, e.last_frame) for e in merged(events)] == [
        ("speech", 10, 60), ("blink", 40, 44), ("blink", 46, 50),
    ]  # fmt: skip
    assert events_in_words(merged(events)) == "2 blink, 1 speech"
