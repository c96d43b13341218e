"""Rank pooling: one vector, or picture, for a sequence, chosen so that its product with the frames grows with time.

Source: Bilen et al., "Dynamic Image Networks for Action Recognition", CVPR 2016, section 2. A sequence x_1..x_T is
smoothed to its running means V_t = (x_1 + ... + x_t) / t, and the vector that ranks them is approximated by the first
step of its optimisation, sum over t of (2t - T - 1) V_t. In terms of the frames themselves that is the sum of
alpha_t x_t with alpha_t = sum over i >= t of (2i - T - 1) / i, the coefficients with harmonic numbers of that paper.
The running means matter here: from onset to offset an expression comes and goes, and with weights 2t - T - 1 on the
frames themselves the two halves would cancel out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# A difference below this share of the grey range is rounding, not motion: a still clip must not become noise.
_STILL = 1e-4


def rank_weights(frames: int, like: Tensor) -> Tensor:
    """The weights 2t - T - 1 of running means, divided by the sum of their positive half: (frames,), like `like`."""
    weights = torch.arange(1 - frames, frames, 2, device=like.device, dtype=like.dtype)
    return weights / (weights.abs().sum() / 2)


def running_means(sequence: Tensor) -> Tensor:
    """Mean of all frames up to each: (B, T, ...) -> (B, T, ...)."""
    count = torch.arange(1, sequence.shape[1] + 1, device=sequence.device, dtype=sequence.dtype)
    return sequence.cumsum(dim=1) / count.view(-1, *[1] * (sequence.ndim - 2))


def rank_pool(smoothed: Tensor) -> Tensor:
    """Approximate rank pooling of running means, or of features of them: (B, T, ...) -> (B, ...)."""
    return torch.einsum("bt...,t->b...", smoothed, rank_weights(smoothed.shape[1], smoothed))


def dynamic_image(sequence: Tensor) -> Tensor:
    """The dynamic image of grey frames (B, T, 1, S, S), as (B, 1, S, S) in 0..1 where 0.5 is stillness.

    Every clip is stretched by its own greatest change, so that a faint expression fills the range as a strong one
    does. (The release of FDP stretches from the least to the greatest value, which moves stillness to another grey in
    every clip.)
    """
    pooled = rank_pool(running_means(sequence - sequence[:, :1]))
    greatest = pooled.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=_STILL)
    return 0.5 + 0.5 * pooled / greatest


def rank_loss(scores: Tensor, margin: float = 1.0) -> Tensor:
    """How far scores (B, T) are from growing with time: mean hinge over all pairs of frames, ()."""
    frames = scores.shape[1]
    earlier, later = torch.triu_indices(frames, frames, offset=1, device=scores.device)
    return F.relu(margin - (scores[:, later] - scores[:, earlier])).mean()


def kendall_tau(scores: Tensor) -> Tensor:
    """Kendall's tau of scores (B, T) with time: 1 where they grow from frame to frame, -1 where they fall, (B,)."""
    frames = scores.shape[1]
    earlier, later = torch.triu_indices(frames, frames, offset=1, device=scores.device)
    return (scores[:, later] - scores[:, earlier]).sign().mean(dim=1)


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity (SSIM) of pictures (B, 1, S, S) in 0..1, (B,).

    Source: Wang et al., "Image quality assessment", 2004, with its Gaussian window of 11 pixels (sigma 1.5), averaged
    where the window lies in the picture.
    """
    place = torch.arange(-5, 6, device=first.device, dtype=first.dtype)
    line = torch.exp(-(place**2) / (2 * 1.5**2))
    window = (line[:, None] * line / line.sum() ** 2).view(1, 1, 11, 11)
    a, b = F.conv2d(first, window), F.conv2d(second, window)
    moments = (F.conv2d(x, window) for x in (first**2, second**2, first * second))
    var_a, var_b, joint = (moment - mean for moment, mean in zip(moments, (a**2, b**2, a * b), strict=True))
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * a * b + c1) * (2 * joint + c2) / ((a**2 + b**2 + c1) * (var_a + var_b + c2))
    return found.mean(dim=(1, 2, 3))
