"""From crops and flow to what networks are shown; the same for training and for a new video."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Pictures


def to_grey(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Crops (F, size, size, 3) uint8 RGB -> (F, 1, size, size) uint8."""
    return np.asarray(np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[None] for crop in crops]), np.uint8)


def scale_flow(flow: Pictures) -> npt.NDArray[np.float32]:
    """Flow (F, 3, size, size), u and v in pixels and strain, in hundredths: of the side, and of 1.

    So the numbers mean the same at every size of the crop.
    """
    scale = np.array([100 / flow.shape[-1], 100 / flow.shape[-1], 100], np.float32)
    return flow.astype(np.float32) * scale[:, None, None]


def resized(pictures: Pictures, size: int) -> Pictures:
    """Pictures (F, C, S, S) of any type -> (F, C, size, size) of the same; flow must be in hundredths."""
    if pictures.shape[-1] == size:
        return pictures
    method = cv2.INTER_AREA if size < pictures.shape[-1] else cv2.INTER_LINEAR
    planes = pictures.reshape(-1, *pictures.shape[-2:])
    planes = planes.astype(np.float32) if planes.dtype == np.float16 else planes
    changed = np.stack([cv2.resize(plane, (size, size), interpolation=method) for plane in planes])
    return np.asarray(changed.astype(pictures.dtype).reshape(*pictures.shape[:2], size, size))
