"""Networks as a whole: registry, shapes, Action Units, sizes, parameters, learning."""

import json
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mer_pipeline.networks import build, learned_angles_deg, names, option_defaults
from mer_pipeline.networks.focalizer import PositionFocalizer

SLIM = {"stem": [8, 12], "channels": [12, 16, 16, 32]}
TINY: dict[str, dict] = {
    "facesleuth": {**SLIM, "embed_dim": 8},
    "mmnet": SLIM,
    "resnet18": {},
}


def frames(clips: int, size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    onset = torch.randn(clips, 3, size, size, generator=generator)
    return onset, onset + 0.3 * torch.randn(clips, 3, size, size, generator=generator)


def tiny(name: str, size: int = 64, classes: int = 3, **options) -> nn.Module:
    torch.manual_seed(0)
    return build(name, classes=classes, size=size, **{**TINY[name], **options})


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_registry_lists_all() -> None:
    assert names() == sorted([*TINY, "ststnet"])


@pytest.mark.parametrize("name", names())
def test_option_defaults_are_json_and_build(name: str) -> None:
    options = option_defaults(name)
    assert json.loads(json.dumps(options)) == options
    assert "classes" not in options


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("facesleut", {}, "did you mean facesleuth?"),
        ("vgg", {}, "facesleuth, mmnet, resnet18, ststnet"),
        ("facesleuth", {"atention": "soa"}, "'atention': did you mean attention?"),
        ("facesleuth", {"attention": "sao"}, "choose one of soa"),
        ("facesleuth", {"head": "big"}, "paper, release"),
        ("facesleuth", {"stem": [8]}, "give 2 and 4 widths"),
        ("facesleuth", {"embed_dim": 33}, "embed_dim is 33"),
        ("facesleuth", {"size": 60}, "multiple of 16"),
        ("mmnet", {"size": 60}, "multiple of 16"),
        ("resnet18", {"classes": 1}, "at least 2"),
    ],
    ids=lambda value: str(value) if not isinstance(value, dict) else "-".join(value) or "none",
)
def test_wrong_options_are_named(name: str, options: dict, message: str) -> None:
    arguments = {"classes": 3, "size": 64, **TINY.get(name, {}), **options}
    with pytest.raises(ValueError, match=re.escape(message)):
        build(name, **arguments)


@pytest.mark.parametrize("name", TINY)
def test_wrong_frame_size_names_both(name: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)96.*size 64"):
        tiny(name)(*frames(1, 96))


@pytest.mark.parametrize("size", [64, 96, 112, 160, 224, 256])
@pytest.mark.parametrize("name", TINY)
def test_sizes_and_batch_of_one(name: str, size: int) -> None:
    net = tiny(name, size=size).eval()
    output = net(*frames(1, size))
    assert output.logits.shape == (1, 3)
    assert output.logits.isfinite().all()


@pytest.mark.parametrize("attention", ["soa", "soa-shared", "horizontal", "cva", "none"])
@pytest.mark.parametrize("head", ["paper", "release"])
def test_facesleuth_variants(attention: str, head: str) -> None:
    net = tiny("facesleuth", attention=attention, head=head, position=head == "paper", au_input=attention != "none")
    output = net(*frames(2, 64))
    assert output.logits.shape == (2, 3)
    assert (output.au_logits is None) == (attention == "none")
    output.logits.sum().backward()
    assert len(learned_angles_deg(net)) == {"soa": 4, "soa-shared": 1}.get(attention, 0)


def test_bfloat16_autocast_trains() -> None:
    net = tiny("facesleuth", head="release")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = net(*frames(2, 64), aus=torch.ones(2, 21), aus_known=torch.tensor([True, False]))
    F.cross_entropy(output.logits.float(), torch.tensor([0, 1])).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", TINY)
def test_action_units_annotated_predicted_none(name: str) -> None:
    net = tiny(name, au_input=True).eval()
    assert net.inputs == ("onset", "apex", "aus", "aus_known")
    onset, apex = frames(2, 64)
    annotated = torch.zeros(2, 21)
    annotated[:, 4] = 1
    known, unknown = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    predicted = net(onset, apex)
    assert predicted.au_logits.shape == (2, 21)
    estimate = predicted.au_logits.sigmoid()
    given = net(onset, apex, annotated, known).logits
    assert not torch.allclose(given, predicted.logits)
    torch.testing.assert_close(net(onset, apex, annotated, unknown).logits, predicted.logits)
    torch.testing.assert_close(net(onset, apex, estimate, known).logits, predicted.logits)
    torch.testing.assert_close(net(onset, apex, annotated).logits, given)
    mixed = net(onset, apex, annotated, torch.tensor([True, False])).logits
    torch.testing.assert_close(mixed, torch.stack([given[0], predicted.logits[1]]))
    none = net(onset, apex, torch.zeros(2, 21), known).logits
    assert not torch.allclose(none, predicted.logits)


@pytest.mark.parametrize(
    ("aus", "known", "message"),
    [(torch.zeros(2, 20), None, "expected (2, 21)"), (torch.zeros(2, 21), torch.ones(3) > 0, "expected (2,)")],
    ids=["aus", "known"],
)
def test_action_units_of_a_wrong_shape(aus: torch.Tensor, known: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny("facesleuth")(*frames(2, 64), aus, known)


@pytest.mark.parametrize("name", TINY)
def test_class_loss_does_not_teach_the_estimate(name: str) -> None:
    net = tiny(name, au_input=True)
    output = net(*frames(2, 64))
    F.cross_entropy(output.logits, torch.tensor([0, 1])).backward(retain_graph=True)
    head = list(net.action_units.parameters())
    assert head
    assert all(p.grad is None for p in head)
    output.au_logits.sum().backward()
    assert all(p.grad is not None for p in head)


def test_parameter_counts() -> None:
    """The numbers of the paper's table and of the release."""
    assert parameters(PositionFocalizer(224, embed_dim=128)) == pytest.approx(21.6e6, rel=0.005)
    compact = build("facesleuth", classes=5, size=224)
    assert parameters(compact) == pytest.approx(8.79e6, rel=0.005)
    release = build("facesleuth", classes=5, size=224, embed_dim=128, head="release")
    assert parameters(release) == pytest.approx(75.8e6, rel=0.005)
    assert parameters(tiny("facesleuth")) < 0.3e6


@pytest.mark.parametrize("name", TINY)
def test_same_seed_same_numbers(name: str) -> None:
    def once() -> torch.Tensor:
        net = tiny(name)
        net(*frames(2, 64)).logits.square().sum().backward()
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    torch.testing.assert_close(once(), once(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("facesleuth", {"attention": "soa"}),
        ("facesleuth", {"attention": "cva", "head": "release"}),
        ("facesleuth", {"attention": "none", "position": False, "au_input": False}),
        ("mmnet", {}),
        ("resnet18", {}),
    ],
    ids=str,
)
def test_overfits_eight_clips(name: str, options: dict) -> None:
    size = 32 if name == "resnet18" else 64
    net = tiny(name, size=size, classes=4, **options)
    onset, apex = frames(8, size)
    labels = torch.arange(8) % 4
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    for _ in range(50):
        logits = net(onset, apex).logits
        loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (net.eval()(onset, apex).logits.argmax(dim=1) == labels).all()


def test_ststnet_has_the_sizes_of_its_paper() -> None:
    net = tiny_flow()
    # 3, 5 and 8 filters of 3x3x3 with bias and batch norm, then 16 x 5 x 5 cells to three classes.
    assert parameters(net) == (3 + 5 + 8) * (27 + 1 + 2) + 400 * 3 + 3
    assert net(torch.randn(2, 3, 28, 28)).logits.shape == (2, 3)
    with pytest.raises(ValueError, match=r"(?s)32.*size 28"):
        net(torch.randn(2, 3, 32, 32))


def test_ststnet_overfits_eight_clips() -> None:
    net = tiny_flow(dropout=0.0)
    flow, labels = torch.randn(8, 3, 28, 28), torch.arange(8) % 3
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        loss = F.cross_entropy(net(flow).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (net(flow).logits.argmax(1) == labels).all()


def tiny_flow(**options) -> nn.Module:
    torch.manual_seed(0)
    return build("ststnet", classes=3, size=28, **options)
