"""Clips that need no pictures of anybody: motion in a cell that names the class, in the view of flow."""

import dataclasses

import pytest
import torch

from mer_pipeline.cache.chain import Chain
from mer_pipeline.training import ClipSet

CLASSES = ("negative", "positive", "surprise")


def flow_clips(subjects: int = 4, clips: int = 6, datasets=("casme2", "smic"), noise: float = 0.3, seed: int = 0):
    """A clip set of view `flow`, 28 px: class c moves the skin in cell c."""
    generator = torch.Generator().manual_seed(seed)
    ids, groups, labels, images = [], [], [], []
    for dataset in datasets:
        for subject in range(1, subjects + 1):
            for clip in range(clips):
                label = clip % len(CLASSES)
                flow = noise * torch.randn(1, 3, 28, 28, generator=generator)
                flow[0, :2, 4 + 8 * label : 8 + 8 * label, 8:20] += 1
                ids.append(f"{dataset}/{subject:02d}/c{clip}")
                groups.append(f"{dataset}/{subject:02d}")
                labels.append(label)
                images.append(flow)
    aus = torch.zeros(len(ids), 21)
    aus[torch.arange(len(ids)), torch.tensor(labels)] = 1
    return ClipSet(
        clip_ids=ids,
        groups=groups,
        labels=torch.tensor(labels),
        images=torch.stack(images),
        aus=aus,
        aus_known=torch.ones(len(ids), dtype=torch.bool),
        classes=CLASSES,
        label_set="megc3",
        view="flow",
        chain=Chain(28, (), "", "published"),
    )


@pytest.fixture
def two_sets() -> ClipSet:
    return flow_clips()


@pytest.fixture
def one_set() -> ClipSet:
    return flow_clips(datasets=("casme2",))


@pytest.fixture
def shuffled(one_set) -> ClipSet:
    order = torch.randperm(len(one_set.labels), generator=torch.Generator().manual_seed(5))
    return dataclasses.replace(one_set, labels=one_set.labels[order])
