"""The steps of an epoch: what is drawn at random, and the loss.

Everything random of an epoch is drawn on the CPU before its first step, so that a seed draws the same on every device,
and is copied to the device at once: inside an epoch a GPU never waits for the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.inputs.views import VIEWS
from mer_pipeline.networks import Network, Output, named_tensors
from mer_pipeline.recipe import Recipe
from mer_pipeline.training.augment import augment, draw


@dataclass(frozen=True)
class Step:
    """What one step learns from, on the device.

    Attributes:
        rows: (B,) of the clips.
        change: (4, B) what `augment` draws of each.
        substituted: (B,) whether a clip's annotated Action Units are held back.
    """

    rows: Tensor
    change: Tensor
    substituted: Tensor


def steps(rows: Tensor, recipe: Recipe, generator: torch.Generator, device: torch.device) -> Iterator[Step]:
    """The steps of one epoch in random order.

    Args:
        rows: (n,) of the training clips.
        recipe: How large a batch is, and what is drawn.
        generator: On the CPU.
        device: Where the steps are wanted.
    """
    parts = _batches(rows, recipe.batch, generator)
    drawn = [(draw(len(part), recipe, generator), torch.rand(len(part), generator=generator)) for part in parts]
    sizes = [len(part) for part in parts]
    order = torch.cat(parts).to(device, non_blocking=True).split(sizes)
    changes = torch.cat([change for change, _ in drawn], 1).to(device, non_blocking=True).split(sizes, 1)
    share = torch.cat([share for _, share in drawn]) < recipe.au_substitution
    return map(Step, order, changes, share.to(device, non_blocking=True).split(sizes))


def _batches(rows: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """The rows in random order; a last batch of one joins its neighbour, since BatchNorm cannot learn from it."""
    order = rows[torch.randperm(len(rows), generator=generator)]
    parts = list(order.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


class Objective:
    """What a training makes small.

    Args:
        clips: All clips, on the device.
        recipe: How.
        class_weight: (classes,) on the device.
        au_weight: (21,) weight of a present Action Unit in the loss, on the device.
    """

    def __init__(self, clips: ClipSet, recipe: Recipe, class_weight: Tensor, au_weight: Tensor) -> None:
        self._clips, self._recipe, self._weight, self._au_weight = clips, recipe, class_weight, au_weight

    def loss(self, network: Network, step: Step) -> Tensor:
        """Of a step: a scalar with gradients, on the device."""
        clips, recipe, rows = self._clips, self._recipe, step.rows
        images = clips.tensor(rows, rows.device)
        images = augment(images, step.change, recipe.padding, vectors=VIEWS[clips.view].shows_flow)
        # A network that only ever sees annotated AUs learns to read the label off them; at random it gets its own
        # estimate.
        known = clips.aus_known[rows] & ~step.substituted
        with autocast(rows.device):
            output = network.run(inputs(clips, images, clips.aus[rows], known))
            loss = self._class_loss(output, clips.labels[rows], known)
            if output.au_logits is not None and recipe.au_loss:
                annotated = clips.aus_known[rows].float()[:, None]
                each = F.binary_cross_entropy_with_logits(
                    output.au_logits.float(), clips.aus[rows], reduction="none", pos_weight=self._au_weight
                )
                loss = loss + recipe.au_loss * (each * annotated).sum() / (annotated.sum() * each.shape[1]).clamp(min=1)
            return loss if output.own_loss is None else loss + output.own_loss.float()

    def _class_loss(self, output: Output, labels: Tensor, known: Tensor) -> Tensor:
        if output.branches is None:
            return F.cross_entropy(output.logits.float(), labels, weight=self._weight)
        seen, heard = (
            F.cross_entropy(logits.float(), labels, weight=self._weight, reduction="none") for logits in output.branches
        )
        # The branch of Action Units answers where they are annotated.
        share = self._weight[labels]
        return seen.sum() / share.sum() + (heard * known).sum() / (share * known).sum().clamp(min=1e-6)


def placed(network: Network, device: torch.device) -> Network:
    """A network on a device; on a GPU with the channels of a pixel together, as matrix cores read them."""
    network = network.to(device)
    return network.to(memory_format=torch.channels_last) if device.type == "cuda" else network


def inputs(clips: ClipSet, images: Tensor, aus: Tensor, known: Tensor) -> dict[str, Tensor]:
    """What a network is given, by name."""
    return {**named_tensors(clips.view, images), "aus": aus, "aus_known": known}


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Bf16 where products are matrix cores' work; float32 elsewhere."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
