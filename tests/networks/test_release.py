"""The attention of the authors' release, held against tensors that are computed from its formulas pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from mer_pipeline.networks import angle_parameters, build, learned_angles_deg
from mer_pipeline.networks.modes import attention_layers
from mer_pipeline.networks.orientation import line_grid, line_means
from mer_pipeline.networks.release import ReleaseCVA, ReleaseSOA
from tests.networks.tiny import SLIM


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def a_map(channels=6, height=10, width=8, seed=0):
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(seed))


def turned_row_means(image, turn):
    """Row means of (H, W) turned by `turn` about its centre: bilinear in the unit square, zero beyond the edges."""
    height, width = image.shape
    means = np.zeros(height)
    for row in range(height):
        for column in range(width):
            x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
            across = ((math.cos(turn) * x + math.sin(turn) * y + 1) * width - 1) / 2
            down = ((-math.sin(turn) * x + math.cos(turn) * y + 1) * height - 1) / 2
            for i in (math.floor(down), math.floor(down) + 1):
                for j in (math.floor(across), math.floor(across) + 1):
                    if 0 <= i < height and 0 <= j < width:
                        means[row] += image[i, j] * (1 - abs(down - i)) * (1 - abs(across - j)) / width
    return means


@pytest.mark.parametrize("release_deg", [0, 20, 72, 90, 135])
def test_soa_is_the_formula(release_deg):
    layer, x = ReleaseSOA(6, None, theta_deg=90 - release_deg), a_map()
    means = np.array([[turned_row_means(plane, math.radians(release_deg)) for plane in clip] for clip in x.numpy()])
    f1, f2 = (part.weight.detach().numpy()[:, :, 0, 0] for part in (layer.squeeze, layer.restore))
    assert f1.shape == (8, 6)
    expected = sigmoid(np.einsum("ch,bhr->bcr", f2, np.maximum(np.einsum("hc,bcr->bhr", f1, means), 0)))
    attended, rows = layer(x)
    assert layer.orientation.release_deg == pytest.approx(release_deg, abs=1e-3)
    assert rows[..., 0].detach().numpy() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(attended, x * rows)  # rows of the map as it is: nothing is folded back


def test_cva_is_the_formula():
    layer, x = ReleaseCVA(6, None, stage_channels=96).train(), a_map()
    convolution, norm, _ = layer.squeeze
    both = np.concatenate([x.numpy().mean(3), x.numpy().mean(2)], axis=2)
    weight, bias = convolution.weight.detach().numpy()[:, :, 0, 0], convolution.bias.detach().numpy()
    assert weight.shape == (8, 6)
    hidden = np.einsum("hc,bcr->bhr", weight, both) + bias[:, None]
    hidden = (hidden - hidden.mean((0, 2), keepdims=True)) / np.sqrt(hidden.var((0, 2), keepdims=True) + norm.eps)
    hidden = hidden * np.clip(hidden + 3, 0, 6) / 6
    restore = layer.restore.weight.detach().numpy()[:, :, 0, 0], layer.restore.bias.detach().numpy()
    expected = sigmoid(np.einsum("ch,bhr->bcr", restore[0], hidden[:, :, :10]) + restore[1][:, None])
    attended, rows = layer(x)
    assert rows[..., 0].detach().numpy() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(attended, x * rows)


@pytest.mark.parametrize("kind", ["release-soa", "release-cva"])
def test_a_profile_continues_the_one_before(kind):
    layers, _ = attention_layers(kind, (6, 12), 18.0, stem_channels=6)
    _, before = layers[0](a_map())
    x = a_map(12, 5, 4, seed=1)
    alone, (_, rows) = layers[1].eval().profile(x), layers[1](x, before)
    padded = torch.nn.functional.pad(before[..., 0], (1, 1), value=-math.inf)
    greatest = torch.stack([padded[:, :, 2 * at : 2 * at + 3].amax(2) for at in range(5)], dim=2)
    weight = layers[1].continuity.weight[:, :, 0, 0]
    torch.testing.assert_close(rows, alone * torch.einsum("dc,bcr->bdr", weight, greatest)[..., None])


@pytest.mark.parametrize(("release_deg", "here"), [(72, 18), (90, 0), (0, 90), (70, 20)])
def test_its_angles_are_in_another_convention(release_deg, here):
    """The rows that it averages are, inside the map, the lines of the angle that this project gives it."""
    size = 33
    y, x = (np.mgrid[:size, :size] - size // 2) / 4
    image = torch.tensor(np.exp(-((x - 1) ** 2) - (y + 0.6) ** 2 / 2), dtype=torch.float32)
    theirs = turned_row_means(image.numpy(), math.radians(release_deg))
    grid = line_grid(torch.tensor(math.radians(here)), size, size, torch.float32)
    means, _ = line_means(image.reshape(1, -1, 1), grid)
    profile = means[0, :, 0].numpy()
    middle = len(profile) // 2
    inside = slice(size // 2 - 8, size // 2 + 9)
    ours = profile[middle - 8 : middle + 9]
    assert max(np.corrcoef(theirs[inside], side)[0, 1] for side in (ours, ours[::-1])) > 0.999


def test_a_network_learns_its_angles_and_states_them_in_degrees_of_this_project():
    net = build("facesleuth", classes=3, size=32, attention="release-soa", theta_deg=18.0, embed_dim=8, **SLIM)
    assert learned_angles_deg(net) == pytest.approx([18.0] * 4, abs=1e-3)
    onset = torch.randn(2, 3, 32, 32)
    net(onset, onset + 1).logits.square().sum().backward()
    assert [tuple(angle.shape) for angle in angle_parameters(net)] == [(2,)] * 4
    assert all(angle.grad.abs().sum() > 0 for angle in angle_parameters(net))
    with torch.no_grad():
        net.eval()
        (line, *_) = net.explain({"onset": onset[:1], "apex": onset[:1] + 1}).maps
    assert line.theta_deg == 90.0
