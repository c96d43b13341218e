"""FDP's frame encoder: local aggregators by convolution in heads, each stage closed by a global one by attention."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline.networks.explain import CellMap, Map, MapSource, to_array

STRIDE_PX = 32  # of the last map: 4 in the stem, then three halvings
AGGREGATORS = ("both", "local", "global")
HEAD_WIDTH = 32  # channels a head; fewer where a map has fewer


def _drop_path(rate: float) -> nn.Module:
    """Stochastic depth."""
    from timm.layers.drop import DropPath  # a second to import, which networks without it are spared

    return DropPath(rate)


def heads(width: int) -> int:
    """How many heads a map of `width` channels has."""
    return max(1, width // HEAD_WIDTH)


class PatchEmbedding(nn.Sequential):
    """Another number of channels, and half the side if asked: average 2x2, conv1x1, BN."""

    def __init__(self, in_channels: int, channels: int, halve: bool = False) -> None:
        super().__init__(
            nn.AvgPool2d(2) if halve else nn.Identity(),
            nn.Conv2d(in_channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


class HeadedConvolution(nn.Sequential):
    """Multi-head 3x3 convolution: a convolution, BN and ReLU of its own for every head, then conv1x1 over all."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=heads(channels), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
        )


class Perceptron(nn.Sequential):
    """BN, then two 1x1 convolutions with `ratio` times the channels between them."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, ratio * channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(ratio * channels, channels, 1),
        )


class LocalAggregator(nn.Module):
    """x + multi-head convolution, then x + MLP: (B, in_channels, h, w) -> (B, channels, h, w), or half of h and w."""

    def __init__(self, in_channels: int, channels: int, halve: bool, drop_path: float) -> None:
        super().__init__()
        same = in_channels == channels and not halve
        self.embed: nn.Module = nn.Identity() if same else PatchEmbedding(in_channels, channels, halve)
        self.mix = HeadedConvolution(channels)
        self.perceptron = Perceptron(channels, 3)
        self.drop = _drop_path(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.embed(x)
        x = x + self.drop(self.mix(x))
        result: Tensor = x + self.drop(self.perceptron(x))
        return result


class PooledAttention(MapSource):
    """Multi-head self-attention whose keys and values are means of `ratio` x `ratio` cells."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.heads, self.ratio = heads(channels), ratio
        self.norm = nn.BatchNorm2d(channels)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        x = self.norm(x)
        query = self._split(self.query(_rows(x)))
        key, value = self.key_value(_rows(F.avg_pool2d(x, self.ratio))).chunk(2, dim=2)
        mixed = F.scaled_dot_product_attention(query, self._split(key), self._split(value))
        rows: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return torch.unflatten(rows.transpose(1, 2), 2, x.shape[2:])

    @torch.no_grad()
    def map_of(self, output: Tensor) -> CellMap:
        """How much every cell is attended to, from the map (T, C, h, w) of one clip's frames: mean over all of it.

        There is a value a key, so 2 x 2 of them in frames of 64 pixels.
        """
        x = self.norm(output)
        keys = F.avg_pool2d(x, self.ratio)
        query, (key, _) = self._split(self.query(_rows(x))), self.key_value(_rows(keys)).chunk(2, dim=2)
        scores = query @ self._split(key).transpose(2, 3) / query.shape[-1] ** 0.5
        return CellMap(self.map_title, to_array(scores.softmax(3).mean((0, 1, 2)).view(keys.shape[2:])))

    @contextmanager
    def recorded(self, keep: Callable[[Map], None]) -> Iterator[None]:
        """See `MapSource`; the attention is worked out from what comes in, since the fused kernel keeps none."""
        handle = self.register_forward_hook(lambda _module, inputs, _output: keep(self.map_of(inputs[0])))
        try:
            yield
        finally:
            handle.remove()

    def _split(self, rows: Tensor) -> Tensor:
        return torch.unflatten(rows, 2, (self.heads, -1)).transpose(1, 2)


def _rows(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


class GlobalAggregator(nn.Module):
    """Attention, beside a third of its channels by convolution on the result, concatenated; then x + MLP.

    (B, channels, h, w) -> (B, channels * 4 / 3, h, w), three quarters of them from attention.
    """

    def __init__(self, channels: int, ratio: int, drop_path: float) -> None:
        super().__init__()
        self.attend = PooledAttention(channels, ratio)
        self.embed = PatchEmbedding(channels, channels // 3)
        self.mix = HeadedConvolution(channels // 3)
        self.perceptron = Perceptron(channels + channels // 3, 2)
        self.drop = _drop_path(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = x + self.drop(self.attend(x))
        local = self.embed(x)
        local = local + self.drop(self.mix(local))
        x = torch.cat([x, local], dim=1)
        result: Tensor = x + self.drop(self.perceptron(x))
        return result


class FrameEncoder(nn.Module):
    """A grey frame to a plane of its own size: (B, 1, S, S) -> (B, 1, S, S), S a multiple of 32.

    The last map has stride 32. Its channels are brought to 32 x 32 and laid out in space, so a cell becomes the part
    of the plane that it looks at. (The release lays out a vector of 4096 as 64 x 64, the same number, but after
    averaging over the picture.)

    Source: FDP's local-global feature-aware transformer, after Next-ViT.

    Args:
        widths: channels of the local aggregators of the four stages; multiples of 3, and of 96 beyond 96.
        depths: how many local aggregators each stage has before its global one.
        stem: widths of the stem's convolutions; the first and last have stride 2.
        drop_path: stochastic depth of the last block; it grows from 0.
        aggregators: `both`; `local` leaves out the global ones, and `global` all but the first step to a stage's size.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        stem: Sequence[int],
        drop_path: float,
        aggregators: str = "both",
    ) -> None:
        super().__init__()
        if aggregators not in AGGREGATORS:
            raise ValueError(f"aggregators is {aggregators!r}: choose one of {', '.join(AGGREGATORS)}")
        if len(widths) != 4 or len(depths) != 4 or min(depths) < 1 or len(stem) != 3:
            raise ValueError(
                f"widths are {list(widths)}, depths {list(depths)} and stem {list(stem)}: give 4, 4 and 3 of them"
            )
        for width in widths:
            if width < 3 or width % 3 or (width > 96 and width % 96):
                raise ValueError(f"widths are {list(widths)}: give multiples of 3, and beyond 96 of 96")
        steps = (1, *stem, stem[-1])
        self.stem = nn.Sequential(
            *(_stem_layer(a, b, stride) for a, b, stride in zip(steps, steps[1:], (2, 1, 1, 2), strict=False))
        )
        rates = iter(torch.linspace(0, drop_path, sum(depths) + len(depths), device="cpu").tolist())
        blocks: list[nn.Module] = []
        channels = stem[-1]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if aggregators == "global":
                blocks.append(PatchEmbedding(channels, width, stage > 0))
            else:
                for block in range(depth):
                    blocks.append(LocalAggregator(channels, width, stage > 0 and block == 0, next(rates)))
                    channels = width
            channels = width
            if aggregators != "local":
                blocks.append(GlobalAggregator(width, 8 >> stage, next(rates)))  # always (S / 32)^2 keys
                channels = width + width // 3
        self.blocks = nn.Sequential(*blocks)
        self.spread = nn.Sequential(
            nn.BatchNorm2d(channels), nn.Conv2d(channels, STRIDE_PX**2, 1), nn.PixelShuffle(STRIDE_PX)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        result: Tensor = self.spread(self.blocks(self.stem(frames)))
        return result


def _stem_layer(in_channels: int, channels: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
