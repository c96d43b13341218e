"""Running any network on a batch that may hold more, or less, than it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from mer_pipeline.networks.interface import Output


def input_names(network: nn.Module) -> tuple[str, ...]:
    """The tensors that a network's forward takes."""
    return cast(tuple[str, ...], network.inputs)


def run(network: nn.Module, batch: Mapping[str, Tensor]) -> Output:
    """Give a network the tensors of a batch that it takes; one that the batch lacks has the network's default."""
    return cast(Output, network(**{name: batch[name] for name in input_names(network) if name in batch}))
