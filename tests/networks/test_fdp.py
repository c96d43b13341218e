"""FDP: rank pooling, and that the order of a clip's frames is what it goes by."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kendalltau
from torch import Tensor, nn

from mer_pipeline.networks.fdp import FDP
from mer_pipeline.networks.rank_pooling import dynamic_image, rank_loss, rank_pool, running_means
from tests.networks.tiny import random_batch, tiny

FRAMES = 8
PAPERS_DEPTH = {
    "depths": [3, 4, 10, 3],
    "widths": [24, 24, 48, 48],
    "stem": [16, 16, 16],
    "image_widths": [8, 16, 32, 64],
}


def ordered_clips(clips: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """A blob that gets stronger, on a random ground; or (label 1) the very same frames the other way round.

    Place, width, strength, sign and ground are drawn alike for both labels, and every frame has noise of its own: a
    network that does not know the order of the frames cannot know the label.
    """
    generator = torch.Generator().manual_seed(seed)
    axis = torch.arange(size) - (size - 1) / 2
    centre = (torch.rand(clips, 2, generator=generator) - 0.5) * size / 2
    width = size * (0.08 + 0.1 * torch.rand(clips, 1, 1, generator=generator))
    square = (axis - centre[:, :1])[:, None, :] ** 2 + (axis - centre[:, 1:])[:, :, None] ** 2
    strength = (0.2 + 0.2 * torch.rand(clips, generator=generator)) * (
        2 * torch.randint(0, 2, (clips,), generator=generator) - 1
    )
    blob = strength[:, None, None] * torch.exp(-square / (2 * width**2))
    ground = 0.35 + 0.3 * F.interpolate(torch.rand(clips, 1, 5, 5, generator=generator), size, mode="bicubic")
    sequence = ground + torch.linspace(0, 1, FRAMES)[:, None, None] * blob[:, None]
    sequence = sequence + 0.02 * torch.randn(sequence.shape, generator=generator)
    labels = torch.randint(0, 2, (clips,), generator=generator)
    sequence = torch.where(labels[:, None, None, None] == 1, sequence.flip(1), sequence)
    return sequence[:, :, None].clamp(0, 1), labels


class BagOfFrames(nn.Module):
    """The same encoder, rank features and classifier on the mean over frames, which has no order."""

    def __init__(self, net: FDP) -> None:
        super().__init__()
        self.net = net

    def forward(self, sequence: Tensor) -> Tensor:
        features = self.net.rank.features(self.net.encode((2 * sequence - 1).flatten(0, 1)))
        return self.net.classify(features.unflatten(0, sequence.shape[:2]).mean(dim=1))


def train(net: FDP, *, bag: bool, clips: int, steps: int) -> nn.Module:
    network = BagOfFrames(net) if bag else net
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for step in range(steps):
        sequence, labels = ordered_clips(clips, net.size, seed=1000 + step)
        if bag:
            loss = F.cross_entropy(network(sequence), labels)
        else:
            output = network(sequence)
            loss = F.cross_entropy(output.logits, labels) + output.own_loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, sequence: Tensor, labels: Tensor) -> float:
    output = network(sequence)
    logits = output if isinstance(output, Tensor) else output.logits
    return (logits.argmax(dim=1) == labels).float().mean().item()


def mean_tau(scores: Tensor) -> float:
    """Kendall's tau between the scores of a clip's frames and time, mean over clips."""
    return sum(kendalltau(range(scores.shape[1]), clip.numpy()).statistic for clip in scores) / len(scores)


def judge(options: dict, *, size: int, clips: int, steps: int) -> dict[str, float]:
    """Train FDP and the bag of frames, and look at held-out clips."""
    sequence, labels = ordered_clips(200, size, seed=1)
    net = train(tiny("fdp", size=size, classes=2, **options), bag=False, clips=clips, steps=steps)
    bag = train(tiny("fdp", size=size, classes=2, **options), bag=True, clips=clips, steps=steps)
    scores, built, target = net.rank_clips(sequence)
    return {
        "accuracy": accuracy(net, sequence, labels),
        "bag of frames": accuracy(bag, sequence, labels),
        "tau forward": mean_tau(scores[labels == 0]),
        "tau reversed": mean_tau(scores[labels == 1]),
        "image error over variance": (F.mse_loss(built, target) / target.var()).item(),
    }


def test_order_of_frames_is_learned_and_scores_grow_with_time() -> None:
    found = judge({}, size=32, clips=16, steps=35)
    assert found["accuracy"] > 0.8, found
    assert 0.38 < found["bag of frames"] < 0.62, found
    assert min(found["tau forward"], found["tau reversed"]) > 0.9, found


@pytest.mark.slow
def test_order_of_frames_is_learned_at_the_papers_size_and_depth() -> None:
    found = judge(PAPERS_DEPTH, size=64, clips=24, steps=100)
    assert found["accuracy"] > 0.9, found
    assert 0.38 < found["bag of frames"] < 0.62, found
    assert min(found["tau forward"], found["tau reversed"]) > 0.95, found
    assert found["image error over variance"] < 0.7, found


@pytest.mark.parametrize("frames", [2, 3, 8, 15])
def test_weights_of_frames_are_those_of_approximate_rank_pooling(frames: int) -> None:
    """2 (T - t + 1) - (T + 1) (H_T - H_(t-1)), with the harmonic numbers H, of Bilen et al. 2016."""
    harmonic = [sum(1 / i for i in range(1, n + 1)) for n in range(frames + 1)]
    expected = torch.tensor(
        [2 * (frames - t + 1) - (frames + 1) * (harmonic[frames] - harmonic[t - 1]) for t in range(1, frames + 1)]
    )
    weights = rank_pool(running_means(torch.eye(frames)[None]))[0]
    torch.testing.assert_close(weights / weights.abs().max(), expected / expected.abs().max(), atol=1e-5, rtol=0)
    assert weights.sum().abs() < 1e-6


def test_dynamic_image_of_stillness_is_grey_and_an_expression_that_comes_and_goes_stays() -> None:
    still = torch.rand(2, 1, 1, 32, 32).expand(2, FRAMES, 1, 32, 32)
    assert dynamic_image(still).sub(0.5).abs().max() < 0.02
    there_and_back = still.clone()
    there_and_back[:, :, :, 8:16, 8:16] += (
        0.01 * torch.sin(math.pi * torch.arange(FRAMES) / (FRAMES - 1))[:, None, None, None]
    )
    image = dynamic_image(there_and_back)
    assert image[:, :, 8:16, 8:16].min() > 0.98
    assert image.amin() >= 0
    assert image.amax() <= 1
    image[:, :, 8:16, 8:16] = 0.5
    assert image.sub(0.5).abs().max() < 0.02


def test_rank_loss_is_nothing_only_where_scores_grow_by_the_margin() -> None:
    growing = torch.arange(4.0)[None]
    assert rank_loss(growing) == 0
    assert rank_loss(growing / 2) == pytest.approx((3 * 0.5) / 6)  # neighbours miss half of the margin
    assert rank_loss(growing.flip(1)) == pytest.approx((3 * 2 + 2 * 3 + 4) / 6)
    assert rank_loss(torch.zeros(1, 4)) == 1


def test_own_loss_is_the_weighted_sum_and_only_there_while_training() -> None:
    batch = random_batch(tiny("fdp"), 2)
    both, image, rank = (
        tiny("fdp", image_weight=a, rank_weight=b)(**batch).own_loss for a, b in ((100.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    )
    assert both.item() == pytest.approx(100 * image.item() + rank.item(), rel=1e-4)
    assert tiny("fdp").eval()(**batch).own_loss is None


def test_explanation_has_a_score_a_frame_and_two_images() -> None:
    net = tiny("fdp").eval()
    (sequence,) = random_batch(net, 2).values()
    scores, built, target = net.rank_clips(sequence)
    assert scores.shape == (2, FRAMES)
    assert built.shape == target.shape == (2, 1, 32, 32)
    assert not scores.requires_grad
    assert (built.min() >= 0) & (built.max() <= 1)
