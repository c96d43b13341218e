"""Learned angles find the orientation that a task was built on, whatever the start."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline.networks import OrientationAttention, angle_parameters

SIZE_PX = 32
AXES_DEG = [0, 30, 45, 60, 75, 90, 120, 135, 150]


def striped_maps(clips: int, axis_deg: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two channels of random stripes across the axis; the label is whether they have the same or the opposite sign.

    Each channel alone, and the mean of either over the map, says nothing about the label: attention must read one
    channel's lines to weight the other's. The noise of a pixel is about as strong as the stripes.
    """
    labels = torch.randint(0, 2, (clips,), generator=generator)
    centred = torch.arange(SIZE_PX) - (SIZE_PX - 1) / 2
    axis = math.radians(axis_deg)
    s = centred[None, :] * math.cos(axis) + centred[:, None] * math.sin(axis)
    waves = torch.rand(clips, 3, 1, 1, generator=generator) * 0.35 + 0.1  # radians a pixel: 14 to 63 px long
    phases = torch.rand(clips, 3, 1, 1, generator=generator) * 2 * math.pi
    stripes = torch.sin(waves * s + phases).sum(dim=1)
    stripes = stripes - stripes.mean(dim=(1, 2), keepdim=True)
    signs = (2 * labels - 1)[:, None, None]
    maps = torch.stack([stripes, signs * stripes], dim=1)
    return maps + torch.randn(maps.shape, generator=generator), labels


def learned_error_deg(axis_deg: float, start_deg: float, steps: int, seed: int = 0) -> float:
    """Distance between the axis and the angle learned from `start_deg`, in (-90, 90]."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed + 100)
    net = nn.Sequential(
        OrientationAttention(2, theta_deg=start_deg), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    angles = angle_parameters(net)
    others = [p for p in net.parameters() if all(p is not angle for angle in angles)]
    # The angle's rate is what makes far starts safe: 0.1 rad a step leaves the weak optimum along the other diagonal.
    optimiser = torch.optim.Adam([{"params": angles, "lr": 0.1}, {"params": others, "lr": 0.01}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        maps, labels = striped_maps(64, axis_deg, generator)
        optimiser.zero_grad()
        F.cross_entropy(net(maps), labels).backward()
        optimiser.step()
        schedule.step()
    return (net[0].theta_deg - axis_deg + 90) % 180 - 90


@pytest.mark.parametrize(("axis_deg", "start_deg"), [(30, 45), (90, 0), (135, 45)], ids=str)
def test_planted_axis_is_found(axis_deg: float, start_deg: float) -> None:
    assert abs(learned_error_deg(axis_deg, start_deg, steps=250)) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("axis_deg", AXES_DEG)
@pytest.mark.parametrize("start", [20, 45, 90, "orthogonal"])
def test_every_planted_axis_from_every_start(axis_deg: float, start: float | str) -> None:
    start_deg = axis_deg + 90 if start == "orthogonal" else float(start)
    assert abs(learned_error_deg(axis_deg, start_deg, steps=400)) < 1.0
