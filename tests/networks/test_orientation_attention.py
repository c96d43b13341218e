"""The orientation operator: equality with CVA, symmetry, gradient of the angle, precision, determinism."""

import copy
import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline.networks import OrientationAttention, angle_parameters, learned_angles_deg, orientation
from mer_pipeline.networks.attention import AttentionProfile
from mer_pipeline.networks.modes import attention_layers

SHAPES = [(8, 8), (7, 7), (8, 7), (5, 12), (12, 5), (1, 6), (6, 1), (14, 14), (32, 32)]
ANGLES_DEG = [0.0, 17.0, 33.3, 45.0, 89.0, 90.0, 121.0, 135.0, 180.0, -20.0]


def reference_cva(layers: list[OrientationAttention], maps: list[Tensor]) -> list[Tensor]:
    """CVA as the paper writes it: mean over the width, f1, f2, previous attention max-pooled and brought to C."""
    results, previous = [], None
    for layer, x in zip(layers, maps, strict=True):
        mean = x.mean(dim=3).transpose(1, 2)  # (B, H, C)
        attention = torch.sigmoid(layer.restore(layer.squeeze(mean).relu()))
        if previous is not None:
            if previous.shape[1] != x.shape[2]:
                previous = F.max_pool1d(previous.transpose(1, 2), 3, stride=2, padding=1).transpose(1, 2)
            attention = attention * layer.continuity(previous)
        previous = attention
        results.append(x * attention.transpose(1, 2)[..., None])
    return results


def chain(channels: list[int], theta_deg: float, dtype: torch.dtype = torch.float32) -> list[OrientationAttention]:
    torch.manual_seed(0)
    return [
        OrientationAttention(c, theta_deg, previous_channels=before).to(dtype)
        for before, c in zip([None, *channels[:-1]], channels, strict=True)
    ]


def run_chain(layers: list[OrientationAttention], maps: list[Tensor]) -> list[Tensor]:
    results: list[Tensor] = []
    previous: AttentionProfile | None = None
    for layer, x in zip(layers, maps, strict=True):
        y, previous = layer.attend(x, previous)
        results.append(y)
    return results


def chain_maps(shape: tuple[int, int], channels: list[int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Maps of a chain whose strides are 1, 1, 2, 2."""
    torch.manual_seed(1)
    (h, w), maps = shape, []
    for index, c in enumerate(channels):
        if index > 1:
            h, w = (h + 1) // 2, (w + 1) // 2
        maps.append(torch.randn(2, c, h, w, dtype=dtype))
    return maps


def set_deg(layer: OrientationAttention, theta_deg: float) -> None:
    with torch.no_grad():
        layer.orientation.theta_rad.fill_(math.radians(theta_deg))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("theta_deg", [90.0, -90.0, 270.0])
def test_equals_cva_at_90(shape: tuple[int, int], theta_deg: float) -> None:
    channels = [6, 6, 10, 10]
    layers, maps = chain(channels, theta_deg), chain_maps(shape, channels)
    for got, expected in zip(run_chain(layers, maps), reference_cva(layers, maps), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("theta_deg", [90.0, 0.0])
def test_equals_cva_at_the_release_size(theta_deg: float) -> None:
    layers, x = chain([16], theta_deg), torch.randn(1, 16, 112, 112)
    turned = x if theta_deg else x.transpose(2, 3)
    expected = reference_cva(layers, [turned])[0]
    torch.testing.assert_close(layers[0](x), expected if theta_deg else expected.transpose(2, 3), atol=1e-6, rtol=0)


def test_gradients_equal_those_of_cva() -> None:
    (layer,), (x,) = chain([6], 90.0), chain_maps((9, 12), [6])
    x.requires_grad_()
    weights = torch.randn_like(x)
    wanted = [x, *layer.squeeze.parameters(), *layer.restore.parameters()]
    got = torch.autograd.grad((layer(x) * weights).sum(), wanted)
    expected = torch.autograd.grad((reference_cva([layer], [x])[0] * weights).sum(), wanted)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_horizontal_is_cva_of_the_transposed_map(shape: tuple[int, int]) -> None:
    channels = [6, 6, 10]
    layers, maps = chain(channels, 0.0), chain_maps(shape, channels)
    expected = reference_cva(layers, [x.transpose(2, 3) for x in maps])
    for got, transposed in zip(run_chain(layers, maps), expected, strict=True):
        torch.testing.assert_close(got, transposed.transpose(2, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("theta_deg", ANGLES_DEG)
def test_symmetries(shape: tuple[int, int], theta_deg: float) -> None:
    """Transposing turns t into 90 - t, flipping into 180 - t, and half a turn of the axis changes nothing."""
    channels = [4, 4, 6]
    maps = chain_maps(shape, channels, torch.float64)
    base = run_chain(chain_at(channels, theta_deg), maps)
    transposed = run_chain(chain_at(channels, 90 - theta_deg), [x.transpose(2, 3) for x in maps])
    turned = run_chain(chain_at(channels, theta_deg + 180), maps)
    for a, b, c in zip(base, transposed, turned, strict=True):
        torch.testing.assert_close(a, b.transpose(2, 3), atol=1e-9, rtol=0)
        torch.testing.assert_close(a, c, atol=1e-9, rtol=0)
    if shape[1] % 2 == 0 and shape[0] % 2 == 1:
        return  # where one side is even, only the flip along the odd side is exact
    flipped = run_chain(chain_at(channels[:2], 180 - theta_deg), [x.flip(3) for x in maps[:2]])
    for a, b in zip(base, flipped, strict=False):
        torch.testing.assert_close(a, b.flip(3), atol=1e-9, rtol=0)


def chain_at(channels: list[int], theta_deg: float) -> list[OrientationAttention]:
    layers = chain(channels, 0.0, torch.float64)
    for layer in layers:
        set_deg(layer, theta_deg)  # in float64, after the constructor's float32
    return layers


@pytest.mark.parametrize("shape", [(8, 8), (7, 7), (8, 7), (7, 10)], ids=str)
@pytest.mark.parametrize("theta_deg", ANGLES_DEG)
def test_angle_gradient_is_the_central_difference(shape: tuple[int, int], theta_deg: float) -> None:
    """Between bins and on them, for every layer's angle of a chain."""
    channels = [4, 4, 6]
    layers, maps = chain_at(channels, theta_deg), chain_maps(shape, channels, torch.float64)
    weights = [torch.randn_like(x) for x in maps]

    def loss() -> Tensor:
        return sum(((y * w).sum() for y, w in zip(run_chain(layers, maps), weights, strict=True)), torch.zeros(()))

    angles = [layer.orientation.theta_rad for layer in layers]
    gradients = torch.autograd.grad(loss(), angles)
    step = 1e-6
    for angle, gradient in zip(angles, gradients, strict=True):
        with torch.no_grad():
            start = angle.clone()
            angle.copy_(start + step)
            above = loss().item()
            angle.copy_(start - step)
            below = loss().item()
            angle.copy_(start)
        assert gradient.item() == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("theta_deg", [20.0, 90.0])
def test_gradcheck_of_map_and_weights(theta_deg: float) -> None:
    layer = chain_at([3], theta_deg)[0]
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: layer(value), (x,))


@pytest.mark.parametrize("shape", [(8, 8), (8, 7)], ids=str)
@pytest.mark.parametrize("theta_deg", [0.0, 33.3, 90.0])
def test_matrix_form_is_the_same_operator(
    shape: tuple[int, int], theta_deg: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form for export and other devices, differentiated by autograd alone, agrees in value and gradient."""
    layer = chain_at([3], theta_deg)[0]
    x = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    weights = torch.randn_like(x)
    wanted = [x, *layer.parameters()]
    sparse = layer(x)
    sparse_gradients = torch.autograd.grad((sparse * weights).sum(), wanted)
    monkeypatch.setattr(orientation, "_needs_matrix", lambda rows: True)
    dense = layer(x)
    torch.testing.assert_close(sparse, dense, atol=1e-10, rtol=0)
    for a, b in zip(sparse_gradients, torch.autograd.grad((dense * weights).sum(), wanted), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("theta_deg", ANGLES_DEG)
def test_constant_map_keeps_its_value_on_every_line(theta_deg: float) -> None:
    grid = orientation.line_grid(torch.tensor(math.radians(theta_deg)), 9, 12, torch.float32)
    means, presence = orientation.line_means(torch.full((2, 108, 3), 0.7), grid)
    torch.testing.assert_close(means, torch.full_like(means, 0.7))
    assert presence.max() == 1
    assert grid.read_weight.sum(dim=1) == pytest.approx(torch.ones(108).numpy())


def test_frozen_angles_have_no_parameter() -> None:
    layer = OrientationAttention(8, 90.0, learnable=False)
    assert angle_parameters(layer) == []
    assert learned_angles_deg(layer) == []
    assert layer.theta_deg == 90.0


@pytest.mark.parametrize(
    ("start_deg", "expected_deg"), [(45, 45), (180, 0), (-30, 150), (405, 45), (-1e-9, 0)], ids=str
)
def test_angle_is_reported_modulo_180(start_deg: float, expected_deg: float) -> None:
    assert OrientationAttention(8, start_deg).theta_deg == pytest.approx(expected_deg, abs=1e-4)


def test_shared_angle_is_one_parameter() -> None:
    layers, shared = attention_layers("soa-shared", (8, 8, 16), 30.0)
    both = nn.ModuleDict({"layers": layers, "shared": shared})
    (angle,) = angle_parameters(both)
    assert learned_angles_deg(both) == [pytest.approx(30.0, abs=1e-4)]
    assert [name for name in both.state_dict() if "theta" in name] == ["shared.theta_rad"]
    copied = copy.deepcopy(both)
    (copied_angle,) = angle_parameters(copied)
    assert copied_angle is not angle
    assert all(layer.orientation is copied["shared"] for layer in copied["layers"])


def test_bfloat16_autocast_runs_close_to_float32() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), OrientationAttention(8))
    x = torch.randn(2, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = net(x)
    assert low.dtype == torch.bfloat16
    low.float().sum().backward()
    (angle,) = angle_parameters(net)
    assert angle.grad is not None
    assert angle.grad.isfinite()
    torch.testing.assert_close(low.float(), net(x), atol=0.05, rtol=0.05)


def test_same_seed_same_numbers() -> None:
    def once() -> list[Tensor]:
        layers = chain([8, 16], 33.0)
        maps = [torch.randn(3, 8, 16, 16, generator=torch.Generator().manual_seed(1)), torch.ones(3, 16, 8, 8)]
        results = run_chain(layers, maps)
        sum(y.square().sum() for y in results).backward()
        return [*results, *(p.grad for layer in layers for p in layer.parameters())]

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OrientationAttention(8)(torch.zeros(1, 4, 6, 6)), "expected (B, 8, H, W)"),
        (lambda: run_chain(chain([8, 8], 0.0), [torch.zeros(1, 8, 9, 9), torch.zeros(1, 8, 4, 4)]), "half of it"),
        (
            lambda: OrientationAttention(8, previous_channels=4).attend(
                torch.zeros(1, 8, 6, 6), chain([8], 0.0)[0].attend(torch.zeros(1, 8, 6, 6))[1]
            ),
            "previous_channels",
        ),
        (lambda: OrientationAttention(8, math.nan), "finite"),
        (lambda: attention_layers("sao", (8,), 0.0), "soa-shared"),
    ],
    ids=["channels", "size", "previous", "nan", "mode"],
)
def test_wrong_use_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.slow
def test_compiles() -> None:
    layer, x = OrientationAttention(8), torch.randn(2, 8, 16, 16)
    compiled = torch.compile(layer)
    torch.testing.assert_close(compiled(x), layer(x), atol=1e-5, rtol=1e-5)
    compiled(x).sum().backward()
    assert layer.orientation.theta_rad.grad is not None
