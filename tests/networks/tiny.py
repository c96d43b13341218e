"""Every network, small, and random clips for it."""

import torch
from torch import Tensor, nn

from mer_pipeline.networks import build, example_batch, names

SLIM = {"stem": [8, 12], "channels": [12, 16, 16, 32]}
OPTIONS: dict[str, dict] = {
    "facesleuth": {**SLIM, "embed_dim": 8},
    "facesleuth-flow": {**SLIM, "dropout": 0.0},
    "fdp": {
        "depths": [1, 1, 1, 1],
        "widths": [12, 12, 24, 24],
        "stem": [8, 8, 8],
        "image_widths": [8, 8, 16, 16],
        "hidden": 32,
        "drop_path": 0.0,
    },
    "htnet": {"width": 12, "depths": [1, 1, 1]},
    "mmnet": SLIM,
    "mmnet-flow": {**SLIM, "dropout": 0.0},
    "off-apexnet": {"filters": [3, 4], "hidden": [16, 16], "dropout": 0.0},
    "rcn-a": {"width": 8, "dropout": 0.0},
    "resnet18": {},
    "resnet3d": {"width": 8, "dropout": 0.0},
    "sssnet": {"filters": [8, 8], "hidden": 16, "dropout": 0.0},
    "ststnet": {"dropout": 0.0},
}
FRAMES = ["facesleuth", "mmnet", "resnet18"]
FLOW = ["facesleuth-flow", "htnet", "mmnet-flow", "off-apexnet", "rcn-a", "resnet3d", "sssnet", "ststnet"]
EVERY = names()


def tiny(name: str, size: int = 0, classes: int = 3, **options) -> nn.Module:
    """A small network from seed 0; flow of 28 pixels, frames of 64 and grey frames of 32 where no size is given."""
    torch.manual_seed(0)
    size = size or (28 if name in FLOW else 32 if name == "fdp" else 64)
    return build(name, classes=classes, size=size, **{**OPTIONS.get(name, {}), **options})


def random_batch(network: nn.Module, clips: int, seed: int = 0) -> dict[str, Tensor]:
    """Random pictures, grey ones in 0..1; no Action Units."""
    generator = torch.Generator().manual_seed(seed)
    batch = {}
    for name, zeros in example_batch(network, clips).items():
        if name == "sequence":
            batch[name] = torch.rand(zeros.shape, generator=generator)
        elif not name.startswith("aus"):
            batch[name] = torch.randn(zeros.shape, generator=generator)
    return batch


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
