"""FaceSleuth: motion of the face under oriented attention, the position of its parts, and Action Units.

Also its motion stream alone on optical flow, a small network for small pictures.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import torch
from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.blocks import ActionUnitInput, Stem, initialise, stages
from mer_pipeline.networks.focalizer import STRIDE_PX, PositionFocalizer
from mer_pipeline.networks.heads import classifier, trust
from mer_pipeline.networks.modes import attend, attention_layers
from mer_pipeline.networks.registry import register

_FLOW_STRIDE_PX = 8  # the stem keeps the size: 28 px would leave a map of 2 x 2 otherwise


class MotionStream(nn.Module):
    """Stem and four stages on apex - onset, or on flow, each followed by attention that continues the previous one.

    Args:
        stem: widths of the stem's two convolutions.
        channels: of the four stages, strides 1, 2, 2, 2.
        attention: see `modes.attention_layers`.
        theta_deg: start of learned angles.
        stem_stride: 2, or 1 for small pictures.
    """

    def __init__(
        self, stem: Sequence[int], channels: Sequence[int], attention: str, theta_deg: float, stem_stride: int = 2
    ) -> None:
        super().__init__()
        if len(stem) != 2 or len(channels) != 4:
            raise ValueError(f"stem is {list(stem)} and channels {list(channels)}: give 2 and 4 widths")
        self.stem = Stem(stem, stem_stride)
        self.stages = stages(stem[-1], channels)
        self.apply(initialise)
        self.attentions, self.shared_orientation = attention_layers(attention, tuple(channels), theta_deg, stem[-1])

    def forward(self, motion: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, channels[-1], S / 16, S / 16), with a stem stride of 1 S / 8, rounded up."""
        # The attention sums over rows of channels; convolutions run in that layout as well.
        x: Tensor = self.stem(motion.contiguous(memory_format=torch.channels_last))
        previous = None
        for stage, attention in zip_longest(self.stages, self.attentions):
            x = stage(x)
            if attention is not None:  # in mode "none"
                x, previous = attend(attention, x, previous)
        return x


@register("facesleuth")
class FaceSleuth(Network):
    """The whole network; with `attention="soa"` it is FaceSleuth-R.

    Args:
        classes: emotions.
        size: of the square frames in pixels, a multiple of 16.
        attention: see `modes.attention_layers`.
        theta_deg: where learned angles start, and where `frozen` ones stay.
        stem: widths of the stem; (180, 128) in the release.
        channels: of the four stages; (128, 128, 256, 512) in the release.
        position: whether the Facial Position Focalizer is added.
        embed_dim: of the focalizer: 128 (release), 64 (compact) or less.
        drop_path: stochastic depth of the focalizer.
        head: `branch`, `mean` (without places), `literal` (the paper's) or `release`; see `heads`.
        au_input: whether Action Units enter the head and are estimated.
    """

    view = "pair"
    step_px = STRIDE_PX

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        attention: str = "soa",
        theta_deg: float = 45.0,
        stem: Sequence[int] = (180, 128),
        channels: Sequence[int] = (128, 128, 256, 512),
        position: bool = True,
        embed_dim: int = 64,
        drop_path: float = 0.1,
        head: str = "branch",
        au_input: bool = True,
    ) -> None:
        super().__init__(size, takes_aus=au_input)
        self.motion = MotionStream(stem, channels, attention, theta_deg)
        self.position = PositionFocalizer(size, channels[-1], embed_dim, drop_path) if position else None
        self.action_units = ActionUnitInput(channels[-1], trust=trust(head)) if au_input else None
        self.head = classifier(head, channels[-1], (size // STRIDE_PX) ** 2, au_input, classes)

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The motion map, and the position map where there is one."""
        return {"motion": self.motion, **({"position": self.position} if self.position is not None else {})}

    def forward(
        self, onset: Tensor, apex: Tensor, aus: Tensor | None = None, aus_known: Tensor | None = None
    ) -> Output:
        """Frames (B, 3, size, size), AUs (B, 21), which of them are known (B,) -> logits.

        Raises ValueError for frames of another size.
        """
        self.check(onset=onset, apex=apex)
        features = self.motion(apex - onset)
        effective, au_logits = self.known_aus(features, aus, aus_known)
        if self.position is not None:
            features = features + self.position(onset, apex)
        return Output.of(self.head(features, effective), au_logits)


@register("facesleuth-flow", "facesleuth_flow")
class FaceSleuthFlow(Network):
    """Motion under oriented attention, on (u, v, strain).

    Source: FaceSleuth's motion stream; flow of 28 x 28 pixels as the field's small networks take it (STSTNet).

    Args:
        classes: emotions.
        size: of the square flow images in pixels, from 28.
        attention: see `modes.attention_layers`.
        theta_deg: where learned angles start, and where `frozen` ones stay.
        stem: widths of the stem.
        channels: of the four stages, strides 1, 2, 2, 2.
        dropout: share of the map's channels that are dropped before the head while training.
        head: see `FaceSleuth`.
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
        head: str = "branch",
        au_input: bool = True,
    ) -> None:
        super().__init__(size, takes_aus=au_input)
        self.scale = nn.BatchNorm2d(3)  # strain has another size than u and v
        self.motion = MotionStream(stem, channels, attention, theta_deg, stem_stride=1)
        side = -(-size // _FLOW_STRIDE_PX)
        self.action_units = ActionUnitInput(channels[-1], min(7, side), trust(head)) if au_input else None
        self.drop = nn.Dropout2d(dropout)
        self.head = classifier(head, channels[-1], side**2, au_input, classes)

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The motion map."""
        return {"motion": self.motion}

    def forward(self, flow: Tensor, aus: Tensor | None = None, aus_known: Tensor | None = None) -> Output:
        """Flow (B, 3, size, size), AUs (B, 21), which of them are known (B,) -> logits."""
        self.check(flow=flow)
        features = self.motion(self.scale(flow))
        effective, au_logits = self.known_aus(features, aus, aus_known)
        return Output.of(self.head(self.drop(features), effective), au_logits)
