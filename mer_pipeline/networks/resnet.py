"""The ResNet-18 baseline on the difference of apex and onset."""

import torch
from timm.models import resnet
from torch import Tensor, nn

from mer_pipeline.networks.blocks import ActionUnitInput
from mer_pipeline.networks.interface import AU_COUNT, Output, check_square


class ResNet18(nn.Module):
    """timm's resnet18 without pretrained weights, average pooling, AUs, one linear layer.

    Args:
        classes: emotions.
        size: of the square frames in pixels.
        au_input: whether Action Units enter the last layer and are estimated.
    """

    inputs: tuple[str, ...]

    def __init__(self, classes: int, size: int, *, au_input: bool = False) -> None:
        super().__init__()
        self.size = size
        self.inputs = ("onset", "apex", "aus", "aus_known") if au_input else ("onset", "apex")
        self.backbone: nn.Module = resnet.resnet18(pretrained=False, num_classes=0, global_pool="")
        width = 512
        self.action_units = ActionUnitInput(width, cells=min(7, -(-size // 32))) if au_input else None
        self.classify = nn.Linear(width + (AU_COUNT if au_input else 0), classes)

    def forward(
        self, onset: Tensor, apex: Tensor, aus: Tensor | None = None, aus_known: Tensor | None = None
    ) -> Output:
        """Frames (B, 3, size, size), AUs (B, 21), which of them are known (B,) -> logits."""
        check_square("onset", onset, self.size)
        check_square("apex", apex, self.size)
        maps: Tensor = self.backbone(apex - onset)
        flat = maps.mean(dim=(2, 3))
        if self.action_units is None:
            return Output(self.classify(flat))
        effective, au_logits = self.action_units(maps, aus, aus_known)
        return Output(self.classify(torch.cat([flat, effective.to(flat.dtype)], dim=1)), au_logits)
