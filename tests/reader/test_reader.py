import json
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest

from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.reader import GROUPS, FlowReader, about, shipped
from mer_pipeline.reader.features import cells, mirrored, normalised, to_side, window
from mer_pipeline.synth.skin.drawn import draw_motion
from mer_pipeline.synth.skin.people import Crops


@pytest.fixture(scope="module")
def motion():
    """Motion of faces that the reader was not made on: its seeds begin otherwise."""
    return draw_motion((99, 1), 400)


def test_what_ships_is_small_and_says_what_it_scored():
    assert len(resources.files("mer_pipeline.reader").joinpath("weights.safetensors").read_bytes()) < 5_000_000
    measured = json.loads(resources.files("mer_pipeline.reader").joinpath("measured.json").read_text())
    assert measured["all"]["clips"] == measured["casme2"]["clips"] + measured["smic"]["clips"]
    assert f"{measured['all']['uf1']:.3f}" in about()


def test_it_reads_groups_and_action_units_of_faces_it_never_saw(motion):
    reading = shipped().read(motion.flow, aligned=False)
    assert (reading.groups.argmax(1) == motion.groups).mean() > 0.6  # a quarter by chance
    for number in (1, 4, 12):
        at = AU_NUMBERS.index(number)
        with_it, without = reading.aus[motion.aus[:, at] > 0, at], reading.aus[motion.aus[:, at] == 0, at]
        assert np.median(with_it) > 5 * np.median(without)


def test_its_probabilities_are_calibrated_on_such_motion(motion):
    reading = shipped().read(motion.flow, aligned=False)
    surest = reading.groups.max(1)
    right = reading.groups.argmax(1) == motion.groups
    assert abs(float(surest.mean()) - float(right.mean())) < 0.1


def test_no_field_is_read_by_its_scale_its_offset_or_its_side(motion):
    flow = motion.flow[:40]
    usual = shipped().read(flow, aligned=False)
    # As published images are: every channel stretched on its own.
    other = shipped().read(flow * np.array([3, 0.2], np.float32)[:, None, None] + 5, aligned=False)
    np.testing.assert_allclose(other.groups, usual.groups, atol=1e-3)
    turned = shipped().read(mirrored(flow), aligned=False)
    np.testing.assert_allclose(turned.groups, usual.groups, atol=1e-4)
    np.testing.assert_allclose(turned.aus, usual.aus, atol=1e-4)


def test_a_still_field_is_read_without_a_number_that_is_none():
    reading = shipped().read(np.zeros((1, 2, 28, 28), np.float32), aligned=False)
    assert np.isfinite(reading.groups).all()
    assert np.isfinite(reading.aus).all()


def test_aligned_crops_show_the_part_that_published_images_show():
    flow = np.zeros((1, 2, 224, 224), np.float32)
    flow[..., 83, 76] = 1  # the pupil on the left of an aligned crop: 0.34, 0.37
    row, column = np.argwhere(to_side(flow, aligned=True)[0, 0] > 0)[0]
    assert (row / 28, column / 28) == pytest.approx((0.25, 0.25), abs=0.04)


def test_action_units_of_aligned_crops_are_read_by_what_learnt_from_such_crops():
    faces = draw_motion((99, 2), 600, crops=Crops((0.53, 0.53), (0.25, 0.25), (1, 1), 0, 0))
    crops = np.zeros((600, 2, 44, 44), np.float32)
    top, left, side = window(44, aligned=True)
    crops[..., top : top + side, left : left + side] = faces.flow
    truth = faces.aus > 0
    usual = truth.sum(0) >= 10

    def f1(aligned: bool, flow) -> float:
        named = shipped().read(flow, aligned=aligned).aus >= 0.5
        both = 2 * (named & truth).sum(0) / np.maximum(named.sum(0) + truth.sum(0), 1)
        return float(both[usual].mean())

    assert usual.sum() >= 12
    assert f1(True, crops) > f1(False, faces.flow) + 0.1
    assert f1(True, crops) > 0.6


def test_a_weights_file_gives_the_reader_back(motion):
    again = FlowReader.from_bytes(shipped().as_bytes())
    for aligned in (False, True):
        found, expected = (reader.read(motion.flow[:9], aligned=aligned) for reader in (again, shipped()))
        np.testing.assert_array_equal(found.groups, expected.groups)
        np.testing.assert_array_equal(found.aus, expected.aus)


def test_cells_are_means_of_equal_parts():
    fields = np.arange(2 * 28 * 28, dtype=np.float32).reshape(1, 2, 28, 28)
    found, expected = cells(fields, 4), fields.reshape(1, 2, 4, 7, 4, 7).mean((3, 5))
    np.testing.assert_allclose(found * expected.std((2, 3), keepdims=True), expected, rtol=1e-4)
    assert normalised(fields).std((2, 3)) == pytest.approx(np.ones((1, 2)), rel=1e-4)


def test_prediction_with_the_shipped_model_needs_no_torch():
    code = """
import sys
import mer_pipeline.inference.predictor
from mer_pipeline.inference.load import load_model
from mer_pipeline.reader import shipped
shipped()
print('torch' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_groups_are_those_of_the_generator():
    from mer_pipeline.synth.skin.content import GROUPS as DRAWN

    assert GROUPS == DRAWN
