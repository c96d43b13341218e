"""Whether a map shows what a network decides by: hide what it marks, and see how far the answer moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mer_pipeline.arrays import FloatImage

SHARE = 0.2  # of the picture that counts as marked
_OTHERS = 8


def moves(
    logits: Callable[[Mapping[str, Tensor]], Tensor], batch: Mapping[str, Tensor], size: int, values: FloatImage
) -> float:
    """How much more the logits move where the marked fifth is hidden than where another region of its shape is.

    Hidden means without motion: frames of a pair have their mean colour there, those of a sequence are all as the
    first, and flow is zero. The other regions are the marked one moved to random places, round the edges.

    Args:
        logits: The network: a batch of clips -> (B, classes).
        batch: One clip.
        size: Side of its pictures, in pixels.
        values: The map, (rows, columns).

    Returns:
        A ratio; 0 where the marked region does not matter, at most 99.
    """
    mask = _marked(torch.tensor(values), size)
    generator = torch.Generator().manual_seed(0)
    shifts = torch.randint(size, (_OTHERS, 2), generator=generator).tolist()
    masks = torch.stack([mask, *(mask.roll(shift, (0, 1)) for shift in shifts)])
    before, after = (each - each.mean(1, keepdim=True) for each in (logits(batch), logits(_hidden(batch, masks))))
    marked, *others = (after - before).norm(dim=1).tolist()
    return float(min(marked / max(sum(others) / len(others), 1e-9), 99.0))


def _marked(values: Tensor, size: int) -> Tensor:
    """The fifth of the cells with the greatest values, (size, size)."""
    kept = torch.zeros(values.numel())
    kept[values.flatten().argsort(descending=True, stable=True)[: max(1, round(SHARE * values.numel()))]] = 1
    large = F.interpolate(kept.view(1, 1, *values.shape), size=(size, size), mode="nearest")
    return large[0, 0] > 0


def _hidden(batch: Mapping[str, Tensor], masks: Tensor) -> dict[str, Tensor]:
    """One clip as often as there are masks, each with another region hidden."""
    found = {}
    for name, values in batch.items():
        copies = values.expand(len(masks), *values.shape[1:])
        if name in ("onset", "apex"):
            still: Tensor | None = values.mean(dim=(-2, -1), keepdim=True)
        elif name == "sequence":
            still = values[:, :1]
        else:
            still = torch.zeros_like(values) if name in ("flow", "flow_sequence") else None
        if still is None:
            found[name] = copies
            continue
        region = masks.to(values.device).view(len(masks), *[1] * (values.ndim - 3), *masks.shape[1:])
        found[name] = torch.where(region, still, copies)
    return found
