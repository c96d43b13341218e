"""Trained weights of old runs load, and a seed gives the network that it always gave."""

import hashlib

import pytest
from torch import nn

from tests.networks.tiny import EVERY, tiny

# Of the first versions; to be changed only where a network is meant to become another.
FIRST = [
    ("facesleuth", {}, "e849c9e209d22f7a", 6475.246450764),
    ("facesleuth-flow", {}, "4e6e3017852bf639", 2091.077530249),
    ("facesleuth", {"head": "literal"}, "d38361fe82505549", 6469.183492217),
    ("facesleuth", {"head": "release", "attention": "soa-shared"}, "9086fd3b7110df89", 7235.913559734),
    ("facesleuth-flow", {"head": "literal"}, "bec23087cbd0be45", 2090.389641682),
    ("fdp", {}, "398f9988a1c83dbd", 18498.986886128),
    ("htnet", {}, "4544187574710b86", 392.902379896),
    ("mmnet", {}, "b1d111bb85f1b1c2", 2860.619774849),
    ("mmnet", {"au_input": True}, "6149f11c15e132cc", 3151.948444760),
    ("mmnet-flow", {}, "a45c2e06bbbe7670", 2402.473724992),
    ("off-apexnet", {}, "8d600e873bcd881f", 20.561690313),
    ("rcn-a", {}, "934ecb9ede0f6af3", 113.787660849),
    ("resnet18", {}, "05eb1f10a882b44b", 1959.145739352),
    ("resnet18", {"au_input": True}, "d1df38c97e314403", 2233.121716346),
    ("resnet3d", {}, "70094fbc76d1b48c", 2974.091601128),
    ("sssnet", {}, "22b334c52378a2d3", 67.434394560),
    ("ststnet", {}, "3a7e9b45ef98b31e", 75.562546238),
]


def names_and_shapes(network: nn.Module) -> str:
    # The single layer of mmnet and resnet18 is now part of a head; `heads.adopt_single_layer` reads its old name.
    names = ((name.replace("classify.classify.", "classify."), value) for name, value in network.state_dict().items())
    text = "".join(f"{name}{tuple(value.shape)}" for name, value in names)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def numbers(network: nn.Module) -> float:
    """A sum that another order of random draws changes; processors differ in the last bit of a normal draw."""
    values = network.state_dict().values()
    return sum((at + 1) * value.double().abs().mean().item() for at, value in enumerate(values))


@pytest.mark.parametrize(("name", "options", "structure", "total"), FIRST, ids=str)
def test_a_fresh_network_is_the_one_it_always_was(name: str, options: dict, structure: str, total: float) -> None:
    network = tiny(name, **options)
    assert names_and_shapes(network) == structure
    assert numbers(network) == pytest.approx(total, rel=1e-7)


def test_every_network_is_held() -> None:
    assert {name for name, *_ in FIRST} == set(EVERY)
