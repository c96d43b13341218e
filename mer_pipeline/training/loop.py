"""Training one network on the clips of one fold, and looking at its test clips after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline import networks
from mer_pipeline.networks import feed
from mer_pipeline.networks.normalise import normalise
from mer_pipeline.training.augment import augment
from mer_pipeline.training.data import ClipSet
from mer_pipeline.training.recipe import Recipe

# Test clips a step; more would only need more memory.
_EVALUATION_BATCH = 64


@dataclass
class History:
    """What happened in each epoch.

    Attributes:
        loss: Mean training loss.
        test_accuracy: On the held-out clips; recorded to show what choosing by it would do, never used to choose.
        theta_deg: Learned angles, one list an epoch.
    """

    loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    theta_deg: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """A trained network and what it says of the test clips.

    Attributes:
        network: After the last epoch.
        last: AU source -> (test clips, classes) probabilities after the last epoch.
        oracle: The same after the epoch that scores best on the test clips, for the recipe's AU source alone; None
            where there were no test clips. Optimistic: epoch chosen on the test fold.
        history: What happened in each epoch.
    """

    network: nn.Module
    last: dict[str, Tensor]
    oracle: Tensor | None
    history: History


def train_network(
    clips: ClipSet,
    train: Sequence[int],
    test: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    on_epoch: Callable[[int, float], None],
) -> Trained:
    """Train on some clips; after every epoch look at others.

    Args:
        clips: All clips.
        train, test: Row numbers; `test` may be empty.
        recipe: How.
        seed: Of weights, order and augmentation.
        device: Where.
        on_epoch: Told the number of finished epochs and the loss of the last.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = networks.build(recipe.network, classes=len(clips.classes), size=clips.size, **recipe.options).to(device)
    optimiser, schedule = _optimiser(network, recipe)
    rows = torch.tensor(train)
    weight = _class_weight(clips.labels[rows], len(clips.classes), recipe).to(device)
    history, oracle, best = History(), None, -1.0
    for epoch in range(1, recipe.epochs + 1):
        losses = []
        network.train()
        for chosen in _batches(rows, recipe.batch, generator):
            with _autocast(device):
                loss = _loss(network, clips, chosen, recipe, weight, generator, device)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        schedule.step()
        history.loss.append(float(torch.stack(losses).mean()))
        history.theta_deg.append(networks.learned_angles_deg(network))
        if test:
            probabilities = predict(network, clips, test, recipe.aus, device)
            right = probabilities.argmax(1) == clips.labels[list(test)]
            history.test_accuracy.append(float(right.float().mean()))
            if history.test_accuracy[-1] > best:
                best, oracle = history.test_accuracy[-1], probabilities
        on_epoch(epoch, history.loss[-1])
    last = {aus: predict(network, clips, test, aus, device) for aus in au_sources(network)} if test else {}
    return Trained(network, last, oracle, history)


def au_sources(network: nn.Module) -> tuple[str, ...]:
    """The AU sources that a network can be tested with; `unused` where it takes no AUs."""
    return ("predicted", "annotated", "none") if "aus" in feed.input_names(network) else ("unused",)


@torch.no_grad()
def predict(network: nn.Module, clips: ClipSet, rows: Sequence[int], aus: str, device: torch.device) -> Tensor:
    """Class probabilities of some clips with one AU source; (rows, classes) float32 on the CPU."""
    network.eval()
    parts = []
    for chosen in torch.tensor(rows).split(_EVALUATION_BATCH):
        known = clips.aus_known[chosen] if aus == "annotated" else torch.full(chosen.shape, aus == "none")
        values = torch.zeros_like(clips.aus[chosen]) if aus == "none" else clips.aus[chosen]
        with _autocast(device):
            output = feed.run(network, _inputs(clips, _images(clips, chosen, device), values, known))
        parts.append(output.logits.float().softmax(1).cpu())
    return torch.cat(parts)


def _images(clips: ClipSet, chosen: Tensor, device: torch.device) -> Tensor:
    images = clips.images[chosen].to(device)
    return normalise(images) if clips.kind == "frames" else images


def _inputs(clips: ClipSet, images: Tensor, aus: Tensor, known: Tensor) -> dict[str, Tensor]:
    shown = {"onset": images[:, 0], "apex": images[:, -1]} if clips.kind == "frames" else {"flow": images[:, 0]}
    return {**shown, "aus": aus.to(images.device), "aus_known": known.to(images.device)}


def _loss(
    network: nn.Module,
    clips: ClipSet,
    chosen: Tensor,
    recipe: Recipe,
    weight: Tensor,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    images = augment(
        _images(clips, chosen, device),
        vectors=clips.kind == "flow",
        flip=recipe.flip,
        rotation_deg=recipe.rotation_deg,
        shift=recipe.shift,
        generator=generator,
    )
    # A network that only ever sees annotated AUs learns to read the label off them; at random it gets its own estimate.
    substituted = torch.rand(len(chosen), generator=generator) < recipe.au_substitution
    known = clips.aus_known[chosen] & ~substituted
    output = feed.run(network, _inputs(clips, images, clips.aus[chosen], known))
    loss = F.cross_entropy(output.logits.float(), clips.labels[chosen].to(device), weight=weight)
    if output.au_logits is not None and recipe.au_loss:
        annotated = clips.aus_known[chosen].to(device).float()[:, None]
        each = F.binary_cross_entropy_with_logits(
            output.au_logits.float(), clips.aus[chosen].to(device), reduction="none"
        )
        loss = loss + recipe.au_loss * (each * annotated).sum() / (annotated.sum() * each.shape[1]).clamp(min=1)
    return loss


def _batches(rows: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The rows in random order; a last batch of one joins its neighbour, since BatchNorm cannot learn from it."""
    order = rows[torch.randperm(len(rows), generator=generator)]
    parts = list(order.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return iter(parts)


def _optimiser(
    network: nn.Module, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    angles = networks.angle_parameters(network)
    turned = {id(parameter) for parameter in angles}
    others = [parameter for parameter in network.parameters() if id(parameter) not in turned]
    groups: list[dict[str, object]] = [{"params": others, "lr": recipe.lr, "weight_decay": recipe.weight_decay}]
    if angles:
        groups.append({"params": angles, "lr": recipe.angle_lr, "weight_decay": 0.0})
    optimiser = torch.optim.AdamW(groups)
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda epoch: recipe.lr_decay ** min(epoch, recipe.lr_decay_epochs)
    )
    return optimiser, decay


def _class_weight(labels: Tensor, classes: int, recipe: Recipe) -> Tensor:
    """Weights from the training clips alone; a class without clips weighs nothing."""
    if recipe.class_weights == "none":
        return torch.ones(classes)
    counts = torch.bincount(labels, minlength=classes).float()
    return torch.where(counts > 0, len(labels) / (int((counts > 0).sum()) * counts.clamp(min=1)), torch.zeros(classes))


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
