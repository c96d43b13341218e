"""Multiply-accumulates: known sums, and that counting computes and changes nothing."""

import pytest
import torch

from mer_pipeline.networks import build, multiply_accumulates
from tests.networks.tiny import EVERY, tiny


def test_ststnet_by_hand() -> None:
    # 16 filters of 3x3x3 on 30 x 30 places, then 16 x 5 x 5 cells to three classes.
    assert multiply_accumulates(tiny("ststnet")) == 16 * 27 * 30 * 30 + 400 * 3


def test_resnet18_as_published() -> None:
    assert multiply_accumulates(build("resnet18", classes=1000, size=224)) == pytest.approx(1.81e9, rel=0.01)


def test_oriented_attention_by_hand() -> None:
    """Lines: three pairs a pixel to pool, again for their weight, two to read back; then two small matrices a line."""
    options = {"position": False, "au_input": False, "theta_deg": 30.0}
    with_it, without = (
        multiply_accumulates(tiny("facesleuth", attention=attention, **options)) for attention in ("cva", "none")
    )
    lines = sum(5 * side**2 * channels + 3 * side**2 for side, channels in ((32, 12), (16, 16), (8, 16), (4, 32)))
    assert lines < with_it - without < 3 * lines


@pytest.mark.parametrize("name", EVERY)
def test_every_network_is_counted_and_left_as_it_is(name: str) -> None:
    net = tiny(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    counted = multiply_accumulates(net)
    assert counted > 0
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    with torch.device("meta"):
        outline = tiny(name)
    assert multiply_accumulates(outline) == counted
