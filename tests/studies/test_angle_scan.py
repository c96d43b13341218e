"""A scan of frozen angles finds the centre of a well in the loss, and trains nothing twice."""

import pytest
import torch

from studies import angle_scan
from studies.angle_scan import Tries, Try, axis_deg, grid_deg, report, scan, spots
from studies.angles import SIZE, distance_deg


@pytest.fixture
def trained(monkeypatch):
    """Trainings that are learned within 20 degrees of the axis, but for one; the list has what was trained."""
    done = []

    def train(task, seed, at_deg, _data):
        done.append(at_deg)
        off = distance_deg(at_deg, (axis_deg(task, seed),))
        loss = 0.7 if off > 20 or len(done) == 12 else 0.1 + 0.6 * (off / 20) ** 2
        return Try(task, seed, at_deg, (1.5, loss, loss, loss), loss, 0.5)

    monkeypatch.setattr(angle_scan, "train", train)
    monkeypatch.setattr(angle_scan, "planted", lambda _: None)
    return done


@pytest.mark.parametrize("seed", range(4))
def test_the_scan_finds_the_well_though_one_training_failed(trained, tmp_path, seed):
    found, seen = scan(Tries(tmp_path / "tries.jsonl", lambda _: None), "lines", seed)
    assert distance_deg(found.at_deg, (axis_deg("lines", seed),)) <= 5
    assert len(seen) == len(trained) == len(grid_deg(seed)) + len(angle_scan.FINE_DEG)
    trained.clear()
    assert scan(Tries(tmp_path / "tries.jsonl", lambda _: None), "lines", seed)[0] == found
    assert trained == []


def test_the_report_counts_runs_and_lists_every_training(trained, tmp_path):
    lines = report(Tries(tmp_path / "tries.jsonl", lambda _: None), "lines", [4, 5])
    assert "Within 5 degrees of the planted axis: 2 of 2 runs." in lines
    assert len(lines) == 4 + 2 + 3 + 2 + len(trained)


def test_the_first_steps_do_not_count():
    assert Try("lines", 0, 3.0, (9.0, 0.5, 0.3), 0.0, 0.0).loss == pytest.approx(0.4)


@pytest.mark.parametrize("axis", [0.0, 90.0, 30.0])
def test_both_spots_lie_on_a_line_of_the_axis_and_neither_place_gives_the_label_away(axis):
    clips = spots(axis, 2000, torch.Generator().manual_seed(0))
    place = torch.arange(SIZE) - (SIZE - 1) / 2
    radians = torch.deg2rad(torch.tensor(axis))
    across = place[None, :] * radians.cos() + place[:, None] * radians.sin()
    weight = clips.apex[:, 0] / clips.apex[:, 0].sum((1, 2), keepdim=True)
    mean = (weight * across).sum((1, 2))
    spread = (weight * (across - mean[:, None, None]) ** 2).sum((1, 2)).sqrt()
    one_line, two = (spread[clips.labels == label] for label in (0, 1))
    assert one_line.max() < 5 < two.min()
    pixels = [clips.apex[clips.labels == label, 0].mean(0) for label in (0, 1)]
    assert (pixels[0] - pixels[1]).abs().max() < 0.06


@pytest.mark.slow
def test_the_scan_finds_a_planted_axis_in_a_whole_network(tmp_path):
    found, _ = scan(Tries(tmp_path / "tries.jsonl", lambda _: None), "lines", 4)
    assert distance_deg(found.at_deg, (axis_deg("lines", 4),)) <= angle_scan.CLOSE_DEG
