"""One random geometric change for both frames of a clip, so that nothing new moves between them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mer_pipeline.recipe import Recipe


def draw(clips: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """What is drawn of each clip of a batch.

    Args:
        clips: In the batch.
        recipe: The probability of mirroring, the largest angle and the largest shift, which is a share of the side.
        generator: On the CPU, so that the same seed draws the same numbers on every device.

    Returns:
        (4, clips): -1 where it is mirrored and else 1, an angle in radians, and a shift to the right and downwards in
        coordinates that span 2 over the side, as `grid_sample` has them. (0, clips) where nothing is to be changed.
    """
    if not (recipe.flip or recipe.rotation_deg or recipe.shift):
        return torch.empty(0, clips)
    drawn = torch.rand(4, clips, generator=generator)
    mirror = torch.where(drawn[0] < recipe.flip, -1.0, 1.0)[None]
    angle = (drawn[1:2] * 2 - 1) * math.radians(recipe.rotation_deg)
    return torch.cat([mirror, angle, (drawn[2:] * 2 - 1) * 2 * recipe.shift])


def augment(images: Tensor, change: Tensor, padding: str = "border", *, vectors: bool = False) -> Tensor:
    """Mirror, turn and shift every clip as it was drawn.

    Args:
        images: (B, F, C, H, W) float32.
        change: As `draw` makes it, on the same device.
        padding: What pixels from outside are: `border` repeats the edge, `zeros`.
        vectors: The first two channels are the x and y parts of a motion, which turns with the picture.

    Returns:
        (B, F, C, H, W); all F frames of a clip are changed alike.
    """
    if not len(change):
        return images
    batch, frames, channels, height, width = images.shape
    mirror, angle, right, down = change
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([torch.stack([cos * mirror, -sin, right], 1), torch.stack([sin * mirror, cos, down], 1)], 1)
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
