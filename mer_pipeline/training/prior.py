"""The model that ships, put beside a network that is to be trained."""

from __future__ import annotations

from typing import cast

import torch

from mer_pipeline.cache.chain import PUBLISHED
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.labels import label_set
from mer_pipeline.networks import Network
from mer_pipeline.reader import GROUPS, shipped
from mer_pipeline.reader.features import window

NOTE = (
    "the model that ships answers beside the network (prior = shipped): it saw no real clip, but its settings were "
    "chosen with CASME II's flow images in sight, so scores on CASME II owe something to that choice"
)


def start_prior(network: Network, clips: ClipSet) -> None:
    """Give a network that has a prior the reader that ships, its groups dealt to the classes of these clips.

    A class has the probability of its group, shared evenly with the other classes of that group; one that belongs to no
    group has a quarter of everything.
    """
    if network.prior is None:
        return
    reader, groups = shipped(), [_group(name) for name in clips.classes]
    share = torch.full((len(groups), len(GROUPS)), 1 / len(GROUPS))
    for row, group in enumerate(groups):
        if group is not None:
            share[row] = 0
            share[row, GROUPS.index(group)] = 1 / groups.count(group)
    members = [{name: torch.from_numpy(values) for name, values in each.tensors.items()} for each in reader.members]
    temperature = cast(float, reader.card["temperature"])
    network.prior.start(members, temperature, share, window(clips.size, clips.flow != PUBLISHED))


def _group(emotion: str) -> str | None:
    """The reader's group of a class: the class of that name, or its class in MEGC's three."""
    if emotion in GROUPS:
        return emotion
    megc = label_set("megc3")
    at = megc.class_of(emotion)
    return None if at is None else megc.classes[at]
