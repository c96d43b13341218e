"""Stage `motion`: what moved between onset and apex, as optical flow and strain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_pipeline.errors import MerError
from mer_pipeline.video import read_image

VERSION = 1


def read_flow_image(path: Path) -> npt.NDArray[np.float16]:
    """A published flow image as u, v and strain.

    The images of STSTNet's authors (Liong et al., FG 2019) hold u, v (TV-L1, onset to apex) and strain in their red,
    green and blue channels, each scaled to 0..255 on its own, so that no motion has another value in every image. Most
    of a face does not move, hence the median of u and of v is that value.

    Returns:
        (3, H, W) float16: u and v less their median, over 128; strain over 255. Lengths of motion are not comparable
        between images, since each was scaled on its own.

    Raises:
        MerError: The file is no image, or is not square.
    """
    channels = read_image(path).astype(np.float32).transpose(2, 0, 1)
    if channels.shape[1] != channels.shape[2]:
        raise MerError(
            f"a flow image of {channels.shape[2]}x{channels.shape[1]}", where=path, fix="expected a square one"
        )
    flow = (channels[:2] - np.median(channels[:2], axis=(1, 2), keepdims=True)) / 128
    return np.concatenate([flow, channels[2:] / 255]).astype(np.float16)
