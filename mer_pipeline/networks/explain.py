"""What a trained network has to show of one clip: maps of attention, rank scores, dynamic images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mer_pipeline.arrays import FloatImage


@dataclass(frozen=True, eq=False)
class LineMap:
    """Attention over the lines of one axis, the mean over channels of its size: later layers have both signs.

    Attributes:
        title: Of the layer.
        theta_deg: The axis; 0 points right, 90 down.
        values: One a line, in the direction of the axis; between two lines what a pixel reads is linear.
        start, end: Where the first and the last line lie on the axis, from the centre, in sides of the map.
        weights: (rows, columns) float32: the same read back at every cell.
        moves: See `perturb.moves`; None where it was not measured.
    """

    title: str
    theta_deg: float
    values: tuple[float, ...]
    start: float
    end: float
    weights: FloatImage
    moves: float | None = None

    @property
    def cells(self) -> FloatImage:
        """(rows, columns)."""
        return self.weights


@dataclass(frozen=True, eq=False)
class CellMap:
    """A value a cell.

    Attributes:
        title: Of the layer, or of the decision that it is behind.
        values: (rows, columns) float32.
        moves: See `perturb.moves`; None where it was not measured.
    """

    title: str
    values: FloatImage
    moves: float | None = None

    @property
    def cells(self) -> FloatImage:
        """(rows, columns)."""
        return self.values


Map = LineMap | CellMap
# Hiding what a map marks must move the answer so many times as much as hiding another region of its shape.
LEAST_MOVES = 2.0


def holds(seen: Map) -> bool:
    """Whether a map passed its check, so that it may be drawn; so does one that was not measured."""
    return seen.moves is None or seen.moves >= LEAST_MOVES


@dataclass(frozen=True, eq=False)
class Ranks:
    """What FDP sees in a clip.

    Attributes:
        scores: A rank score a frame; trained to grow with time.
        built: (size, size) float32 in 0..1: the dynamic image that the network builds.
        target: The dynamic image by approximate rank pooling of the frames, what it was trained to build; 0.5 is
            stillness.
    """

    scores: tuple[float, ...]
    built: FloatImage
    target: FloatImage


@dataclass(frozen=True, eq=False)
class Explanation:
    """What there is to show of one clip; parts that a network does not have are empty.

    Attributes:
        maps: In the order in which the network made them.
        ranks: Of a network that ranks frames.
    """

    maps: tuple[Map, ...] = ()
    ranks: Ranks | None = None

    @property
    def attention(self) -> LineMap | None:
        """The map of the last oriented attention, which continues those before it; None where there is none."""
        return next((one for one in reversed(self.maps) if isinstance(one, LineMap)), None)


class MapSource(nn.Module):
    """A part of a network that has a map to show; by default it is made from what the part returns.

    Attributes:
        map_title: What its maps are called; those of layers are numbered.
    """

    map_title: ClassVar[str] = "layer"

    def map_of(self, output: Any) -> Map:
        """The map of the first clip of what the part returned."""
        raise NotImplementedError

    def recorded(self, keep: Callable[[Map], None]) -> AbstractContextManager[None]:
        """Give `keep` every map that the part makes, for as long as this lasts."""
        return self._hooked(keep)

    @contextmanager
    def _hooked(self, keep: Callable[[Map], None]) -> Iterator[None]:
        handle = self.register_forward_hook(lambda _module, _inputs, output: keep(self.map_of(output)))
        try:
            yield
        finally:
            handle.remove()


@contextmanager
def recorded_maps(network: nn.Module) -> Iterator[list[Map]]:
    """The maps that the parts of a network make, in a list that grows for as long as this lasts."""
    maps: list[Map] = []

    def keep(made: Map) -> None:
        number = 1 + sum(one.title.startswith("layer ") for one in maps)
        maps.append(replace(made, title=f"layer {number}") if made.title == "layer" else made)

    with ExitStack() as stack:
        for part in network.modules():
            if isinstance(part, MapSource):
                stack.enter_context(part.recorded(keep))
        yield maps


@contextmanager
def recorded_outputs(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """What some parts of a network return, by their names; of several tensors the first."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            kept = output[0] if isinstance(output, tuple) else output
            found[name] = kept if kept.requires_grad else kept.requires_grad_()

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def evidence(logit: Tensor, layers: Mapping[str, Tensor]) -> list[CellMap]:
    """Where the evidence for a class lies: gradient times activation, summed over channels, what speaks for it alone.

    Source: HiResCAM (Draelos and Carin, 2020), which is Grad-CAM (Selvaraju et al., ICCV 2017) without averaging the
    gradient over places, and so exact where a flattening head follows, as it does here; where a mean follows both are
    equal.

    Args:
        logit: () of the class that was answered.
        layers: Name -> map (1, C, h, w), or (1, C, T, h, w), which is summed over T.
    """
    names = list(layers)
    gradients = torch.autograd.grad(logit, [layers[name] for name in names], allow_unused=True)
    maps = []
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is not None:
            product = (gradient * layers[name])[0].sum(0)
            product = product.sum(0) if product.ndim == 3 else product
            maps.append(CellMap(name, to_array(product.relu())))
    return maps


def to_array(values: Tensor) -> FloatImage:
    """A tensor as float32 on the CPU."""
    array: FloatImage = values.detach().float().cpu().numpy()
    return array
