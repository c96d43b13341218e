"""Frames that face detectors are compared on, and what MediaPipe 0.10.21 found in them (`tests/data/face_mesh.npz`).

The frames are made of those of `tests/data/before` with slices alone, so that they are the same on every machine.
The file has of each frame the points of every face, largest first: (faces, 478, 2) pixels, float32.
"""

from pathlib import Path

import cv2
import numpy as np

DATA = Path(__file__).parents[1] / "data"
FOUND = DATA / "face_mesh.npz"


def make_frames():
    raw = DATA / "before" / "raw" / "small"
    one, other = (
        np.ascontiguousarray(cv2.imread(str(raw / name / "clip1" / "1.jpg"))[..., ::-1]) for name in ("p1", "p2")
    )
    half = np.repeat(np.repeat(other, 2, 0), 2, 1)[: other.shape[0] * 2 : 3, : other.shape[1] * 2 : 3]
    two = np.full((320, 560, 3), 120, np.uint8)
    two[:280, :280], two[80 : 80 + half.shape[0], 340 : 340 + half.shape[1]] = one, half
    tilted = np.stack([np.roll(row, at // 4, 0) for at, row in enumerate(other)])
    return {
        "one face": one,
        "the other person": other,
        "two faces": two,
        "leaning": tilted,
        "cut by the right edge": one[:, :175],
        "cut by the lower edge": one[:190],
        "at the upper edge": other[60:],
        "tall": np.concatenate([np.full((300, 280, 3), 90, np.uint8), other]),
        "cropped tightly": one[105:200, 95:185],
        "no face": np.full((200, 300, 3), 90, np.uint8),
    }
