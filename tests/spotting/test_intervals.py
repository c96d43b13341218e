"""What is found in tracks whose truth is known: no image is rendered."""

import numpy as np
import pytest

from mer_pipeline.arrays import quantile
from mer_pipeline.faces.registration import CELLS
from mer_pipeline.spotting.intervals import LONGEST_S, NoiseFloor, energy, find_intervals, is_micro, typical
from mer_pipeline.spotting.moves import Moves

TRUST = np.ones((CELLS, CELLS))
TRUST[5:7, 3:7] = TRUST[5:7, 9:13] = 0  # the eyes
TRUST[:, :3] = TRUST[:, 13:] = 0


def box(rows, columns, x, y):
    """A region whose skin moves one way, less towards its edges."""
    pattern = np.zeros((CELLS, CELLS, 2))
    pattern[rows[0] : rows[1], columns[0] : columns[1]] = (x, y)
    pattern[rows[0] + 1 : rows[1] - 1, columns[0] + 1 : columns[1] - 1] *= 2
    return pattern.reshape(-1, 2)


BROWS, MOUTH = box((1, 5), (4, 12), 0.1, -0.5), box((9, 13), (5, 11), 0.5, -0.3)
CORNER = box((9, 13), (3, 7), -0.5, -0.4)
RANDOM = np.random.default_rng(5).normal(size=(CELLS * CELLS, 2))
AT = (np.arange(CELLS) - 7.5) / 8
TURN = np.stack(
    [np.sqrt(np.clip(1.6 - AT[None] ** 2 - 0.5 * AT[:, None] ** 2, 0, None)) - 0.8, np.zeros((CELLS, CELLS))], -1
).reshape(-1, 2)


def bump(seconds, fps, onset_s, offset_s):
    """A minimum-jerk movement up and down."""
    at, middle = np.arange(round(seconds * fps)) / fps, 0.5 * (onset_s + offset_s)
    t = np.clip(np.minimum((at - onset_s), (offset_s - at)) / (middle - onset_s), 0, 1)
    return t**3 * (10 - 15 * t + 6 * t * t)


def tracks(seconds, fps, *parts, noise=0.06, seed=0):
    """Skin that moves along (course, pattern) pairs, with noise."""
    rng = np.random.default_rng(seed)
    motion = noise * rng.normal(size=(round(seconds * fps), CELLS * CELLS, 2))
    for course, pattern in parts:
        motion += course[:, None, None] * pattern
    return motion.astype(np.float32)


def moves(motion, fps, judged=None):
    return Moves.of(motion, TRUST.ravel(), fps, judged)


@pytest.mark.parametrize("frames", [1, 7, 60])
@pytest.mark.parametrize("at", [range(1), range(0, 7, 3), range(7), range(0, 60, 4)], ids=str)
@pytest.mark.parametrize(("begin", "end"), [(0, 1), (-3, 4), (5, 9), (-30, -11), (40, 90)])
def test_means_of_stretches_in_which_the_ends_stand_for_what_is_beyond(frames, at, begin, end):
    motion = moves(np.random.default_rng(3).normal(size=(frames, CELLS * CELLS, 2)), 24.0)
    found = motion.mean(at, begin, end)
    for frame, mean in zip(at, found, strict=True):
        first = min(max(frame + begin, 0), frames - 1)
        assert np.allclose(mean, motion.px[first : max(frame + end, first + 1)].mean(0), atol=1e-12)


def found_in(motion, fps):
    return [each for each in find_intervals(moves(motion, fps), NoiseFloor()) if each.is_expression]


PLANTED = [(1.5, 1.8, BROWS), (3.0, 3.45, MOUTH), (5.0, 5.3, CORNER), (6.2, 8.0, BROWS), (9.5, 9.85, BROWS)]


@pytest.mark.parametrize("fps", [25, 30, 60, 100, 200])
def test_many_expressions_are_found_at_any_rate(fps):
    motion = tracks(12, fps, *((bump(12, fps, a, b), pattern) for a, b, pattern in PLANTED))
    found = found_in(motion, fps)
    assert len(found) == len(PLANTED), found
    for each, (onset_s, offset_s, _) in zip(found, PLANTED, strict=True):
        assert abs(each.onset / fps - onset_s) < 0.06 + 0.1 * (offset_s - onset_s)
        assert abs(each.offset / fps - offset_s) < 0.06 + 0.1 * (offset_s - onset_s)
        assert is_micro(each.offset - each.onset, fps) == (offset_s - onset_s <= 0.5)
        assert each.strength == pytest.approx(1.0, abs=0.45)


def blink(fps):
    """The eyes' cells jump about while a lid passes, and draw on the skin around them."""
    course, pattern = bump(8, fps, 4.0, 4.3), np.zeros((CELLS, CELLS, 2))
    pattern[5:7, 3:7, 1] = pattern[5:7, 9:13, 1] = 5.0
    pattern[4, 3:7, 1] = pattern[4, 9:13, 1] = pattern[7, 3:7, 1] = pattern[7, 9:13, 1] = 0.8
    return course, pattern.reshape(-1, 2)


def ramp(fps):
    return np.clip((np.arange(8 * fps) / fps - 4.0) / 0.2, 0, 1)


def talk(fps):
    at = np.arange(8 * fps) / fps
    return np.sin(2 * np.pi * 3.1 * at) + np.sin(2 * np.pi * 4.3 * at + 1)


NOTHING = [
    pytest.param(lambda fps: [], id="noise"),
    pytest.param(lambda fps: [(np.linspace(0, 3, 8 * fps), RANDOM)], id="a drift"),
    pytest.param(lambda fps: [(ramp(fps), 2 * BROWS)], id="a step that stays"),
    pytest.param(lambda fps: [(bump(8, fps, 3.5, 4.7), 5 * TURN)], id="a turn of the head"),
    pytest.param(lambda fps: [blink(fps)], id="a blink"),
    pytest.param(lambda fps: [(talk(fps), MOUTH)], id="a mouth that talks"),
    pytest.param(lambda fps: [(bump(8, fps, 4.0, 4.3), 12 * MOUTH)], id="a hand: farther than skin moves"),
]


@pytest.mark.parametrize("fps", [30, 200])
@pytest.mark.parametrize("parts", NOTHING)
def test_what_is_no_expression(parts, fps):
    assert found_in(tracks(8, fps, *parts(fps)), fps) == []


def test_an_expression_shows_beside_a_blink_and_a_drift():
    fps = 100
    parts = (bump(8, fps, 4.1, 4.45), MOUTH), blink(fps), (np.linspace(0, 3, 8 * fps), RANDOM)
    (found,) = found_in(tracks(8, fps, *parts), fps)
    assert abs(found.apex / fps - 4.275) < 0.05


@pytest.mark.parametrize(("from_s", "px"), [(5.2, 2.0), (5.6, 2.0), (5.7, 1.0), (5.7, 2.0)])
def test_an_expression_is_read_apart_from_the_turn_that_it_falls_into(from_s, px):
    """By a course that is blind to the turn: read with it, the expression does not come back to rest, or late."""
    turned = px * np.clip((np.arange(12 * 30) / 30 - from_s) / 1.5, 0, 1)
    (found,) = found_in(tracks(12, 30, (bump(12, 30, 5.5, 5.9), CORNER), (turned, TURN)), 30)
    assert (found.onset, found.offset) == pytest.approx((5.5 * 30, 5.9 * 30), abs=2)


def test_the_rest_between_two_expressions_is_none():
    fps = 60
    motion = tracks(10, fps, (bump(10, fps, 2.0, 3.2), 2 * BROWS), (bump(10, fps, 4.4, 5.6), 2 * BROWS), noise=0.01)
    apexes = [each.apex / fps for each in found_in(motion, fps)]
    assert apexes == pytest.approx([2.6, 5.0], abs=0.1)


def test_what_does_not_hang_together_is_none():
    """The key frames of compressed video move each cell its own way."""
    fps = 30
    at = np.arange(12 * fps)
    second = RANDOM * 0.35 * (at // fps == 5)[:, None, None]
    motion = tracks(12, fps) + second.astype(np.float32)
    assert found_in(motion, fps) == []


def test_what_a_face_always_does_is_learnt():
    """A tremor that would stand out in a still face does not in one that trembles for a minute."""
    fps, usual = 30, NoiseFloor()
    rng = np.random.default_rng(1)
    for _ in range(5):
        course = rng.normal(size=8 * fps)
        find_intervals(moves(tracks(8, fps, (course, MOUTH)), fps), usual)
    motion = tracks(8, fps, (bump(8, fps, 4.0, 4.3), MOUTH))
    assert find_intervals(moves(motion, fps), NoiseFloor())
    assert find_intervals(moves(motion, fps), usual) == []


@pytest.mark.parametrize("frames", [0, 1, 2, 4, 5, 9])
def test_short_stretches(frames):
    assert found_in(np.zeros((frames, CELLS * CELLS, 2), np.float32), 30) == []


def test_energy_peaks_with_the_expressions():
    fps = 30
    course = bump(12, fps, 3.0, 3.4) + bump(12, fps, 6.0, 6.0 + 0.4 * LONGEST_S)
    height = energy(moves(tracks(12, fps, (course, BROWS), noise=0.01), fps))
    assert height.shape == (12 * fps,)
    assert np.corrcoef(height, course)[0, 1] > 0.95


@pytest.mark.parametrize("at_s", range(12))
def test_the_second_that_is_judged_shows_what_the_whole_stretch_shows(at_s):
    """Movements far from the second that is judged are not measured; those in it are the same."""
    fps = 60
    motion = tracks(12, fps, *((bump(12, fps, a, b), pattern) for a, b, pattern in PLANTED))
    first, last = at_s * fps, (at_s + 1) * fps
    everything = [each for each in find_intervals(moves(motion, fps), NoiseFloor()) if first <= each.apex < last]
    judged = find_intervals(moves(motion, fps, (first, last)), NoiseFloor())
    assert [each for each in judged if first <= each.apex < last] == everything
    heights = energy(moves(motion, fps, (first, last)))
    np.testing.assert_allclose(heights, energy(moves(motion, fps))[first:last])


@pytest.mark.parametrize("frames", [7, 8])
def test_what_is_typical_is_the_median_of_how_far_cells_moved(frames):
    moved = np.random.default_rng(2).normal(size=(frames, CELLS * CELLS, 2))
    np.testing.assert_allclose(typical([moved]), [np.median(np.hypot(moved[..., 0], moved[..., 1]), 0)])


@pytest.mark.parametrize("count", [1, 2, 5, 12])
@pytest.mark.parametrize("share", [0.15, 0.5])
def test_quantile_is_numpys(count, share):
    values = np.random.default_rng(3).normal(size=count)
    assert quantile(values, share) == pytest.approx(np.quantile(values, share))


def test_in_a_film_that_is_doubted_more_must_stand_out():
    motion = tracks(8, 30, (bump(8, 30, 4.0, 4.3), 0.5 * BROWS))
    assert len(find_intervals(moves(motion, 30), NoiseFloor())) == 1
    assert find_intervals(moves(motion, 30), NoiseFloor(doubt=3.0)) == []
