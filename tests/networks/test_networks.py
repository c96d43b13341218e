"""Networks as a whole: registry, shapes, Action Units, sizes, parameters, learning."""

import json
import re

import pytest
import torch
import torch.nn.functional as F

from mer_pipeline.networks import (
    VIEW_NAMES,
    Network,
    Output,
    build,
    example_batch,
    learned_angles_deg,
    named_tensors,
    names,
    option_defaults,
    registry,
)
from mer_pipeline.networks.focalizer import PositionFocalizer
from mer_pipeline.networks.heads import classifier
from mer_pipeline.networks.registry import present_name, register
from tests.networks.tiny import EVERY, FLOW, FRAMES, OPTIONS, parameters, random_batch, tiny

AU_INPUT = [name for name in EVERY if "au_input" in option_defaults(name)]


def frames(clips: int, size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    onset = torch.randn(clips, 3, size, size, generator=generator)
    return onset, onset + 0.3 * torch.randn(clips, 3, size, size, generator=generator)


def test_registry_lists_all() -> None:
    assert names() == sorted(names())
    assert set(OPTIONS) <= set(names())


def test_a_network_keeps_its_earlier_name() -> None:
    assert present_name("facesleuth_flow") == "facesleuth-flow"
    assert option_defaults("facesleuth_flow") == option_defaults("facesleuth-flow")
    assert type(build("facesleuth_flow", classes=3, size=28)).__name__ == "FaceSleuthFlow"
    assert not any("_" in name for name in names())


def test_a_class_that_is_registered_is_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))

    @register("mean-of-flow")
    class MeanOfFlow(Network):
        view = "flow"
        step_px = 4

        def __init__(self, classes: int, size: int, *, bias: bool = True) -> None:
            super().__init__(size)
            self.classify = torch.nn.Linear(3, classes, bias)

        def forward(self, flow: torch.Tensor) -> Output:
            self.check(flow=flow)
            return Output(self.classify(flow.mean(dim=(2, 3))))

    assert option_defaults("mean-of-flow") == {"bias": True}
    network = build("mean-of-flow", classes=3, size=8, bias=False).eval()
    assert network.inputs == ("flow",)
    assert not network.explains
    assert network.run({**example_batch(network, 2), "onset": torch.zeros(1)}).logits.shape == (2, 3)
    assert network.explain(example_batch(network)).maps == ()
    with pytest.raises(ValueError, match="size is 10: give a multiple of 4"):
        build("mean-of-flow", classes=3, size=10)


@pytest.mark.parametrize("view", VIEW_NAMES)
def test_pictures_of_a_view_have_the_names_that_its_networks_take(view: str) -> None:
    images = torch.zeros(2, 5, 3, 8, 8)
    tensors = named_tensors(view, images)
    names = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    one = (2, 3, 8, 8)
    assert names == ({"onset": one, "apex": one} if view == "pair" else {view: one if view == "flow" else images.shape})


@pytest.mark.parametrize("name", EVERY)
def test_option_defaults_are_json_and_build(name: str) -> None:
    options = option_defaults(name)
    assert json.loads(json.dumps(options)) == options
    assert "classes" not in options


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("facesleut", {}, "did you mean facesleuth or facesleuth-flow?"),
        ("vgg", {}, f"choose one of {', '.join(names())}"),
        ("facesleuth", {"atention": "soa"}, "'atention': did you mean attention?"),
        ("facesleuth", {"attention": "sao"}, "choose one of soa"),
        ("facesleuth", {"head": "big"}, "branch, mean, literal, release"),
        ("facesleuth", {"stem": [8]}, "give 2 and 4 widths"),
        ("facesleuth", {"embed_dim": 33}, "embed_dim is 33"),
        ("facesleuth", {"size": 60}, "multiple of 16"),
        ("mmnet", {"size": 60}, "multiple of 16"),
        ("resnet18", {"classes": 1}, "at least 2"),
        ("facesleuth-flow", {"size": 27}, "at least 28"),
        ("facesleuth-flow", {"atention": "soa"}, "'atention': did you mean attention?"),
        ("facesleuth-flow", {"channels": [8]}, "give 2 and 4 widths"),
        ("facesleuth-flow", {"head": "big"}, "branch, mean, literal, release"),
        ("mmnet-flow", {"size": 27}, "at least 28"),
        ("mmnet-flow", {"channels": [8]}, "give 2 and 4 widths"),
        ("htnet", {"size": 30}, "multiple of 4"),
        ("htnet", {"size": 28, "patches": 6}, "multiple of 4 and divide the size"),
        ("htnet", {"size": 28, "width": 10}, "heads that divide the width"),
        ("off-apexnet", {"size": 7}, "at least 8"),
        ("sssnet", {"size": 15}, "at least 16"),
        ("rcn-a", {"size": 11}, "at least 12"),
        ("resnet3d", {"size": 27}, "at least 28"),
        ("resnet3d", {"frames": 1}, "frames is 1: give at least 2"),
        ("resnet3d", {"depth": 18}, "'depth': did you mean width?"),
        ("fdp", {"size": 48}, "size is 48: give a multiple of 32"),
        ("fdp", {"frames": 1}, "frames is 1: give at least 2"),
        ("fdp", {"depths": [3, 4, 10]}, "give 4, 4 and 3 of them"),
        ("fdp", {"widths": [96, 100, 96, 96]}, "multiples of 3, and beyond 96 of 96"),
        ("fdp", {"image_widths": [8]}, "give 4 widths"),
    ],
    ids=lambda value: str(value) if not isinstance(value, dict) else "-".join(value) or "none",
)
def test_wrong_options_are_named(name: str, options: dict, message: str) -> None:
    arguments = {"classes": 3, "size": 64, **OPTIONS.get(name, {}), **options}
    with pytest.raises(ValueError, match=re.escape(message)):
        build(name, **arguments)


@pytest.mark.parametrize("name", EVERY)
def test_wrong_size_names_both(name: str) -> None:
    other = random_batch(tiny(name, size=96), 1)
    with pytest.raises(ValueError, match=rf"(?s)96.*size {tiny(name).size}"):
        tiny(name)(**other)


@pytest.mark.parametrize("name", ["fdp", "resnet3d"])
def test_a_single_frame_is_no_sequence(name: str) -> None:
    net = tiny(name)
    (key, clips), *_ = random_batch(net, 2).items()
    with pytest.raises(ValueError, match="T from 2"):
        net(clips[:, :1])
    with pytest.raises(ValueError, match=f"{key} has shape"):
        net(clips[:, 0])


SIZES = [
    *((name, size) for name in FRAMES for size in (64, 96, 112, 160, 224, 256)),
    *((name, size) for name in FLOW for size in (28, 32, 56, 60 if name == "htnet" else 61, 112)),
    *(("fdp", size) for size in (32, 64, 96, 160)),
]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_sizes_and_batch_of_one(name: str, size: int) -> None:
    net = tiny(name, size=size).eval()
    output = net(**random_batch(net, 1))
    assert output.logits.shape == (1, 3)
    assert output.logits.isfinite().all()


@pytest.mark.parametrize("frames", [2, 3, 8, 11])
@pytest.mark.parametrize("name", ["fdp", "resnet3d"])
def test_weights_fit_any_number_of_frames(name: str, frames: int) -> None:
    net = tiny(name)
    net.load_state_dict(tiny(name, frames=frames).state_dict())
    output = net(**random_batch(tiny(name, frames=frames), 2))
    assert output.logits.shape == (2, 3)
    assert output.own_loss is None or output.own_loss.isfinite()


@pytest.mark.parametrize("attention", ["soa", "soa-shared", "horizontal", "cva", "none"])
@pytest.mark.parametrize("head", ["branch", "mean", "literal", "release"])
def test_facesleuth_variants(attention: str, head: str) -> None:
    net = tiny("facesleuth", attention=attention, head=head, position=head != "release", au_input=attention != "none")
    output = net(*frames(2, 64))
    assert output.logits.shape == (2, 3)
    assert (output.au_logits is None) == (attention == "none")
    output.logits.sum().backward()
    assert len(learned_angles_deg(net)) == {"soa": 4, "soa-shared": 1}.get(attention, 0)


@pytest.mark.parametrize("attention", ["soa", "soa-shared", "horizontal", "cva", "none"])
@pytest.mark.parametrize("size", [28, 33])
def test_facesleuth_flow_variants(attention: str, size: int) -> None:
    net = tiny("facesleuth-flow", size=size, attention=attention, head="release" if size == 33 else "branch")
    output = net(**random_batch(net, 2))
    assert output.au_logits.shape == (2, 21)
    (output.logits.sum() + output.au_logits.sum()).backward()
    assert len(learned_angles_deg(net)) == {"soa": 4, "soa-shared": 1}.get(attention, 0)
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", EVERY)
def test_bfloat16_autocast_trains(name: str) -> None:
    net = tiny(name, **{"head": "release"} if "head" in option_defaults(name) else {})
    batch = random_batch(net, 2)
    if "aus" in net.inputs:
        batch |= {"aus": torch.ones(2, 21), "aus_known": torch.tensor([True, False])}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = net(**batch)
    loss = F.cross_entropy(output.logits.float(), torch.tensor([0, 1]))
    (loss if output.own_loss is None else loss + output.own_loss).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_resnet3d_has_the_gradients_of_float32_under_autocast() -> None:
    """Torch's own bfloat16 gradient is wrong, or no number, in the third stage, which two frames are left of."""

    def gradient(autocast: bool) -> torch.Tensor:
        net = tiny("resnet3d", frames=8)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            output = net(**random_batch(net, 2))
        F.cross_entropy(output.logits.float(), torch.tensor([0, 1])).backward()
        return torch.cat([p.grad.flatten() for p in net.blocks.parameters()])

    expected = gradient(False)
    assert (gradient(True) - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "ststnet" else pytest.mark.slow) for name in EVERY]
)
def test_compiles(name: str) -> None:
    """The graph that torch traces gives the same numbers; the compiler behind it is torch's own affair."""
    net = tiny(name).eval()
    batch = random_batch(net, 2)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="eager")
    torch.testing.assert_close(compiled(**batch).logits, net(**batch).logits)


@pytest.mark.parametrize("name", AU_INPUT)
def test_action_units_annotated_predicted_none(name: str) -> None:
    net = tiny(name, au_input=True).eval()
    shown = tuple(random_batch(net, 2).values())
    assert net.inputs[len(shown) :] == ("aus", "aus_known")
    annotated = torch.zeros(2, 21)
    annotated[:, 4] = 1
    known, unknown = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    predicted = net(*shown)
    assert predicted.au_logits.shape == (2, 21)
    estimate = predicted.au_logits.sigmoid()
    given = net(*shown, annotated, known).logits
    assert not torch.allclose(given, predicted.logits)
    torch.testing.assert_close(net(*shown, annotated, unknown).logits, predicted.logits)
    torch.testing.assert_close(net(*shown, net.action_units.trust * estimate, known).logits, predicted.logits)
    torch.testing.assert_close(net(*shown, annotated).logits, given)
    mixed = net(*shown, annotated, torch.tensor([True, False])).logits
    torch.testing.assert_close(mixed, torch.stack([given[0], predicted.logits[1]]))
    none = net(*shown, torch.zeros(2, 21), known).logits
    assert not torch.allclose(none, predicted.logits)


@pytest.mark.parametrize(
    ("aus", "known", "message"),
    [(torch.zeros(2, 20), None, "expected (2, 21)"), (torch.zeros(2, 21), torch.ones(3) > 0, "expected (2,)")],
    ids=["aus", "known"],
)
def test_action_units_of_a_wrong_shape(aus: torch.Tensor, known: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny("facesleuth")(*frames(2, 64), aus, known)


@pytest.mark.parametrize("name", AU_INPUT)
def test_class_loss_does_not_teach_the_estimate(name: str) -> None:
    net = tiny(name, au_input=True)
    output = net(**random_batch(net, 2))
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


@pytest.mark.parametrize("name", EVERY)
def test_same_seed_same_numbers(name: str) -> None:
    def once() -> torch.Tensor:
        net = tiny(name)
        net(**random_batch(net, 2)).logits.square().sum().backward()
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    torch.testing.assert_close(once(), once(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("facesleuth", {"attention": "soa"}),
        ("facesleuth", {"attention": "cva", "head": "release"}),
        ("facesleuth", {"attention": "none", "position": False, "au_input": False}),
        ("facesleuth-flow", {}),
        ("fdp", {}),
        ("htnet", {}),
        ("mmnet", {}),
        ("mmnet-flow", {}),
        ("off-apexnet", {}),
        ("rcn-a", {}),
        ("resnet18", {}),
        ("resnet3d", {}),
        ("sssnet", {}),
        ("ststnet", {}),
    ],
    ids=str,
)
def test_overfits_eight_clips_within_fifty_steps(name: str, options: dict) -> None:
    net = tiny(name, size=32 if name == "resnet18" else 0, classes=4, **options)
    batch, labels = random_batch(net, 8), torch.arange(8) % 4
    slow = name in ("ststnet", "sssnet", "rcn-a", "off-apexnet")
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2 if slow else 2e-3)

    def fits() -> bool:
        return bool((net.eval()(**batch).logits.argmax(dim=1) == labels).all())

    for step in range(50):
        if step % 10 == 0 and step and fits():
            break
        output = net.train()(**batch)
        loss = F.cross_entropy(output.logits, labels)
        if output.own_loss is not None:
            loss = loss + output.own_loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert fits()


def test_ststnet_has_the_sizes_of_its_paper() -> None:
    # 3, 5 and 8 filters of 3x3x3 with bias and batch norm, then 16 x 5 x 5 cells to three classes.
    assert parameters(tiny("ststnet")) == (3 + 5 + 8) * (27 + 1 + 2) + 400 * 3 + 3


def test_the_auxiliary_head_changes_nothing_that_resnet3d_says() -> None:
    net = tiny("resnet3d").eval()
    batch = random_batch(net, 2)
    output = net(**batch)
    assert output.au_logits.shape == (2, 21)
    with torch.no_grad():
        for p in net.action_units.parameters():
            p.zero_()
    torch.testing.assert_close(net(**batch).logits, output.logits, rtol=0, atol=0)
    assert tiny("resnet3d", au_head=False)(**batch).au_logits is None


@pytest.mark.parametrize("name", AU_INPUT)
def test_a_card_of_an_older_version_means_the_literal_head(name: str) -> None:
    """It calls the head `paper`, or names none and has a single layer."""
    named = {"head": "paper"} if name.startswith("facesleuth") else {}
    net, state = tiny(name, au_input=True, **named), tiny(name, au_input=True, head="literal").state_dict()
    older = state if named else {key.replace("classify.classify.", "classify."): value for key, value in state.items()}
    assert not named or set(older) == set(net.state_dict())
    net.load_state_dict(older)
    assert {key: value.shape for key, value in net.state_dict().items()} == {k: v.shape for k, v in state.items()}


@pytest.mark.parametrize("features", [64, 100_000])
def test_an_action_unit_is_as_loud_as_all_features(features: int) -> None:
    """What one step of Adam does to a logit: the rate times the sum of its inputs' sizes."""
    head = classifier("branch", features, 1, au_input=True, classes=3)
    aus = torch.zeros(1, 21)
    aus[0, 7] = 1
    logits = head(torch.randn(1, features, generator=torch.Generator().manual_seed(0)).abs(), aus).logits
    logits[0, 0].backward()
    voice, heard = (layer.weight.grad[0].abs().sum().item() for layer in (head.face, head.units))
    assert 1 < heard / voice < 1.6
