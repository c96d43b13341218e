"""FDP: frames of a clip ranked in time, pooled into one dynamic representation, and the dynamic image built from it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.explain import Explanation, Ranks, to_array
from mer_pipeline.networks.fdp_encoder import STRIDE_PX, FrameEncoder
from mer_pipeline.networks.rank_pooling import (
    dynamic_image,
    kendall_tau,
    rank_loss,
    rank_pool,
    running_means,
    similarity,
)
from mer_pipeline.networks.registry import register


class RankedClips(NamedTuple):
    """Clips as FDP sees them."""

    scores: Tensor  # (B, T): rank score of every frame; trained to grow with time
    built: Tensor  # (B, 1, S, S): the dynamic image that the network builds, 0..1
    target: Tensor  # (B, 1, S, S): the dynamic image by approximate rank pooling of the frames, 0..1, 0.5 is stillness


class RankScorer(nn.Module):
    """Rank features of the planes of a clip, and a score from each frame's.

    A plane enters as the running mean of its change since the first frame. A score from the frame alone, as the
    paper's wording has it, could not grow with time both in a clip and in the same clip reversed, and an expression
    that has come and gone would have to look different from one that never came.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        cells = 4
        self.score = nn.Sequential(nn.AdaptiveAvgPool2d(cells), nn.Flatten(), nn.Linear(channels * cells**2, 1))

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Planes (B, T, 1, S, S) -> rank features (B, T, channels, S, S) and scores (B, T)."""
        moved = running_means(planes - planes[:, :1])
        features = self.features(moved.flatten(0, 1))
        clips = (-1, planes.shape[1])  # the number of clips stays open in an exported network
        return features.unflatten(0, clips), self.score(features).view(clips)


class ImageBuilder(nn.Module):
    """Encoder-decoder from the dynamic representation to the dynamic image: three halvings, and back with skips."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        first, *deeper = widths
        self.first = _convolutions(in_channels, first)
        self.encode = nn.ModuleList(_convolutions(a, b) for a, b in zip(widths, deeper, strict=False))
        self.decode = nn.ModuleList(_convolutions(b + a, a) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.last = nn.Conv2d(first, 1, 3, padding=1)

    def forward(self, representation: Tensor) -> Tensor:
        """(B, in_channels, S, S) -> logits of the image (B, 1, S, S)."""
        x = self.first(representation)
        kept = []
        for encode in self.encode:
            kept.append(x)
            x = encode(F.max_pool2d(x, 2))
        for decode, skip in zip(self.decode, reversed(kept), strict=True):
            x = decode(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        result: Tensor = self.last(x)
        return result


def _convolutions(in_channels: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


@register("fdp")
class FDP(Network):
    """Fine-grained dynamic perception (Shao et al., 2025): classes from the order of a clip's frames.

    Args:
        classes: emotions.
        size: of the square frames in pixels, a multiple of 32; 64 in the paper.
        frames: T of the clips it is meant for; the weights fit any T from 2.
        depths: local aggregators of the four stages, each stage closed by a global one.
        widths: of the stages; see `FrameEncoder`.
        stem: of the frame encoder.
        rank_channels: of the rank features.
        image_widths: of the encoder-decoder that builds the dynamic image.
        hidden: width of the classifier.
        drop_path: stochastic depth of the frame encoder.
        image_weight: of the dynamic image's mean squared error in the loss.
        rank_weight: of the rank loss.
        aggregators: of the frame encoder: `both`, `local` or `global`.
    """

    view = "sequence"
    step_px = STRIDE_PX

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        frames: int = 8,
        depths: Sequence[int] = (3, 4, 10, 3),
        widths: Sequence[int] = (96, 192, 384, 768),
        stem: Sequence[int] = (64, 32, 64),
        rank_channels: int = 8,
        image_widths: Sequence[int] = (32, 64, 128, 256),
        hidden: int = 256,
        drop_path: float = 0.1,
        image_weight: float = 100.0,
        rank_weight: float = 1.0,
        aggregators: str = "both",
    ) -> None:
        super().__init__(size, frames=frames)
        if len(image_widths) != 4:
            raise ValueError(f"image_widths are {list(image_widths)}: give 4 widths")
        self.image_weight, self.rank_weight = image_weight, rank_weight
        self.encode = FrameEncoder(widths, depths, stem, drop_path, aggregators)
        self.rank = RankScorer(rank_channels)
        self.build = ImageBuilder(rank_channels, image_widths)
        self.classify = nn.Sequential(
            nn.MaxPool2d(3),
            nn.Flatten(),
            nn.Linear(rank_channels * (size // 3) ** 2, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )

    def forward(self, sequence: Tensor) -> Output:
        """Grey frames (B, T, 1, size, size) in 0..1 -> logits, and while training the network's own loss.

        Raises ValueError for frames of another size, or fewer than two.
        """
        representation, scores = self._perceive(sequence)
        logits = self.classify(representation)
        if not self.training:
            return Output(logits)
        built = self.build(representation).float().sigmoid()
        image_loss = F.mse_loss(built, dynamic_image(sequence.float()))
        return Output(logits, None, self.image_weight * image_loss + self.rank_weight * rank_loss(scores.float()))

    def explain(self, batch: Mapping[str, Tensor]) -> Explanation:
        """Rank scores and dynamic images of one clip, the attention of the aggregators, and where the evidence lies."""
        ranked = self.rank_clips(batch["sequence"])
        built, target = to_array(ranked.built[0, 0]), to_array(ranked.target[0, 0])
        return replace(super().explain(batch), ranks=Ranks(tuple(ranked.scores[0].tolist()), built, target))

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The dynamic representation as the classifier is given it."""
        return {"motion": self.classify[0]}

    def measure(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """How near the built dynamic image is to its target, and how well the scores rank the frames."""
        ranked = self.rank_clips(batch["sequence"])
        return {
            "image_error": ((ranked.built - ranked.target) ** 2).mean(dim=(1, 2, 3)),
            "image_ssim": similarity(ranked.built, ranked.target),
            "kendall_tau": kendall_tau(ranked.scores),
        }

    @torch.no_grad()
    def rank_clips(self, sequence: Tensor) -> RankedClips:
        """Rank scores and dynamic images of clips (B, T, 1, size, size); call `eval()` first."""
        representation, scores = self._perceive(sequence)
        built = self.build(representation).float().sigmoid()
        return RankedClips(scores.float(), built, dynamic_image(sequence.float()))

    def _perceive(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        self.check(sequence=sequence)
        planes = self.encode((2 * sequence - 1).flatten(0, 1)).unflatten(0, (-1, sequence.shape[1]))
        features, scores = self.rank(planes)
        return rank_pool(features), scores
