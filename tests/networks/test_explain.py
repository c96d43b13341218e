"""Maps show what a network decides by, and say how far."""

import numpy as np
import pytest
import torch
from torch import nn

from mer_pipeline.networks import CellMap, LineMap, Network, Output, example_batch, holds, names
from mer_pipeline.networks.attention import AttentionProfile, OrientationAttention
from mer_pipeline.networks.perturb import moves
from tests.networks.tiny import random_batch, tiny


class Corner(Network):
    """It decides by the motion in the upper left 8 x 8 of 32 pixels."""

    view = "flow"

    def __init__(self) -> None:
        super().__init__(32)
        self.cut = nn.AvgPool2d(4)
        weight = torch.zeros(2, 3, 8, 8)
        weight[0, 0, :2, :2] = 1.0
        self.weight = nn.Parameter(weight)

    @property
    def evidence_layers(self):
        return {"motion": self.cut}

    def forward(self, flow):
        return Output(torch.einsum("bcij,kcij->bk", self.cut(flow), self.weight))


def test_evidence_lies_where_the_decision_is_made():
    flow = 1 + 0.1 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (seen,) = Corner().eval().explain({"flow": flow}).maps
    assert seen.title == "motion"
    assert (seen.values[:2, :2] > 0).all()
    assert seen.values.sum() == pytest.approx(seen.values[:2, :2].sum())
    assert seen.moves > 3
    assert holds(seen)


def test_a_map_beside_the_decision_does_not_hold():
    network, flow = Corner().eval(), torch.ones(1, 3, 32, 32)
    beside = np.zeros((8, 8), np.float32)
    beside[3:, 5:] = 1  # 15 cells: a fifth of 64 is 13
    ratio = moves(lambda batch: network.run(batch).logits, {"flow": flow}, 32, beside)
    assert ratio == 0
    assert not holds(CellMap("motion", beside, ratio))


@pytest.mark.parametrize("view", ["pair", "sequence", "flow_sequence"])
def test_hiding_takes_the_motion_away(view):
    """A network that sums what moves, in every view: all of the marked region, and nothing else, is lost."""
    generator = torch.Generator().manual_seed(0)
    if view == "pair":
        batch = {"onset": torch.zeros(1, 3, 20, 20), "apex": torch.zeros(1, 3, 20, 20)}
        batch["apex"][..., :4] = 1
        moved = lambda shown: (shown["apex"] - shown["onset"])[..., :4].abs().sum((1, 2, 3))  # noqa: E731
    else:
        batch = {view: torch.zeros(1, 3, 1 if view == "sequence" else 3, 20, 20)}
        batch[view][:, 1:, :, :, :4] = 1 + torch.rand(20, 4, generator=generator)
        moved = lambda shown: (shown[view] - shown[view][:, :1])[..., :4].abs().sum((1, 2, 3, 4))  # noqa: E731
    values = np.zeros((5, 5), np.float32)
    values[:, 0] = 1
    seen = []

    def logits(shown):
        seen.append(moved(shown))
        return torch.stack([seen[-1], -seen[-1]], 1)

    assert moves(logits, batch, 20, values) > 2
    assert seen[1][0] < 0.25 * seen[0][0]


def test_lines_show_the_size_of_attention_of_both_signs():
    profile = AttentionProfile(
        torch.tensor([1.0, -1.0]).repeat(1, 17, 1), torch.ones(1, 17, 1), torch.tensor(1.5708), 8, 8
    )
    assert set(OrientationAttention(2).map_of(profile).values) == {1.0}


@pytest.mark.parametrize("name", names())
def test_every_network_explains_itself(name):
    network = tiny(name).eval()
    batch = random_batch(network, 1)
    found = network.explain({**example_batch(network), **batch}).maps
    titles = [seen.title for seen in found]
    layers = {"facesleuth": 4, "facesleuth-flow": 4, "mmnet": 4, "mmnet-flow": 4, "fdp": 4, "rcn-a": 1}.get(name, 0)
    assert titles[:layers] == [f"layer {at + 1}" for at in range(layers)]
    assert titles[layers:] == (["motion", "position"] if name in ("facesleuth", "mmnet") else ["motion"])
    for seen in found:
        assert seen.moves >= 0
        assert np.isfinite(seen.cells).all()
        assert isinstance(seen, LineMap) == (name.startswith("facesleuth") and seen.title.startswith("layer"))
    assert network.explains
    if name == "fdp":
        assert sum(found[0].values.ravel()) == pytest.approx(1, abs=1e-5)  # a share a key
