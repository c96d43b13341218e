"""One random geometric change for both frames of a clip, so that nothing new moves between them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(
    images: Tensor,
    *,
    flip: float,
    rotation_deg: float,
    shift: float,
    generator: torch.Generator,
    padding: str = "border",
    vectors: bool = False,
) -> Tensor:
    """Mirror, turn and shift every clip at random.

    Args:
        images: (B, F, C, H, W) float32.
        flip: Probability of mirroring.
        rotation_deg: Largest angle, either way.
        shift: Largest shift as a share of the side, either way, horizontally and vertically.
        generator: On the CPU, so that the same seed draws the same numbers on every device.
        padding: What pixels from outside are: `border` repeats the edge, `zeros`.
        vectors: The first two channels are the x and y parts of a motion, which turns with the picture.

    Returns:
        (B, F, C, H, W); all F frames of a clip are changed alike.
    """
    if not (flip or rotation_deg or shift):
        return images
    batch, frames, channels, height, width = images.shape
    drawn = torch.rand(4, batch, generator=generator)
    mirror = torch.where(drawn[0] < flip, -1.0, 1.0)
    angle = (drawn[1] * 2 - 1) * math.radians(rotation_deg)
    # grid_sample's coordinates span 2 over the side.
    move = (drawn[2:] * 2 - 1) * 2 * shift
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [torch.stack([cos * mirror, -sin, move[0]], 1), torch.stack([sin * mirror, cos, move[1]], 1)], 1
    ).to(images.device)
    grid = F.affine_grid(theta, [batch, frames * channels, height, width], align_corners=False)
    flat = images.reshape(batch, frames * channels, height, width)
    moved = F.grid_sample(flat, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    moved = moved.reshape(images.shape)
    if vectors:
        # The grid takes places of the new picture to places of the old; a motion goes the other way. The linear part is
        # orthogonal, so its inverse is its transpose.
        turned = torch.einsum("bji,bfjhw->bfihw", theta[:, :, :2], moved[:, :, :2])
        moved = torch.cat([turned, moved[:, :, 2:]], dim=2)
    return moved
