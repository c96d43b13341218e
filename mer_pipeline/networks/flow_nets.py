"""Other papers' small networks on optical flow: Off-ApexNet, RCN-A, SSSNet and HTNet, rebuilt from their papers.

What a paper leaves open follows its authors' release. The releases are given images of 0 to 255, each channel scaled on
its own; here a batch norm of the input stands in for that. Widths are options whose defaults are the papers', except
where a class says so.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mer_pipeline.networks.base import Network, Output
from mer_pipeline.networks.explain import CellMap, MapSource, to_array
from mer_pipeline.networks.registry import register

# Row and column, in 28ths of the side, around which HTNet cuts half the face: eyes, corners of the mouth. What its
# release falls back on where it finds no landmarks, kept between 7 and 21 as there.
_HTNET_PARTS = ((11, 9), (10, 21), (21, 10), (21, 20))


class FlowNetwork(Network):
    """A network that takes (u, v, strain) and scales each channel by its batch."""

    view = "flow"

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.scale = nn.BatchNorm2d(3)
        # Where the evidence for a class is read off.
        self.seen: nn.Module = nn.Identity()

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The last map."""
        return {"motion": self.seen}

    def forward(self, flow: Tensor) -> Output:
        """Flow (B, 3, size, size): u, v, strain -> logits."""
        self.check(flow=flow)
        return Output(self.logits(self.scale(flow)))

    def logits(self, flow: Tensor) -> Tensor:
        """Scaled flow (B, 3, size, size) -> (B, classes)."""
        raise NotImplementedError


def _convolved(before: int, width: int, kernel: int, pool: int, dropout: float) -> nn.Sequential:
    """Convolution without padding, ReLU, max pooling, batch norm, dropout of whole maps."""
    return nn.Sequential(
        nn.Conv2d(before, width, kernel),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(pool),
        nn.BatchNorm2d(width),
        nn.Dropout2d(dropout),
    )


@register("off-apexnet")
class OffApexNet(FlowNetwork):
    """Two streams of two 5x5 convolutions, on u and on v, and two wide layers; strain is not taken.

    Source: Gan et al., "OFF-ApexNet on micro-expression recognition system", Signal Processing: Image Communication 74
    (2019), the section on the network: 6 and 16 filters, each followed by 2x2 max pooling, then 1,024 and 1,024 units.

    Args:
        classes: emotions.
        size: of the square flow images in pixels; 28 in the paper.
        filters: of the two convolutions of a stream.
        hidden: of the two layers after both streams.
        dropout: after each of these layers while training.
    """

    least_px = 8

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        filters: Sequence[int] = (6, 16),
        hidden: Sequence[int] = (1024, 1024),
        dropout: float = 0.5,
    ) -> None:
        super().__init__(size)
        first, second = filters
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, first, 5, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
                nn.Conv2d(first, second, 5, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            )
            for _ in "uv"
        )
        widths = (2 * second * (size // 2 // 2) ** 2, *hidden)
        dense = [
            nn.Sequential(nn.Linear(before, width), nn.ReLU(inplace=True), nn.Dropout(dropout))
            for before, width in zip(widths, hidden, strict=False)
        ]
        self.classify = nn.Sequential(*dense, nn.Linear(widths[-1], classes))

    def logits(self, flow: Tensor) -> Tensor:
        """See `FlowNetwork`."""
        maps = [stream(flow[:, at : at + 1]) for at, stream in enumerate(self.streams)]
        found: Tensor = self.classify(self.seen(torch.cat(maps, dim=1)).flatten(1))
        return found


@register("sssnet")
class SSSNet(FlowNetwork):
    """One shallow stream on all three channels.

    Source: Varanka, Peng and Zhao, "Micro-expression recognition with noisy labels", Electronic Imaging 33 (2021): 5x5
    and 3x3 convolutions with 32 and 64 filters, max pooling by 3 and by 2, 256 units; order of the layers after the
    authors' release (MEB), which takes 60 to 64 pixels.

    Args:
        classes: emotions.
        size: of the square flow images in pixels.
        filters: of the two convolutions.
        hidden: units of the layer after them.
        dropout: after each of the three layers while training.
    """

    least_px = 16

    def __init__(
        self, classes: int, size: int, *, filters: Sequence[int] = (32, 64), hidden: int = 256, dropout: float = 0.5
    ) -> None:
        super().__init__(size)
        first, second = filters
        self.seen = nn.Sequential(_convolved(3, first, 5, 3, dropout), _convolved(first, second, 3, 2, dropout))
        cells = ((size - 4) // 3 - 2) // 2
        self.classify = nn.Sequential(
            nn.Flatten(),
            nn.Linear(second * cells**2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def logits(self, flow: Tensor) -> Tensor:
        """See `FlowNetwork`."""
        found: Tensor = self.classify(self.seen(flow))
        return found


class RecurrentConvolution(nn.Module):
    """A 1x1 convolution and twice one and the same 3x3 convolution of the input plus what it gave; halved by pooling.

    Source: the recurrent convolutional layer of RCN.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.again = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.shrink = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, width, h / 2, w / 2)."""
        found = self.enter(x)
        for _ in range(2):
            found = self.again(x + found)
        result: Tensor = self.shrink(found)
        return result


class ClassAttention(MapSource):
    """Attention without parameters: where the classifier's own weights find each class in an early map.

    Source: RCN's attention unit: a class activation map for every class, each stretched to 0..1, and their mean.
    """

    def forward(self, maps: Tensor, weight: Tensor) -> Tensor:
        """Maps (B, C, k, k), the classifier's weights (classes, C k k) -> (B, 1, k, k)."""
        found = torch.einsum("bchw,nchw->bnhw", maps, weight.unflatten(1, maps.shape[1:]).to(maps.dtype))
        found = found - found.amin(dim=(2, 3), keepdim=True)
        return (found / found.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)).mean(1, keepdim=True)

    def map_of(self, output: Tensor) -> CellMap:
        """The attention."""
        return CellMap(self.map_title, to_array(output[0, 0]))


@register("rcn-a")
class RCNA(FlowNetwork):
    """One convolution, one recurrent convolution, and attention that has no parameters of its own.

    Source: Xia et al., "Revealing the invisible with model and data shrinking for composite-database micro-expression
    recognition", IEEE Transactions on Image Processing (2020), RCN-A; layers after the authors' release.

    Args:
        classes: emotions.
        size: of the square flow images in pixels.
        width: maps of every layer.
        cells: to a side, to which maps are averaged before the classifier; 5 or 7 in the release, of larger images: 28
            pixels leave 6.
        dropout: after each pooling while training.
    """

    least_px = 12

    def __init__(self, classes: int, size: int, *, width: int = 64, cells: int = 6, dropout: float = 0.5) -> None:
        super().__init__(size)
        self.enter = nn.Sequential(
            nn.Conv2d(3, width, 5),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Dropout(dropout),
        )
        self.recurrent = RecurrentConvolution(width, dropout)
        self.attention = ClassAttention()
        self.pool = nn.AdaptiveAvgPool2d(cells)
        self.classify = nn.Linear(width * cells**2, classes)

    def logits(self, flow: Tensor) -> Tensor:
        """See `FlowNetwork`."""
        early = self.enter(flow)
        attention = self.attention(self.pool(early), self.classify.weight)
        found: Tensor = self.classify(self.seen(self.pool(self.recurrent(early)) * attention).flatten(1))
        return found


class Level(nn.Module):
    """Transformer blocks that see one part of the picture each.

    Args:
        width: of a token.
        heads: of the attention.
        depth: blocks.
        parts: to a side of the picture; a token attends to those of its own part.
        side: of a part, in tokens.
    """

    def __init__(self, width: int, heads: int, depth: int, parts: int, side: int) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block  # a second to import, which networks without it are spared

        self.shape = (width, parts, side, parts, side)
        self.place = nn.Parameter(torch.randn(side**2, 1))
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=False) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, parts * side, parts * side) -> the same shape."""
        width, parts, side, *_ = self.shape
        cut = x.reshape(-1, *self.shape).permute(0, 2, 4, 3, 5, 1).reshape(-1, side**2, width)
        tokens = self.blocks(cut + self.place).reshape(-1, parts, parts, side, side, width)
        result: Tensor = tokens.permute(0, 5, 1, 3, 2, 4).reshape(-1, width, parts * side, parts * side)
        return result


@register("htnet")
class HTNet(FlowNetwork):
    """Transformers on sixteen parts of the picture, then on four, then on all.

    Source: Wang et al., "HTNet for micro-expression recognition" (arXiv 2307.14637), the section on the method; layers
    after the authors' release (width 256, depths 2, 2 and 10, patches of 7 of 28 pixels), here narrow and shallow. The
    picture is put together of four parts of the face. The release cuts them around landmarks of the face, which flow
    images do not have: they are cut at the fixed places that it falls back on.

    In the release's setting a part of any level is a single patch, so that attention has nothing to choose from; what
    is left are perceptrons on 16 patches. With `patches` 8 a part has 2 x 2 of them.

    Args:
        classes: emotions.
        size: of the square flow images in pixels, a multiple of 4 and of `patches`.
        width: of a token at the first level; it doubles from level to level.
        heads: of the attention at the first level; likewise.
        depths: transformer blocks of each level.
        patches: to a side of the picture.
    """

    least_px = 8
    step_px = 4

    def __init__(
        self,
        classes: int,
        size: int,
        *,
        width: int = 48,
        heads: int = 3,
        depths: Sequence[int] = (2, 2, 2),
        patches: int = 4,
    ) -> None:
        super().__init__(size)
        from timm.layers.norm import LayerNorm2d

        parts = 2 ** (len(depths) - 1)
        if patches % parts or size % patches or width % heads:
            raise ValueError(
                f"patches is {patches}, size {size}, width {width} and heads {heads}: give patches that are a multiple "
                f"of {parts} and divide the size, and heads that divide the width"
            )
        levels: list[nn.Module] = [nn.Conv2d(3, width, size // patches, stride=size // patches)]
        for at, depth in enumerate(depths):
            own = width * 2**at
            levels.append(Level(own, heads * 2**at, depth, parts // 2**at, patches // parts))
            if at + 1 < len(depths):
                levels += [nn.Conv2d(own, 2 * own, 3, padding=1), LayerNorm2d(2 * own), nn.MaxPool2d(3, 2, 1)]
        last = width * parts
        self.levels = nn.Sequential(*levels, LayerNorm2d(last))
        self.classify = nn.Linear(last, classes)

    @property
    def evidence_layers(self) -> Mapping[str, nn.Module]:
        """The flow itself, since the parts lie elsewhere than in the face."""
        return {"motion": self.scale}

    def logits(self, flow: Tensor) -> Tensor:
        """See `FlowNetwork`."""
        found: Tensor = self.classify(self.levels(self._parts(flow)).mean(dim=(2, 3)))
        return found

    def _parts(self, flow: Tensor) -> Tensor:
        """Both eyes above both corners of the mouth: (B, 3, size, size)."""
        half = self.size // 2
        cut = []
        for place in _HTNET_PARTS:
            top, left = (min(max(round(at * self.size / 28) - half // 2, 0), half) for at in place)
            cut.append(flow[..., top : top + half, left : left + half])
        return torch.cat([torch.cat(cut[:2], dim=3), torch.cat(cut[2:], dim=3)], dim=2)
