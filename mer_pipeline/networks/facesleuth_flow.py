"""FaceSleuth's motion stream on optical flow, without the position stream: a small network for small pictures."""

from collections.abc import Sequence

from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.blocks import ActionUnitInput
from mer_pipeline.networks.facesleuth import MotionStream, classifier

STRIDE_PX = 8  # the stem keeps the size: 28 px would leave a map of 2 x 2 otherwise


class FaceSleuthFlow(Network):
    """Motion under oriented attention, on (u, v, strain).

    Source: FaceSleuth's motion stream; flow of 28 x 28 pixels as the field's small networks take it (STSTNet).

    Args:
        classes: emotions.
        size: of the square flow images in pixels, from 28.
        attention: `soa`, `soa-shared`, `horizontal`, `cva` or `none`.
        theta_deg: start of learned angles.
        stem: widths of the stem.
        channels: of the four stages, strides 1, 2, 2, 2.
        dropout: share of the map's channels that are dropped before the head while training.
        head: `paper` or `release`; see `FaceSleuth`.
        au_input: whether Action Units enter the head and are estimated.
    """

    view = "flow"
    least_px = 28

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        attention: str = "soa",
        theta_deg: float = 45.0,
        stem: Sequence[int] = (32, 32),
        channels: Sequence[int] = (32, 48, 64, 96),
        dropout: float = 0.2,
        head: str = "paper",
        au_input: bool = True,
    ) -> None:
        super().__init__(size, takes_aus=au_input)
        self.scale = nn.BatchNorm2d(3)  # strain has another size than u and v
        self.motion = MotionStream(stem, channels, attention, theta_deg, stem_stride=1)
        side = -(-size // STRIDE_PX)
        self.action_units = ActionUnitInput(channels[-1], min(7, side)) if au_input else None
        self.drop = nn.Dropout2d(dropout)
        self.head = classifier(head, channels[-1] * side**2, au_input, classes)

    def forward(self, flow: Tensor, aus: Tensor | None = None, aus_known: Tensor | None = None) -> Output:
        """Flow (B, 3, size, size), AUs (B, 21), which of them are known (B,) -> logits."""
        self.check(flow=flow)
        features = self.motion(self.scale(flow))
        effective, au_logits = self.known_aus(features, aus, aus_known)
        return Output(self.head(self.drop(features), effective), au_logits)
