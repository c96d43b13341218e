"""ResNet-18: the baseline on the difference of apex and onset, and a 3-D one on flow from the onset to later frames."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.blocks import ActionUnitHead, ActionUnitInput
from mer_pipeline.networks.focalizer import PositionFocalizer
from mer_pipeline.networks.heads import adopt_single_layer, classifier, trust
from mer_pipeline.networks.modes import attend, attention_layers
from mer_pipeline.networks.registry import register


@register("resnet18")
class ResNet18(Network):
    """timm's resnet18 without pretrained weights, average pooling, head; FaceSleuth's parts can be added to it.

    Args:
        classes: emotions.
        size: of the square frames in pixels.
        au_input: whether Action Units enter the head and are estimated.
        head: see `FaceSleuth`; `literal`, a single layer, where an older card does not say.
        attention: after each of the four stages; see `modes.attention_layers`.
        theta_deg: see `FaceSleuth`.
        position: whether the Facial Position Focalizer is added, averaged to the map's size.
        embed_dim: of the focalizer.
    """

    view = "pair"

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        au_input: bool = False,
        head: str = "literal",
        attention: str = "none",
        theta_deg: float = 45.0,
        position: bool = False,
        embed_dim: int = 64,
    ) -> None:
        super().__init__(size, takes_aus=au_input)
        from timm.models import resnet  # a second to import, which networks without it are spared

        self.backbone: Any = resnet.resnet18(pretrained=False, num_classes=0, global_pool="")
        width = 512
        self.attentions, self.shared_orientation = attention_layers(attention, (64, 128, 256, width), theta_deg, 64)
        self.position = PositionFocalizer(size, width, embed_dim) if position else None
        self.action_units = (
            ActionUnitInput(width, cells=min(7, -(-size // 32)), trust=trust(head)) if au_input else None
        )
        self.classify = classifier(head, width, 1, au_input, classes)
        adopt_single_layer(self, "classify")

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The last map, and the position map where there is one."""
        parts = {"motion": self.backbone.layer4, "position": self.position}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}

    def forward(
        self, onset: Tensor, apex: Tensor, aus: Tensor | None = None, aus_known: Tensor | None = None
    ) -> Output:
        """Frames (B, 3, size, size), AUs (B, 21), which of them are known (B,) -> logits."""
        self.check(onset=onset, apex=apex)
        maps = self._motion(apex - onset)
        effective, au_logits = self.known_aus(maps, aus, aus_known)
        if self.position is not None:
            maps = maps + F.adaptive_avg_pool2d(self.position(onset, apex), (maps.shape[2], maps.shape[3]))
        return Output.of(self.classify(maps.mean(dim=(2, 3)), effective), au_logits)

    def _motion(self, x: Tensor) -> Tensor:
        """The backbone's own forward pass, with attention after each stage."""
        net, previous = self.backbone, None
        x = net.maxpool(net.act1(net.bn1(net.conv1(x))))
        for stage, attention in zip_longest((net.layer1, net.layer2, net.layer3, net.layer4), self.attentions):
            x = stage(x)
            if attention is not None:
                x, previous = attend(attention, x, previous)
        return x


class Block(nn.Module):
    """Two 3x3x3 convolutions with BN and a residual; a stride halves time and space alike."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(in_channels, channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
        )
        self.shortcut: nn.Module = (
            nn.Identity()
            if stride == 1 and in_channels == channels
            else nn.Sequential(nn.Conv3d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm3d(channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, h, w) -> (B, channels, T / stride, h / stride, w / stride), rounded up."""
        result: Tensor = (self.body(x) + self.shortcut(x)).relu()
        return result


@register("resnet3d")
class ResNet3D(Network):
    """The strong plain baseline: its motion is measured beforehand, so it has little left to learn.

    Source: the 3-D ResNet-18 of Hara et al. (ICCV workshops 2017) with a smaller stem (3x3x3, space halved, no max
    pooling), since maps are small. The Action Unit head is auxiliary: it teaches the features, and the classifier
    does not see it.

    Args:
        classes: emotions.
        size: of the square flow images in pixels, from 28.
        frames: T of the clips it is meant for; the weights fit any T from 2.
        width: channels of the first stage; the others have 2, 4 and 8 times as many. 64 in the original.
        dropout: before the last layer while training.
        au_head: whether Action Units are estimated.
    """

    view = "flow_sequence"
    least_px = 28

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        frames: int = 8,
        width: int = 32,
        dropout: float = 0.2,
        au_head: bool = True,
    ) -> None:
        super().__init__(size, frames=frames)
        self.scale = nn.BatchNorm3d(3)  # strain has another size than u and v
        self.stem = nn.Sequential(
            nn.Conv3d(3, width, 3, stride=(1, 2, 2), padding=1, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(channels, width << stage, stride))
                channels = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.action_units = ActionUnitHead(channels, min(7, -(-size // 16))) if au_head else None
        self.classify = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, classes))

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The last map."""
        return {"motion": self.blocks}

    def forward(self, flow_sequence: Tensor) -> Output:
        """Flow (B, T, 3, size, size) -> logits, and the Action Units' logits.

        Raises ValueError for flow of another size, or fewer than two frames.
        """
        self.check(flow_sequence=flow_sequence)
        # On the CPU, torch 2.15 gives wrong gradients of 3-D convolutions in bfloat16 where two frames are left.
        with torch.autocast("cpu", enabled=False):
            maps = self.blocks(self.stem(self.scale(flow_sequence.transpose(1, 2)))).mean(dim=2)
        au_logits = None if self.action_units is None else self.action_units(maps)
        return Output(self.classify(maps.mean(dim=(2, 3))), au_logits)
