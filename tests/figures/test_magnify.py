"""Motion of micro-expressions made larger: by the factor that was asked for, there and nowhere else."""

import cv2
import numpy as np
import pytest

from mer_pipeline.figures.magnify import Magnifier

SIDE, TIMES = 320, 4.0
# The face fills the middle of the frame.
TO_UNIT = np.array([[1 / 200, 0, -60 / 200], [0, 1 / 200, -60 / 200]])


def frame(shift_px, seed=0):
    """Skin that has gone to the right around the middle, less and less further out."""
    grain = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE)).astype(np.float32)
    skin = cv2.normalize(cv2.GaussianBlur(grain, (0, 0), 3), None, 30, 220, cv2.NORM_MINMAX)
    x, y = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    bump = np.exp(-((x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2) / (2 * 25.0**2))
    moved = cv2.remap(skin, x - np.float32(shift_px) * bump, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.repeat(np.clip(moved, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def shift_px(first, second):
    """How far the middle went to the right."""
    inner = slice(SIDE // 2 - 12, SIDE // 2 + 12)
    grey = [np.ascontiguousarray(image[..., 0]) for image in (first, second)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    return float(flow[inner, inner, 0].mean())


@pytest.fixture
def magnifier():
    return Magnifier(TIMES, [(10, 30, True), (31, 40, False)])


def test_motion_in_an_expression_is_so_many_times_larger(magnifier):
    onset, later = frame(0), frame(1.0)
    assert magnifier.magnified(10, onset, TO_UNIT) is onset
    shown = magnifier.magnified(20, later, TO_UNIT)
    assert shift_px(onset, later) == pytest.approx(1.0, abs=0.2)
    assert shift_px(onset, shown) / shift_px(onset, later) == pytest.approx(TIMES, rel=0.1)
    assert np.array_equal(shown[:40], later[:40])


def test_what_is_no_expression_and_its_last_frame_stay(magnifier):
    later = frame(1.0)
    assert magnifier.magnified(9, later, TO_UNIT) is later
    magnifier.magnified(10, frame(0), TO_UNIT)
    assert np.array_equal(magnifier.magnified(30, later, TO_UNIT), later)
    assert magnifier.magnified(41, later, TO_UNIT) is later


def test_each_expression_is_compared_with_its_own_onset(magnifier):
    magnifier.magnified(10, frame(0), TO_UNIT)
    onset = frame(1.0)
    assert magnifier.magnified(31, onset, TO_UNIT) is onset
    # Given key frames have no offset: the motion is there to the last.
    assert shift_px(onset, magnifier.magnified(40, frame(2.0), TO_UNIT)) > 2.5


def test_a_head_that_moves_as_a_whole_is_not_magnified(magnifier):
    onset = frame(0)
    later = np.roll(onset, 3, axis=1)
    magnifier.magnified(10, onset, TO_UNIT)
    shown = magnifier.magnified(20, later, TO_UNIT)
    assert shift_px(later, shown) == pytest.approx(0, abs=0.3)
