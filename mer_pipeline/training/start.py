"""Weights that a training begins with: those of another run, which saw none of the clips that are tested here."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from mer_pipeline.choices import MADE_UP
from mer_pipeline.errors import MerError
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.networks import Network
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.card import Card
from mer_pipeline.runs.weights import digest_of_tensors, load_network


def start_note(clips: ClipSet, recipe: Recipe) -> list[str]:
    """What the reader of a run should know of the weights that it begins with.

    Raises:
        MerError: They cannot be used, or were trained on a set whose clips are tested here.
    """
    if not recipe.start:
        return []
    state, card = load_network(Path(recipe.start))
    seen = sorted({name for name in card.datasets if not name.endswith(MADE_UP)} & set(clips.datasets))
    if seen:
        raise MerError(
            f"its weights were trained on {', '.join(seen)}, whose clips are tested here",
            where=recipe.start,
            fix="begin with a run of other sets, of synthetic ones, or leave start out",
        )
    network = recipe.outline(clips.size, len(clips.classes))
    taken, whole = _taken(network, state, card, clips, recipe), network.state_dict()
    if not any(tensor.ndim > 1 for tensor in taken.values()):
        raise MerError(
            f"no weight of it fits {recipe.network} as it is built here",
            where=recipe.start,
            fix="train both with one recipe and size",
        )
    what = f"{card.model}, trained on {', '.join(card.datasets)} (digest {digest_of_tensors(state, '')[:8]})"
    return [f"{len(taken)} of {len(whole)} tensors begin as those of {what}"]


def start_weights(network: Network, clips: ClipSet, recipe: Recipe) -> None:
    """Give a fresh network the weights that the recipe begins with; what does not fit stays fresh."""
    if recipe.start:
        state, card = load_network(Path(recipe.start))
        network.load_state_dict({**network.state_dict(), **_taken(network, state, card, clips, recipe)})


def _taken(network: Network, state: dict[str, Tensor], card: Card, clips: ClipSet, recipe: Recipe) -> dict[str, Tensor]:
    """The tensors that fit by name and shape; without those of the classes where the classes differ."""
    own = network.state_dict()
    fits = {name for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    if tuple(card.classes) != tuple(clips.classes):
        # A tensor whose shape hangs on the number of classes belongs to the head.
        other = recipe.outline(clips.size, len(clips.classes) + 1).state_dict()
        fits = {name for name in fits if other[name].shape == own[name].shape}
    return {name: state[name] for name in sorted(fits) if not name.startswith("prior.")}
