"""STSTNet: three thin streams on optical flow, the smallest reference of the field."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.registry import register


@register("ststnet")
class STSTNet(Network):
    """Shallow triple stream three-dimensional CNN (Liong et al., FG 2019, section III).

    Three parallel 3x3 convolutions with 3, 5 and 8 filters on (u, v, strain), each followed by batch norm and 3x3 max
    pooling; their 16 channels are average-pooled 2x2 and classified by one linear layer. Order of the layers, padding
    and dropout follow the release in PyTorch.

    Args:
        classes: emotions.
        size: of the square flow images in pixels; 28 in the paper.
        filters: of the streams.
        dropout: in each stream while training.
    """

    view = "flow"
    least_px = 10

    def __init__(self, classes: int, size: int, *, filters: tuple[int, ...] = (3, 5, 8), dropout: float = 0.5) -> None:
        super().__init__(size)
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, width, 3, padding=2),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(width),
                nn.MaxPool2d(3, stride=3, padding=1),
                nn.Dropout(dropout),
            )
            for width in filters
        )
        self.pool = nn.AvgPool2d(2, stride=2)
        # The convolution adds 2 pixels; the pools divide by 3 (rounding up for size 28: 30 -> 10) and by 2.
        cells = ((size + 2 + 2 - 3) // 3 + 1) // 2
        self.classify = nn.Linear(sum(filters) * cells**2, classes)

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The pooled map."""
        return {"motion": self.pool}

    def forward(self, flow: Tensor) -> Output:
        """Flow (B, 3, size, size): u, v, strain -> logits."""
        self.check(flow=flow)
        maps = torch.cat([stream(flow) for stream in self.streams], dim=1)
        return Output(self.classify(self.pool(maps).flatten(1)))
