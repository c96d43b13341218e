"""The scan over frozen angles takes the one with the lowest loss on inner subjects, and trains nothing twice."""

import pytest

from studies import angle_profiles
from studies.angle_profiles import Tries, grid_deg, off_deg, scan
from studies.angles import Trained, distance_deg


@pytest.fixture
def trained(monkeypatch):
    """Trainings whose loss is the distance from 0 degrees; the list has what was trained."""
    done = []

    def train(_data, *, attention, start_deg, **_):
        done.append((attention, start_deg))
        loss = distance_deg(start_deg, (0.0,)) / 90
        return Trained(0.5, [start_deg] if attention == "soa-shared" else [], loss, loss)

    monkeypatch.setattr(angle_profiles, "train", train)
    monkeypatch.setattr(angle_profiles, "draw", lambda _: ((), ()))
    return done


@pytest.mark.parametrize("seed", range(4))
def test_no_grid_has_an_axis_on_it_and_none_is_far(seed):
    near = [min(distance_deg(at, (axis,)) for at in grid_deg(seed, 4)) for axis in (0.0, 90.0)]
    assert all(0.5 < distance <= 3.75 for distance in near)


def test_the_scan_takes_the_best_angle_and_is_kept(trained, tmp_path):
    assert scan(Tries(tmp_path / "tries.jsonl", lambda _: None), "horizontal", 3, 4) == 179.0625
    assert trained == [("frozen", at) for at in grid_deg(3, 4)]
    trained.clear()
    again = Tries(tmp_path / "tries.jsonl", lambda _: None)
    assert scan(again, "horizontal", 3, 4) == 179.0625
    assert trained == []
    assert len(list(again.rows())) == 24


def test_the_mean_over_layers_is_judged_as_an_axis():
    assert off_deg(Trained(1.0, [170.0, 14.0]), "horizontal") == pytest.approx(2.0)
