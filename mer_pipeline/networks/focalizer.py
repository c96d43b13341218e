"""Facial Position Focalizer: where on the face things are, from onset and apex frames."""

import torch
from torch import Tensor, nn

STRIDE_PX = 16  # patch 4, then two mergings


class PositionFocalizer(nn.Module):
    """One Swin transformer on onset and apex separately; the two maps of stride 16 are added.

    timm's SwinTransformer with patch 4, window 7, depths 2, 2, 6, no head; maps that windows do not divide are padded
    by it. Source: FaceSleuth; `embed_dim` 128 (heads 4, 8, 16) is its release, 64 keeps the whole network near the
    8.79 M parameters of its table.

    Args:
        size: of the square frames in pixels, a multiple of 16.
        channels: of the result; a 1x1 convolution brings 4 * embed_dim to it where they differ.
        embed_dim: width of the first stage; 32 a head, narrower only below 32.
        drop_path: stochastic depth of the last block.
    """

    def __init__(self, size: int, channels: int = 512, embed_dim: int = 128, drop_path: float = 0.1) -> None:
        super().__init__()
        if size % STRIDE_PX:
            raise ValueError(f"size is {size}: the position stream needs a multiple of {STRIDE_PX}")
        if embed_dim < 4 or (embed_dim > 32 and embed_dim % 32):
            raise ValueError(f"embed_dim is {embed_dim}: give a multiple of 32, or 4 to 31")
        from timm.models.swin_transformer import (
            SwinTransformer,
        )  # a second to import, which networks without it are spared

        heads = max(1, embed_dim // 32)
        self.swin = SwinTransformer(
            img_size=size,
            patch_size=4,
            window_size=7,
            embed_dim=embed_dim,
            depths=(2, 2, 6),
            num_heads=(heads, 2 * heads, 4 * heads),
            num_classes=0,
            drop_path_rate=drop_path,
            # Half a second, for nothing where no weights are allocated.
            weight_init="skip" if torch.get_default_device().type == "meta" else "",
        )
        width = 4 * embed_dim
        self.project: nn.Module = nn.Identity() if width == channels else nn.Conv2d(width, channels, 1)

    def forward(self, onset: Tensor, apex: Tensor) -> Tensor:
        """(B, 3, size, size) twice -> (B, channels, size / 16, size / 16)."""
        # One pass over both frames: nothing in a Swin mixes clips.
        maps: Tensor = self.swin.forward_features(torch.cat([onset, apex]))
        at_onset, at_apex = maps.permute(0, 3, 1, 2).chunk(2)
        result: Tensor = self.project(at_onset + at_apex)
        return result
