"""Action Units as smooth displacement fields that hang on Face Mesh landmarks.

Every number below is in units of the distance between the pupils, in face coordinates: `out` points away from the
midline on either side, `up` to the forehead. Anchors are Face Mesh indices on the person's right side; `_LEFT_OF`
holds their mirror images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Matrix
from mer_pipeline.facs import ActionUnit, parse_aus
from mer_pipeline.synth import imaging as pictures

FaceSide = Literal["L", "R"]
_SIDES: dict[str | None, tuple[FaceSide, ...]] = {None: ("L", "R"), "L": ("L",), "R": ("R",)}


@dataclass(frozen=True)
class Pull:
    """One group of landmarks that a muscle pulls one way.

    Attributes:
        anchors: Face Mesh indices on the person's right side.
        out_up: Direction and relative strength of the pull.
        width_wh: Standard deviations of its falloff across and along the face, in distances between the pupils.
    """

    anchors: tuple[int, ...]
    out_up: tuple[float, float]
    width_wh: tuple[float, float]


@dataclass(frozen=True)
class Movement:
    """What one Action Unit does to the skin; `on_lids` marks those that act on the eyelids themselves."""

    pulls: tuple[Pull, ...]
    on_lids: bool = False


def _pulled(*pulls: Pull, on_lids: bool = False) -> Movement:
    return Movement(pulls, on_lids)


# Their names are `facs.AU_NAMES`.
ACTION_UNITS: dict[int, Movement] = {
    1: _pulled(Pull((107, 55, 66), (0, 1), (0.17, 0.15)), Pull((108,), (0, 0.6), (0.2, 0.15))),
    2: _pulled(Pull((105, 63, 70), (0, 1), (0.18, 0.14)), Pull((69,), (0, 0.5), (0.2, 0.15))),
    4: _pulled(Pull((107, 55), (-0.6, -0.8), (0.16, 0.14)), Pull((66, 105), (-0.2, -0.8), (0.2, 0.13))),
    5: _pulled(Pull((158, 159, 160), (0, 1), (0.15, 0.05)), on_lids=True),
    6: _pulled(Pull((118, 101, 50), (0.1, 1), (0.2, 0.13)), Pull((226,), (-0.5, 0), (0.1, 0.1)), on_lids=True),
    7: _pulled(Pull((144, 145, 153), (-0.2, 1), (0.15, 0.07)), Pull((159,), (0, -0.3), (0.15, 0.05)), on_lids=True),
    9: _pulled(Pull((129, 217), (0.1, 1), (0.12, 0.14)), Pull((55,), (-0.3, -0.5), (0.12, 0.1))),
    10: _pulled(Pull((37, 39, 40), (0, 1), (0.12, 0.09)), Pull((203, 206), (0.15, 0.8), (0.13, 0.13))),
    12: _pulled(Pull((61,), (0.75, 0.65), (0.16, 0.15)), Pull((216, 205), (0.3, 0.5), (0.18, 0.18))),
    14: _pulled(Pull((61,), (1, 0), (0.12, 0.1)), Pull((57, 186), (0.5, 0.1), (0.1, 0.08))),
    15: _pulled(Pull((61,), (0.1, -1), (0.14, 0.12)), Pull((43,), (0.1, -0.9), (0.14, 0.14))),
    16: _pulled(Pull((84, 181), (0, -1), (0.16, 0.1)), Pull((201,), (0.1, -0.5), (0.16, 0.12))),
    17: _pulled(Pull((171, 208), (0, 1), (0.18, 0.14)), Pull((84, 181), (0, 0.6), (0.16, 0.09))),
    18: _pulled(
        Pull((61,), (-1, 0), (0.15, 0.12)),
        Pull((37, 39), (-0.3, 0.3), (0.12, 0.08)),
        Pull((84, 181), (-0.3, -0.3), (0.12, 0.08)),
    ),
    20: _pulled(Pull((61, 91), (1, -0.25), (0.16, 0.13)), Pull((43, 202), (0.8, -0.3), (0.16, 0.16))),
    23: _pulled(
        Pull((61,), (-1, 0), (0.14, 0.1)), Pull((39,), (0, -0.4), (0.1, 0.06)), Pull((181,), (0, 0.4), (0.1, 0.06))
    ),
    24: _pulled(
        Pull((84, 181), (0, 1), (0.16, 0.1)),
        Pull((37, 39), (0, -0.7), (0.15, 0.08)),
        Pull((61,), (-0.4, 0), (0.1, 0.08)),
    ),
    25: _pulled(
        Pull((84, 181), (0, -1), (0.17, 0.1)),
        Pull((37, 39), (0, 0.4), (0.15, 0.08)),
        Pull((201,), (0, -0.4), (0.18, 0.14)),
    ),
    26: _pulled(Pull((171, 208, 176), (0, -1), (0.28, 0.2)), Pull((84, 181), (0, -0.9), (0.2, 0.1))),
    28: _pulled(
        Pull((84, 181), (0, 0.8), (0.17, 0.09)),
        Pull((37, 39), (0, -0.8), (0.16, 0.08)),
        Pull((208,), (0, 0.3), (0.18, 0.12)),
    ),
    45: _pulled(Pull((158, 159, 160), (0, -1), (0.17, 0.06)), Pull((145,), (0.1, 0.1), (0.15, 0.05)), on_lids=True),
}

# Where the anchors lie on the usual face at rest, its mouth closed: out from the midline, and down from the pupils.
AT_REST: dict[int, tuple[float, float]] = {
    37: (0.12, 0.94), 39: (0.22, 0.95), 40: (0.31, 0.97), 43: (0.40, 1.15), 50: (0.79, 0.45), 55: (0.20, -0.16),
    57: (0.50, 1.04), 61: (0.42, 1.02), 63: (0.77, -0.28), 66: (0.44, -0.31), 69: (0.49, -0.54), 70: (0.86, -0.21),
    84: (0.12, 1.20), 91: (0.30, 1.13), 101: (0.55, 0.36), 105: (0.63, -0.32), 107: (0.23, -0.27),
    108: (0.26, -0.54), 118: (0.71, 0.27), 129: (0.35, 0.54), 144: (0.59, 0.07), 145: (0.51, 0.07),
    153: (0.43, 0.07), 158: (0.45, -0.07), 159: (0.53, -0.08), 160: (0.61, -0.07), 171: (0.21, 1.62),
    176: (0.35, 1.62), 181: (0.22, 1.17), 186: (0.46, 0.96), 201: (0.17, 1.38), 202: (0.47, 1.20),
    203: (0.43, 0.61), 205: (0.66, 0.59), 206: (0.49, 0.74), 208: (0.20, 1.53), 216: (0.57, 0.86),
    217: (0.22, 0.31), 226: (0.80, 0.03),
}  # fmt: skip

_LEFT_OF = {
    37: 267, 39: 269, 40: 270, 43: 273, 50: 280, 55: 285, 57: 287, 61: 291, 63: 293, 66: 296, 69: 299, 70: 300,
    84: 314, 91: 321, 101: 330, 105: 334, 107: 336, 108: 337, 118: 347, 129: 358, 144: 373, 145: 374, 153: 380,
    158: 385, 159: 386, 160: 387, 171: 396, 176: 400, 181: 405, 186: 410, 201: 421, 202: 422, 203: 423, 205: 425,
    206: 426, 208: 428, 216: 436, 217: 437, 226: 446,
}  # fmt: skip
EYE_RIGHT = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)  # upper lid, then lower
EYE_LEFT = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
_SPARED = 0.85  # how much of a brow's or cheek's pull the eyeball, which no skin covers, does not follow
_NEGLIGIBLE = 0.004  # of the peak: below 1/64 px at any amplitude, the step of cv2.remap on the base picture


@dataclass(frozen=True)
class FaceAxes:
    """Where a face is and how it is turned, in pixels.

    Attributes:
        points_xy: (478, 2) Face Mesh points.
    """

    points_xy: Matrix

    @property
    def center_xy(self) -> Matrix:
        """Midway between the outer corners of the eyes."""
        return np.asarray((self.points_xy[33] + self.points_xy[263]) / 2)

    @property
    def left_xy(self) -> Matrix:
        """Unit vector along the eye line, to the person's left (right in the picture)."""
        line = self.points_xy[263] - self.points_xy[33]
        return np.asarray(line / np.linalg.norm(line))

    @property
    def down_xy(self) -> Matrix:
        """Unit vector down the face."""
        return np.array([-self.left_xy[1], self.left_xy[0]])

    @property
    def pupils_px(self) -> float:
        """Distance between the pupils."""
        return float(np.linalg.norm(self.points_xy[473] - self.points_xy[468]))

    def to_face(self, points_xy: npt.NDArray[np.floating[Any]]) -> Matrix:
        """Pixels -> (left, down) in distances between the pupils; any leading shape."""
        away = (points_xy - self.center_xy) / self.pupils_px
        return np.stack([away @ self.left_xy, away @ self.down_xy], axis=-1)


def planted_units(notation: str) -> tuple[tuple[int, tuple[FaceSide, ...]], ...]:
    """Action Units and their sides from a sheet's notation.

    Raises:
        MerError: The notation is not understood.
        ValueError: It names an Action Unit that cannot be planted, or says more than number and side.

    >>> planted_units("4+L10")
    ((4, ('L', 'R')), (10, ('L',)))
    """
    units: list[tuple[int, tuple[FaceSide, ...]]] = []
    for term in parse_aus(notation):
        match term:
            case ActionUnit(number=int(number), side=side) if number in ACTION_UNITS and side in _SIDES:
                units.append((number, _SIDES[side]))
            case _:
                raise ValueError(f"{term} in {notation!r} is no Action Unit that can be planted")
        if str(term).lstrip("LR") != str(number):
            raise ValueError(f"{term} in {notation!r} says more than can be planted")
    if not units:
        raise ValueError(f"there is no Action Unit that can be planted in {notation!r}")
    return tuple(units)


def displacement_field(
    notation: str, points_xy: Matrix, size_wh: tuple[int, int], strengths: tuple[float, ...] = ()
) -> FloatImage:
    """How far each point of the skin moves at full contraction.

    Args:
        notation: Action Units as in a sheet, such as `4+L10`.
        points_xy: (478, 2) Face Mesh points of the neutral face, in pixels.
        size_wh: Size of the picture.
        strengths: One relative strength for each unit; all 1 if empty.

    Returns:
        (H, W, 2) float32, in (x, y); the longest vector has length 1.
    """
    axes = FaceAxes(points_xy)
    # Only around the face: a frame has four times as many pixels.
    margin = 0.3 * axes.pupils_px
    left, top = np.clip(np.floor(points_xy.min(0) - margin).astype(int), 0, size_wh)
    right, bottom = np.clip(np.ceil(points_xy.max(0) + margin).astype(int), 0, size_wh)
    grid_xy = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), axis=-1)
    inside_xy = points_xy - (left, top)
    field = _sum_of_units(planted_units(notation), strengths, axes.to_face(grid_xy).astype(np.float32), inside_xy, axes)
    field /= np.float32(_peak(field))
    field[np.hypot(field[..., 0], field[..., 1]) < _NEGLIGIBLE] = 0
    whole = np.zeros((size_wh[1], size_wh[0], 2), np.float32)
    # From the face's axes to the picture's.
    whole[top:bottom, left:right] = field @ np.stack([axes.left_xy, axes.down_xy]).astype(np.float32)
    return whole


def _sum_of_units(
    units: tuple[tuple[int, tuple[FaceSide, ...]], ...],
    strengths: tuple[float, ...],
    face_uv: FloatImage,
    points_xy: Matrix,
    axes: FaceAxes,
) -> FloatImage:
    """All units on their sides, in face axes, inside the face; `points_xy` in pixels of the window `face_uv` covers."""
    size_wh = (face_uv.shape[1], face_uv.shape[0])
    spare = 1 - _SPARED * _eye_mask(points_xy, size_wh, axes.pupils_px)
    total = np.zeros_like(face_uv)
    for (number, sides), strength in zip(units, strengths or (1.0,) * len(units), strict=True):
        unit = ACTION_UNITS[number]
        for side in sides:
            part = _one_side(unit, side, face_uv, axes)
            if not unit.on_lids:
                part *= spare[..., None]
            total += part * np.float32(strength / _peak(part))
    return np.asarray(total * _face_mask(points_xy, size_wh, axes.pupils_px)[..., None], np.float32)


def _one_side(unit: Movement, side: FaceSide, face_uv: FloatImage, axes: FaceAxes) -> FloatImage:
    """The field of one side in face axes (left, down), unnormalised; a soft window keeps it off the other side."""
    sign = 1.0 if side == "L" else -1.0
    field = np.zeros_like(face_uv)
    for pull in unit.pulls:
        indices = [_LEFT_OF[i] if side == "L" else i for i in pull.anchors]
        falloff = np.zeros(face_uv.shape[:2], np.float32)
        for anchor_uv in axes.to_face(axes.points_xy[indices]):
            away = (face_uv - anchor_uv.astype(np.float32)) / np.array(pull.width_wh, np.float32)
            falloff += np.exp(-0.5 * (away**2).sum(-1))
        falloff /= falloff.max()  # many anchors close together pull no harder than one
        field[..., 0] += sign * pull.out_up[0] * falloff
        field[..., 1] -= pull.out_up[1] * falloff
    # The two windows add up to one, so a movement of both sides is whole at the midline.
    window = _smoothstep((sign * face_uv[..., 0] + 0.1) / 0.2)
    return np.asarray(field * window[..., None], np.float32)


def _eye_mask(points_xy: Matrix, size_wh: tuple[int, int], pupils_px: float) -> FloatImage:
    return pictures.soft_polygons([points_xy[list(EYE_RIGHT)], points_xy[list(EYE_LEFT)]], size_wh, 0.03 * pupils_px)


def _face_mask(points_xy: Matrix, size_wh: tuple[int, int], pupils_px: float) -> FloatImage:
    """1 inside the face, 0 beyond its contour: hair and background stay where they are."""
    return pictures.soft_polygons([pictures.hull(points_xy)], size_wh, 0.08 * pupils_px)


def _smoothstep(x: FloatImage) -> FloatImage:
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _peak(field: FloatImage) -> float:
    return float(np.hypot(field[..., 0], field[..., 1]).max())
