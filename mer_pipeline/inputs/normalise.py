"""What stands between a stored crop and a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes a second to import
    from torch import Tensor

# ImageNet's mean and standard deviation of RGB in 0..1: what pretrained backbones expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> Tensor:
    """(..., 3, H, W) uint8 RGB -> float32, 0..1, less the mean, over the standard deviation."""
    values = images.float()
    centre, scale = (values.new_tensor(each).view(3, 1, 1) for each in (mean, std))
    return (values / 255 - centre) / scale
