"""The benchmark of many folds: equal is what has the same bits, and the simulation counts what it assumes."""

import shutil

import pytest

from benchmarks.jobs import ROWS, SEEDS, _equal, simulated
from mer_pipeline.runs.run import Run


def test_runs_are_equal_to_the_bit_or_not(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "run")
    assert _equal(Run(other), Run(run))
    table = other / "predictions.csv"
    table.write_bytes(table.read_bytes().replace(b"0.2", b"0.3", 1))
    assert not _equal(Run(other), Run(run))


def test_a_cluster_that_costs_nothing_is_as_fast_as_it_is_large():
    found = simulated([10.0] * 64, 10.0, 0.0, 0.0)
    assert [one.workers for one in found] == [8, 16, 32, 64]
    assert found[0].seconds == pytest.approx(65 * SEEDS * ROWS * 10 / 8, rel=0.01)
    assert found[-1].efficiency > 0.97
    slow = simulated([10.0] * 64, 10.0, 100.0, 5.0)[-1]
    assert slow.seconds == pytest.approx(found[-1].seconds * 1.5 + 100)
