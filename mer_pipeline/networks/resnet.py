"""The ResNet-18 baseline on the difference of apex and onset."""

import torch
from timm.models import resnet
from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.blocks import AU_COUNT, ActionUnitInput


class ResNet18(Network):
    """timm's resnet18 without pretrained weights, average pooling, AUs, one linear layer.

    Args:
        classes: emotions.
        size: of the square frames in pixels.
        au_input: whether Action Units enter the last layer and are estimated.
    """

    view = "pair"

    def __init__(self, classes: int, size: int, *, au_input: bool = False) -> None:
        super().__init__(size, takes_aus=au_input)
        self.backbone: nn.Module = resnet.resnet18(pretrained=False, num_classes=0, global_pool="")
        width = 512
        self.action_units = ActionUnitInput(width, cells=min(7, -(-size // 32))) if au_input else None
        self.classify = nn.Linear(width + (AU_COUNT if au_input else 0), classes)

    def forward(
        self, onset: Tensor, apex: Tensor, aus: Tensor | None = None, aus_known: Tensor | None = None
    ) -> Output:
        """Frames (B, 3, size, size), AUs (B, 21), which of them are known (B,) -> logits."""
        self.check(onset=onset, apex=apex)
        maps: Tensor = self.backbone(apex - onset)
        flat = maps.mean(dim=(2, 3))
        effective, au_logits = self.known_aus(maps, aus, aus_known)
        if effective is not None:
            flat = torch.cat([flat, effective.to(flat.dtype)], dim=1)
        return Output(self.classify(flat), au_logits)
