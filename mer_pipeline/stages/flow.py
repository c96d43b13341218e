"""Stage `motion`: what moved between onset and apex, as optical flow and strain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.choices import Method
from mer_pipeline.errors import MerError
from mer_pipeline.video import read_image

FLOW_IMAGE_SIZE = 28  # as in STSTNet
# The solvers invent motion in the outermost pixels, where a warp reads beyond the picture: mirrored pixels that are cut
# off afterwards take it.
_FRAME_PX = 16

Flow = npt.NDArray[np.floating[Any]]


def motion(onset: Image, apex: Image, method: Method) -> npt.NDArray[np.float16]:
    """Optical flow from onset to apex and its strain.

    Args:
        onset: (size, size, 3) uint8 RGB crop.
        apex: (size, size, 3) uint8 RGB crop of the same clip.
        method: `tvl1` (Zach, Pock and Bischof, DAGM 2007) or `dis` (Kroeger et al., ECCV 2016).

    Returns:
        (3, size, size) float16, nothing clipped: u to the right and v downwards, both in pixels of the crop, and the
        strain per pixel. A point (x, y) of the onset is at (x + u, y + v) in the apex.
    """
    first, second = (_framed_grey(image) for image in (onset, apex))
    found = np.asarray(SOLVERS[method]().calc(first, second, None), np.float32)
    flow = found[_FRAME_PX:-_FRAME_PX, _FRAME_PX:-_FRAME_PX].transpose(2, 0, 1)
    return np.asarray(np.concatenate([flow, strain(flow)[None]]), np.float16)


def _framed_grey(image: Image) -> Image:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.copyMakeBorder(grey, _FRAME_PX, _FRAME_PX, _FRAME_PX, _FRAME_PX, cv2.BORDER_REFLECT_101), np.uint8
    )


def strain(flow: Flow) -> npt.NDArray[np.float32]:
    """Magnitude of the optical strain of a flow field: how much skin is stretched or sheared, whatever it is moved by.

    With the infinitesimal strain tensor e = (grad w + (grad w)^T) / 2 of w = (u, v) (Shreve et al., FG 2011), this is
    its Frobenius norm sqrt(exx^2 + eyy^2 + exy^2 + eyx^2), as STSTNet takes it (Liong et al., FG 2019):
    exx = du/dx, eyy = dv/dy, exy = eyx = (du/dy + dv/dx) / 2. Derivatives are central differences, one-sided at the
    borders.

    Args:
        flow: (2, H, W), u and v in pixels.

    Returns:
        (H, W), a pure number (pixels per pixel), 0 for any shift.

    >>> x = np.tile(np.arange(5.0), (5, 1))
    >>> float(strain(np.stack([0.5 * x, 0 * x])).max()), float(strain(np.stack([2 * x, 0 * x]) + 7).max())
    (0.5, 2.0)
    """
    u, v = np.asarray(flow[0], np.float32), np.asarray(flow[1], np.float32)
    (uy, ux), (vy, vx) = np.gradient(u), np.gradient(v)
    shear = (uy + vx) / 2
    return np.asarray(np.sqrt(ux**2 + vy**2 + 2 * shear**2), np.float32)


def flow_image(flow: Flow) -> Image:
    """What STSTNet's authors published of a clip: u, v and strain as the red, green and blue of a small picture.

    Each channel is averaged over the area of a pixel and then stretched to 0..255 on its own. The order follows the
    published images: every channel of each of them holds both 0 and 255, which is so only if scaling came last.

    Args:
        flow: (3, H, W), as `motion` gives it.

    Returns:
        (28, 28, 3) uint8; a channel without any difference is 0.
    """
    size_wh = (FLOW_IMAGE_SIZE, FLOW_IMAGE_SIZE)
    small = [cv2.resize(each, size_wh, interpolation=cv2.INTER_AREA) for each in np.asarray(flow, np.float32)]
    return np.stack([_stretch(np.asarray(channel, np.float32)) for channel in small], axis=-1)


def _stretch(channel: npt.NDArray[np.float32]) -> Image:
    low, high = float(channel.min()), float(channel.max())
    if high <= low:
        return np.zeros(channel.shape, np.uint8)
    return np.asarray(np.rint((channel - low) / (high - low) * 255), np.uint8)


def tvl1(epsilon: float = 0.02) -> Any:
    """The TV-L1 solver, whose `calc` takes two grey pictures; `epsilon` in pixels is where its steps end."""
    solver: Any = cv2.optflow.createOptFlow_DualTVL1()
    # Three warps to 0.02 px instead of OpenCV's five to 0.01 px: on planted bumps of 1 px under sensor noise of one
    # grey level it takes a quarter of the time and loses less of the motion (mean error in the bumps 0.064 px, not
    # 0.106 px), since the last steps flatten motion together with noise.
    solver.setWarpingsNumber(3)
    solver.setEpsilon(epsilon)
    return solver


def _dis() -> Any:
    solver: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The presets stop at half or a quarter of the resolution, where an expression moves less than half a pixel: their
    # mean error in planted bumps of 1 px is 0.13 px, with these settings 0.07 px.
    solver.setFinestScale(0)
    solver.setVariationalRefinementAlpha(40.0)
    solver.setVariationalRefinementIterations(10)
    return solver


SOLVERS: Mapping[str, Callable[[], Any]] = {"tvl1": tvl1, "dis": _dis}


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
    return np.asarray(np.concatenate([flow, channels[2:] / 255]), np.float16)
