"""Other papers' networks on flow: the sizes that their papers or releases have, and what is particular to each."""

import pytest
import torch

from mer_pipeline.networks import build
from mer_pipeline.networks.flow_nets import ClassAttention, Level
from tests.networks.tiny import parameters, random_batch, tiny

INPUT = 2 * 3  # the batch norm of the input
SIZES = [
    # Streams of 6 and 16 filters of 5x5, 1,568 cells; a count of others is 2.66 M.
    pytest.param(
        "off-apexnet", {}, 2 * (6 * 26 + 16 * 151) + 1568 * 1024 + 1024 + 1024 * 1025 + 1025 * 3, id="Off-ApexNet"
    ),
    # 32 filters of 5x5x3 and 64 of 3x3x32, each with a batch norm; 3 x 3 cells.
    pytest.param("sssnet", {}, 32 * 78 + 64 * (288 + 3) + 576 * 256 + 256 + 257 * 3, id="SSSNet"),
    # 64 filters of 5x5x3, a 1x1 and a 3x3 convolution, each with a batch norm; the attention adds nothing.
    pytest.param("rcn-a", {}, 64 * 78 + 64 * (64 + 3) + 64 * (576 + 3) + 2304 * 3 + 3, id="RCN-A"),
]


@pytest.mark.parametrize(("name", "options", "count"), SIZES)
def test_a_network_has_the_sizes_of_its_paper(name: str, options: dict, count: int) -> None:
    assert parameters(build(name, classes=3, size=28, **options)) == count + INPUT


def test_off_apexnet_does_not_see_strain() -> None:
    net = tiny("off-apexnet").eval()
    flow = random_batch(net, 2)["flow"]
    still = flow.clone()
    still[:, 2] = 0
    torch.testing.assert_close(net(still).logits, net(flow).logits, rtol=0, atol=0)
    still[:, 0] = 0
    assert not torch.allclose(net(still).logits, net(flow).logits)


def test_rcn_attends_to_where_the_classifier_finds_its_classes() -> None:
    maps = torch.zeros(1, 2, 3, 3)
    maps[0, 0, 1, 2] = 1
    weight = torch.zeros(2, 2, 3, 3)
    weight[:, 0] = 1
    attention = ClassAttention()(maps, weight.flatten(1))
    assert attention.shape == (1, 1, 3, 3)
    assert attention[0, 0, 1, 2] == 1
    assert attention.sum() == 1


def test_a_recurrent_convolution_is_one_convolution_used_twice() -> None:
    recurrent = tiny("rcn-a").eval().recurrent
    x = torch.rand(1, 8, 4, 4)
    once = recurrent.again(x + recurrent.enter(x))
    torch.testing.assert_close(recurrent(x), recurrent.shrink(recurrent.again(x + once)))


@pytest.mark.parametrize(("patches", "attends"), [(4, False), (8, True)], ids=["release", "2 x 2 a part"])
def test_htnet_has_nothing_to_attend_to_in_the_setting_of_its_release(patches: int, attends: bool) -> None:
    """A part of a single patch: what attention weighs by does not matter."""
    net = tiny("htnet", size=56, patches=patches).eval()
    flow = random_batch(net, 2)["flow"]
    before = net(flow).logits
    with torch.no_grad():
        for level in (part for part in net.levels if isinstance(part, Level)):
            for block in level.blocks:
                block.attn.qkv.weight[: len(block.attn.qkv.weight) // 3] = 0  # the queries
    assert torch.allclose(net(flow).logits, before, atol=1e-6) != attends


def test_htnet_attends_inside_a_part_alone() -> None:
    level = Level(width=6, heads=2, depth=1, parts=2, side=2).eval()
    x = torch.rand(1, 6, 4, 4)
    other = x.clone()
    other[..., :2, :2] = 0
    changed = (level(other) - level(x)).abs().sum(dim=1)[0] > 1e-6
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:2, :2] = True
    assert torch.equal(changed, expected)


def test_htnet_puts_eyes_above_the_corners_of_the_mouth() -> None:
    net = tiny("htnet")
    rows = torch.arange(28.0)[:, None].expand(28, 28)
    parts = net._parts(torch.stack([rows, rows.T, rows])[None])[0]
    assert parts[0, :14, 0].tolist() == list(range(4, 18))
    assert parts[0, 14:, 0].tolist() == list(range(14, 28))
    assert parts[1, 0, :14].tolist() == list(range(2, 16))
    assert parts[1, 0, 14:].tolist() == list(range(14, 28))
