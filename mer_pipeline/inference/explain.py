"""What a network saw: where oriented attention looked, and the dynamic image that FDP built."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mer_pipeline.inference.model import Model
from mer_pipeline.networks import FDP, OrientationAttention
from mer_pipeline.networks.attention import AttentionProfile, recorded
from mer_pipeline.networks.orientation import line_grid, reweight


@dataclass(frozen=True)
class Attention:
    """The attention of the last layer that has one, which continues those before it.

    Attributes:
        weights: (size, size) float32, the mean over channels of what the map was multiplied by.
        theta_deg: The angle of its axis.
    """

    weights: npt.NDArray[np.float32]
    theta_deg: float


@dataclass(frozen=True)
class Dynamic:
    """FDP's dynamic image of a clip: (size, size) float32 in 0..1, where 0.5 is stillness.

    Attributes:
        built: By the network.
        target: By approximate rank pooling of the frames, what it was trained to build.
    """

    built: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32]


def dynamic(model: Model, pictures: torch.Tensor) -> Dynamic | None:
    """The dynamic images of a clip; None for networks that build none.

    Args:
        model: The network.
        pictures: What it looked at, (1, frames, 1, size, size).
    """
    if not isinstance(model.network, FDP):
        return None
    seen = model.network.explain(pictures)
    built, target = (image[0, 0].cpu().numpy().astype(np.float32) for image in (seen.built, seen.target))
    return Dynamic(built, target)


@torch.no_grad()
def attention(model: Model, pictures: torch.Tensor) -> Attention | None:
    """Run the network once more and read its attention; None where it has none that is oriented.

    Args:
        model: The network.
        pictures: What it looked at.
    """
    layers = [part for part in model.network.modules() if isinstance(part, OrientationAttention)]
    if not layers:
        return None
    profiles: list[AttentionProfile] = []
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(recorded(layer, profiles.append))
        model.run(pictures)
    last = profiles[-1]
    height, width = last.height_px, last.width_px
    values = last.values[:1].mean(2, keepdim=True)
    grid = line_grid(last.theta, height, width, values.dtype)
    read = reweight(values.new_ones(1, height * width, 1), values, grid)
    weights = read.reshape(height, width).float().cpu().numpy()
    size = model.card.size
    large = cv2.resize(weights, (size, size), interpolation=cv2.INTER_CUBIC)
    return Attention(np.asarray(large, np.float32), float(torch.rad2deg(last.theta)) % 180)
