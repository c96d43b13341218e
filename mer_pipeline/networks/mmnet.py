"""MMNet, from which FaceSleuth descends: motion under one-channel spatial attention, plus position.

Also its motion stream alone on optical flow, a small network for small pictures.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.blocks import STRIDES, ActionUnitInput, Stem, initialise, stages
from mer_pipeline.networks.explain import CellMap, MapSource, to_array
from mer_pipeline.networks.focalizer import STRIDE_PX
from mer_pipeline.networks.heads import adopt_single_layer, classifier, trust
from mer_pipeline.networks.registry import register


class SpatialAttention(MapSource):
    """One value a pixel from the mean and maximum over channels: sigmoid(BN(conv1x1([mean, max]))).

    The previous layer's attention, max-pooled 3 stride 2 where the map shrank, multiplies it (continuity).
    Source: the CA block of MMNet's paper and release.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Conv2d(2, 1, 1, bias=False), nn.BatchNorm2d(1))
        self.shrink: nn.Module = nn.Identity() if stride == 1 else nn.MaxPool2d(3, stride=stride, padding=1)

    def forward(self, x: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) and attention (B, 1, H', W') -> map, its attention (B, 1, H, W)."""
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        attention: Tensor = self.mix(summary).sigmoid()
        if previous is not None:
            attention = attention * self.shrink(previous)
        return x * attention, attention

    def map_of(self, output: tuple[Tensor, Tensor]) -> CellMap:
        """The attention of the layer."""
        return CellMap(self.map_title, to_array(output[1][0, 0]))


class PositionCalibration(nn.Module):
    """A small ViT on the onset averaged to the motion map's grid, one token a cell.

    Source: MMNet's position calibration module: 14x14, patch 1, width 512, depth 2, 4 heads.
    """

    def __init__(self, grid: int, width: int) -> None:
        super().__init__()
        from timm.models.vision_transformer import VisionTransformer  # a second to import, which others are spared

        self.grid = grid
        self.vit = VisionTransformer(
            img_size=grid,
            patch_size=1,
            embed_dim=width,
            depth=2,
            num_heads=4,
            num_classes=0,
            class_token=False,
            global_pool="",
        )

    def forward(self, onset: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, width, grid, grid)."""
        tokens: Tensor = self.vit.forward_features(F.adaptive_avg_pool2d(onset, self.grid))
        return torch.unflatten(tokens.transpose(1, 2), 2, (self.grid, self.grid))


@register("mmnet")
class MMNet(Network):
    """MMNet on onset and apex.

    Args:
        classes: emotions.
        size: of the square frames in pixels, a multiple of 16.
        stem: widths of the stem.
        channels: of the four stages; the last divides by 4 (heads of the position stream).
        position: whether the position stream is added.
        au_input: whether Action Units enter the head and are estimated (not part of the original).
        head: see `FaceSleuth`; `literal`, a single layer, is the original and what an older card means.
    """

    view = "pair"
    step_px = STRIDE_PX

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        stem: Sequence[int] = (180, 128),
        channels: Sequence[int] = (128, 128, 256, 512),
        position: bool = True,
        au_input: bool = False,
        head: str = "literal",
    ) -> None:
        super().__init__(size, takes_aus=au_input)
        if len(stem) != 2 or len(channels) != 4 or channels[-1] % 4:
            raise ValueError(f"stem is {list(stem)} and channels {list(channels)}: give 2 and 4 widths, the last 4k")
        self.stem = Stem(stem)
        self.stages = stages(stem[-1], channels)
        self.attentions = nn.ModuleList(SpatialAttention(stride) for stride in STRIDES)
        self.apply(initialise)
        grid = size // STRIDE_PX
        self.position = PositionCalibration(grid, channels[-1]) if position else None
        self.action_units = ActionUnitInput(channels[-1], trust=trust(head)) if au_input else None
        self.classify = classifier(head, channels[-1], grid**2, au_input, classes)
        adopt_single_layer(self, "classify")

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The motion map, and the position map where there is one."""
        return {"motion": self.attentions[-1], **({"position": self.position} if self.position is not None else {})}

    def forward(
        self, onset: Tensor, apex: Tensor, aus: Tensor | None = None, aus_known: Tensor | None = None
    ) -> Output:
        """Frames (B, 3, size, size), AUs (B, 21), which of them are known (B,) -> logits."""
        self.check(onset=onset, apex=apex)
        x = _attended(self.stem(apex - onset), self.stages, self.attentions)
        effective, au_logits = self.known_aus(x, aus, aus_known)
        if self.position is not None:
            x = x + self.position(onset)
        return Output.of(self.classify(x, effective), au_logits)


@register("mmnet-flow")
class MMNetFlow(Network):
    """MMNet's motion stream on (u, v, strain), as narrow as `FaceSleuthFlow`, from which its attention alone differs.

    Args:
        classes: emotions.
        size: of the square flow images in pixels, from 28.
        stem: widths of the stem, which keeps the size.
        channels: of the four stages, strides 1, 2, 2, 2.
        dropout: share of the map's channels that are dropped before the classifier while training.
    """

    view = "flow"
    least_px = 28

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        stem: Sequence[int] = (16, 16),
        channels: Sequence[int] = (16, 24, 32, 48),
        dropout: float = 0.2,
    ) -> None:
        super().__init__(size)
        if len(stem) != 2 or len(channels) != 4:
            raise ValueError(f"stem is {list(stem)} and channels {list(channels)}: give 2 and 4 widths")
        self.scale = nn.BatchNorm2d(3)  # strain has another size than u and v
        self.stem = Stem(stem, stride=1)
        self.stages = stages(stem[-1], channels)
        self.attentions = nn.ModuleList(SpatialAttention(stride) for stride in STRIDES)
        self.apply(initialise)
        self.drop = nn.Dropout2d(dropout)
        self.classify = nn.Linear(channels[-1] * (-(-size // 8)) ** 2, classes)

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The motion map."""
        return {"motion": self.attentions[-1]}

    def forward(self, flow: Tensor) -> Output:
        """Flow (B, 3, size, size): u, v, strain -> logits."""
        self.check(flow=flow)
        x = _attended(self.stem(self.scale(flow)), self.stages, self.attentions)
        return Output(self.classify(self.drop(x).flatten(1)))


def _attended(x: Tensor, stages: nn.ModuleList, attentions: nn.ModuleList) -> Tensor:
    """A stem's map through the stages, each under its attention, which continues the one before."""
    previous: Tensor | None = None
    for stage, attention in zip(stages, attentions, strict=True):
        x, previous = attention(stage(x), previous)
    return x
