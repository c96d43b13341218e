"""Running any network on a batch that may hold more, or less, than it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast, get_args

from torch import Tensor, nn

from mer_pipeline.networks.interface import Output

View = Literal["pair", "sequence", "flow", "flow_sequence"]
VIEWS: tuple[View, ...] = get_args(View)


def view(network: nn.Module) -> View:
    """What a network looks at: onset and apex (`pair`), or one of the other views of a clip."""
    names = input_names(network)
    return next((name for name in VIEWS if name in names), "pair")


def pictures(seen: View, images: Tensor) -> dict[str, Tensor]:
    """Frames of a view (B, F, C, size, size) as the tensors that networks name."""
    if seen == "pair":
        return {"onset": images[:, 0], "apex": images[:, -1]}
    return {seen: images[:, 0] if seen == "flow" else images}


def input_names(network: nn.Module) -> tuple[str, ...]:
    """The tensors that a network's forward takes."""
    return cast(tuple[str, ...], network.inputs)


def run(network: nn.Module, batch: Mapping[str, Tensor]) -> Output:
    """Give a network the tensors of a batch that it takes; one that the batch lacks has the network's default."""
    return cast(Output, network(**{name: batch[name] for name in input_names(network) if name in batch}))
