"""Ways to take a training step, of one network or of the networks of several folds: as it is, compiled, as one.

`as one` stacks the weights of several folds' networks and trains them by one call of `vmap`: a way to fill a GPU that
one small network leaves idle. Its sums run in another order: a fold's numbers are not those of the fold trained alone.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, stack_module_state

from benchmarks.loso import SIZE
from mer_pipeline import networks
from mer_pipeline.networks import Network, example_batch
from mer_pipeline.recipe import load_recipe
from mer_pipeline.training.steps import autocast, placed

FOLDS, CLASSES = 8, 3
_WARM_UP = 2


@dataclass(frozen=True)
class Way:
    """One way: seconds a fold's step takes, or why it cannot be taken."""

    name: str
    seconds: float | None
    why: str = ""


def ways(model: str, device: torch.device, size: int, batch: int, steps: int) -> list[Way]:
    """Every way to take a step, the usual one first.

    Args:
        model: An entry of the zoo.
        device: Where.
        size: Side of the pictures; 0 for the recipe's, or 224.
        batch: Clips a step and fold.
        steps: How many are timed, after some that warm up.
    """
    recipe = load_recipe(model)
    torch.manual_seed(0)
    size = size or recipe.size or SIZE
    network = networks.build(recipe.network, classes=CLASSES, size=size, **recipe.network_options)
    inputs = {
        name: torch.rand_like(value) if value.is_floating_point() else value
        for name, value in example_batch(network, batch).items()
    }
    inputs = {name: value.to(device) for name, value in inputs.items()}
    kinds: dict[str, Callable[[], Callable[[], None]]] = {
        "as it is": lambda: _step(network, inputs, device),
        "compiled": lambda: _step(network, inputs, device, mode="default"),
        "compiled, CUDA graphs": lambda: _step(network, inputs, device, mode="reduce-overhead"),
        f"{FOLDS} folds as one": lambda: _as_one(network, inputs, device),
    }
    if device.type != "cuda":
        del kinds["compiled, CUDA graphs"]
    return [_timed(name, make, FOLDS if name.endswith("one") else 1, steps, device) for name, make in kinds.items()]


def _timed(name: str, make: Callable[[], Callable[[], None]], folds: int, steps: int, device: torch.device) -> Way:
    try:
        step = make()
        for _ in range(_WARM_UP):
            step()
        _wait(device)
        started = time.perf_counter()
        for _ in range(steps):
            step()
        _wait(device)
    except Exception as error:  # a compiler and vmap fail in ways of their own; the report names them
        return Way(name, None, f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}")
    return Way(name, (time.perf_counter() - started) / steps / folds)


def _step(network: Network, inputs: dict[str, Tensor], device: torch.device, mode: str = "") -> Callable[[], None]:
    mine = placed(copy.deepcopy(network), device).train()
    optimiser = torch.optim.AdamW(mine.parameters(), fused=device.type == "cuda")
    labels = _labels(inputs, device)

    def loss() -> Tensor:
        return F.cross_entropy(mine.run(inputs).logits.float(), labels)

    forward = torch.compile(loss, mode=mode) if mode else loss

    def step() -> None:
        with autocast(device):
            value = forward()
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()

    return step


def _as_one(network: Network, inputs: dict[str, Tensor], device: torch.device) -> Callable[[], None]:
    copies = [placed(copy.deepcopy(network), device).train() for _ in range(FOLDS)]
    weights, buffers = stack_module_state(copies)
    shape = copies[0]
    optimiser = torch.optim.AdamW(weights.values(), fused=device.type == "cuda")
    labels = _labels(inputs, device)
    given = {name: value.expand(FOLDS, *value.shape) for name, value in inputs.items()}

    def loss(weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
        with autocast(device):
            output = functional_call(shape, (weights, buffers), kwargs={name: batch[name] for name in shape.inputs})
        return F.cross_entropy(output.logits.float(), labels)

    def step() -> None:
        losses = torch.vmap(loss, randomness="different")(weights, buffers, given)
        optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimiser.step()

    return step


def _labels(inputs: dict[str, Tensor], device: torch.device) -> Tensor:
    return torch.arange(len(next(iter(inputs.values()))), device=device) % CLASSES


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
