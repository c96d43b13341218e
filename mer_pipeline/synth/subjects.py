"""Subjects: one portrait made into different people, by shape, colour, light, skin and place in the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Image, Mask, Matrix
from mer_pipeline.synth import imaging as pictures
from mer_pipeline.synth.action_units import FaceAxes
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.portrait import CENTER_XY, FACE_HEIGHT_PX, SIZE_WH, Portrait

FRAME_SIZE_WH = (640, 480)
# Frames are sampled from a picture of twice their size: cv2.remap works in steps of 1/32 px, so 1/64 px of a frame.
OVERSAMPLING = 2
BASE_SIZE_WH = (FRAME_SIZE_WH[0] * OVERSAMPLING, FRAME_SIZE_WH[1] * OVERSAMPLING)
# Darkest skin against that of the portrait: minus the logarithm of red, green and blue in grey values. The share of red
# around a pixel from which on it is skin, or as red as skin, and how far around, in pixels of the base picture.
_MELANIN_RGB, _SKIN_RED, _GLOSS_PX = (0.9, 1.25, 1.5), (0.345, 0.375), 14.0
# Wrinkles: contrast of what is finer than this many pixels of the base picture, and grain in grey levels.
_FOLD_PX, _FOLDS, _SPOTS = 5.0, 1.2, 3.0
_STRIDE = 8  # the shape warp is smooth: it is computed on every eighth pixel


@dataclass(frozen=True)
class Traits:
    """What makes a subject look different; shapes are in distances between the pupils, 0 is the portrait itself."""

    mirrored: bool
    face_height_px: float
    center_xy: tuple[float, float]
    roll_deg: float
    face_length: float
    jaw_width: float
    eye_distance: float
    brow_height: float
    nose_length: float
    nose_width: float
    mouth_width: float
    mouth_corners: float
    gamma: float
    gains_rgb: tuple[float, float, float]
    skin_redness: float
    light: float
    light_deg: float
    backdrop: float
    grain: float
    tone: float = 0.0
    age: float = 0.0


@dataclass(frozen=True)
class Subject:
    """A neutral face, ready to be filmed.

    Attributes:
        base_rgb: (960, 1280, 3) uint8, the scene at twice the size of a frame.
        points_xy: (478, 2) float64, Face Mesh points of the neutral face in pixels of a 640x480 frame.
    """

    base_rgb: Image
    points_xy: Matrix

    @property
    def center_xy(self) -> tuple[float, float]:
        """The middle of the face in a frame: the head turns and grows about it."""
        x, y = (self.points_xy.min(0) + self.points_xy.max(0)) / 2
        return float(x), float(y)


def draw_traits(rng: np.random.Generator, options: Options) -> Traits:
    """Draw one person's traits; tone and age last, so that the others are those of a set without."""

    def about(spread: float, middle: float = 0.0) -> float:
        return float(middle + rng.uniform(-spread, spread))

    return Traits(
        mirrored=bool(rng.integers(2)),
        face_height_px=about(26, 230),
        center_xy=(about(35, 320), about(14, 258)),
        roll_deg=about(2.5),
        face_length=about(0.08),
        jaw_width=about(0.09),
        eye_distance=about(0.035),
        brow_height=about(0.035),
        nose_length=about(0.05),
        nose_width=about(0.14),
        mouth_width=about(0.1),
        mouth_corners=about(0.035, 0.03),
        gamma=about(0.2, 1.02),
        gains_rgb=(about(0.06, 1.0), 1.0, about(0.08, 1.0)),
        skin_redness=about(0.07),
        light=about(0.1, 0.15),
        light_deg=about(180),
        backdrop=about(0.22, 0.8),
        grain=about(0.6, 2.4),
        **{
            name: float(rng.uniform(0, most)) for name, most in (("tone", options.tones), ("age", options.ages)) if most
        },
    )


def make_subject(portraits: tuple[Portrait, Portrait], traits: Traits, rng: np.random.Generator) -> Subject:
    """Apply traits to a portrait or its mirror image."""
    portrait = portraits[int(traits.mirrored)]
    to_portrait = _placement(traits)
    anchors_xy, shift_xy = _shape_anchors(portrait.points_xy, traits)
    warp = _ThinPlate.fit(anchors_xy + shift_xy, -shift_xy)
    neutral_xy = _moved(portrait.points_xy, warp)
    map_xy = _base_map(to_portrait, warp)
    scene = pictures.remap(portrait.rgb, map_xy)
    person = pictures.remap(portrait.person, map_xy, cv2.INTER_LINEAR)
    base_points_xy = np.asarray(np.linalg.solve(to_portrait[:, :2], (neutral_xy - to_portrait[:, 2]).T).T, np.float64)
    toned = _tone(scene.astype(np.float32), person, base_points_xy, traits, rng)
    base_rgb = np.asarray(np.rint(np.clip(toned, 0, 255)), np.uint8)
    return Subject(base_rgb, (base_points_xy + 0.5) / OVERSAMPLING - 0.5)


def _placement(traits: Traits) -> Matrix:
    """(2, 3) affine map from pixels of the base picture to pixels of the portrait."""
    scale = FACE_HEIGHT_PX / (traits.face_height_px * OVERSAMPLING)
    turn = np.deg2rad(traits.roll_deg)
    linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    center_xy = (np.array(traits.center_xy) + 0.5) * OVERSAMPLING - 0.5
    return np.column_stack([linear, np.array(CENTER_XY) - linear @ center_xy])


def _base_map(to_portrait: Matrix, warp: _ThinPlate) -> FloatImage:
    """For each pixel of the base picture, where in the portrait it is: (960, 1280, 2)."""
    width, height = BASE_SIZE_WH
    x, y = np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    full = pictures.transform(np.stack(np.meshgrid(x, y), axis=-1), to_portrait)
    middle = (_STRIDE - 1) / 2  # cv2.resize puts a coarse sample in the middle of its block
    coarse = pictures.transform(
        np.stack(np.meshgrid(x[::_STRIDE] + middle, y[::_STRIDE] + middle), axis=-1), to_portrait
    )
    shift = warp(coarse.reshape(-1, 2)).reshape(coarse.shape)
    fine: Matrix = pictures.resize(shift, BASE_SIZE_WH, cv2.INTER_CUBIC)
    full += fine
    return np.asarray(full, np.float32)


_BROWS = ((70, 63, 105, 66, 107), (300, 293, 334, 296, 336))
_EYES = ((33, 159, 145, 133), (263, 386, 374, 362))
_NOSE = (1, 2, 98, 327, 129, 358)
_MOUTH = (61, 291, 0, 17, 39, 269, 181, 405)
_CORNERS = (61, 291)
_JAW = (152, 148, 377, 150, 379, 172, 397, 58, 288, 132, 361, 93, 323, 234, 454)
_FIXED = (10, 54, 284, 127, 356, 168)


def _shape_anchors(points_xy: Matrix, traits: Traits) -> tuple[Matrix, Matrix]:
    """Landmarks and how far a subject's shape moves each, in pixels of the portrait; a still ring closes them in."""
    axes = FaceAxes(points_xy)
    brows, eyes = _BROWS[0] + _BROWS[1], _EYES[0] + _EYES[1]
    indices = np.array(brows + eyes + _NOSE + _MOUTH + _JAW + _FIXED)
    face_uv = axes.to_face(points_xy[indices])
    u, v = face_uv[:, 0], face_uv[:, 1]
    side = np.sign(u)
    shift = np.zeros_like(face_uv)

    def among(group: tuple[int, ...]) -> Mask:
        return np.isin(indices, group)

    shift[:, 1] += traits.face_length * np.clip(v - 0.3, 0, None)
    shift[:, 0] += traits.jaw_width * u * np.clip((v - 0.2) / 0.8, 0, 1) * among(_JAW)
    shift[:, 0] += traits.eye_distance * side * among(brows + eyes)
    shift[:, 1] -= traits.brow_height * among(brows)
    shift[:, 1] += traits.nose_length * among(_NOSE)
    shift[:, 0] += traits.nose_width * u * among(_NOSE)
    shift[:, 0] += traits.mouth_width * u * among(_MOUTH)
    shift[:, 1] += traits.mouth_corners * among(_CORNERS)
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring_uv = np.column_stack([2.1 * np.cos(around), 0.3 + 2.4 * np.sin(around)])
    border_uv = ring_uv * 2.2
    still_xy = axes.center_xy + axes.pupils_px * (
        np.vstack([ring_uv, border_uv]) @ np.stack([axes.left_xy, axes.down_xy])
    )
    moved_xy = axes.pupils_px * (shift @ np.stack([axes.left_xy, axes.down_xy]))
    return np.vstack([points_xy[indices], still_xy]), np.vstack([moved_xy, np.zeros_like(still_xy)])


@dataclass(frozen=True)
class _ThinPlate:
    """A thin-plate spline from points to shifts, both (N, 2) in pixels of the portrait."""

    centers_xy: Matrix
    weights: Matrix  # (N + 3, 2)

    @classmethod
    def fit(cls, centers_xy: Matrix, shifts_xy: Matrix) -> _ThinPlate:
        """Interpolate shifts given at centres, with a little smoothing against pinches."""
        count = len(centers_xy)
        affine = np.column_stack([np.ones(count), centers_xy / SIZE_WH[0]])
        kernel = _thin_plate_kernel(centers_xy, centers_xy) + 2e-3 * np.eye(count)
        system = np.block([[kernel, affine], [affine.T, np.zeros((3, 3))]])
        return cls(centers_xy, np.linalg.solve(system, np.vstack([shifts_xy, np.zeros((3, 2))])))

    def __call__(self, points_xy: Matrix) -> Matrix:
        affine = np.column_stack([np.ones(len(points_xy)), points_xy / SIZE_WH[0]])
        kernel = _thin_plate_kernel(points_xy, self.centers_xy)
        return np.asarray(kernel @ self.weights[:-3] + affine @ self.weights[-3:])


def _thin_plate_kernel(a_xy: Matrix, b_xy: Matrix) -> Matrix:
    squared = (((a_xy[:, None] - b_xy[None]) / SIZE_WH[0]) ** 2).sum(-1)
    return np.asarray(squared * np.log(squared + 1e-12))


def _moved(points_xy: Matrix, warp: _ThinPlate) -> Matrix:
    """Where the warp takes points: the inverse of `q -> q + warp(q)`, by iteration."""
    moved_xy = points_xy.copy()
    for _ in range(20):
        moved_xy = points_xy - warp(moved_xy)
    return moved_xy


def _tone(
    scene: FloatImage,
    person: FloatImage,
    points_xy: Matrix,
    traits: Traits,
    rng: np.random.Generator,
) -> FloatImage:
    """Backdrop, skin tone, white balance, light from one side, and skin texture; all at base resolution."""
    person = person[..., None]
    scene = scene * person + traits.backdrop * _backdrop(scene, person[..., 0]) * (1 - person)
    face_uv = FaceAxes(points_xy).to_face(np.stack(np.meshgrid(*map(np.arange, BASE_SIZE_WH)), axis=-1))
    face_uv = face_uv.astype(np.float32)
    face = np.exp(-(((face_uv[..., 0] / 1.1) ** 2 + ((face_uv[..., 1] - 0.5) / 1.5) ** 2) ** 2))[..., None]
    scene *= 1 + face * traits.skin_redness * np.array([0.4, -0.6, -1.0], np.float32)
    if traits.tone:
        scene *= _darker_skin(scene, person, traits.tone)
    if traits.age:
        folds = scene - pictures.blur(scene, _FOLD_PX)
        scene += face * traits.age * (_FOLDS * folds + _SPOTS * _grain(rng)[..., None])
    from_side = np.array([np.cos(np.deg2rad(traits.light_deg)), np.sin(np.deg2rad(traits.light_deg))], np.float32)
    scene *= (1 + traits.light * np.tanh(face_uv @ from_side / 1.2))[..., None]
    scene *= np.array(traits.gains_rgb, np.float32)
    scene += face * traits.grain * _grain(rng)[..., None]
    return np.asarray(255 * (np.clip(scene, 0, 255) / 255) ** traits.gamma, np.float32)


def _darker_skin(scene: FloatImage, person: FloatImage, tone: float) -> FloatImage:
    """What skin sends back where it holds more melanin, which absorbs blue most: (H, W, 3) factors."""
    around = pictures.blur(scene, _GLOSS_PX)  # what shines has the colour of the light
    red = around[..., :1] / np.maximum(around.sum(-1, keepdims=True), 1)
    skin = person * np.clip((red - _SKIN_RED[0]) / (_SKIN_RED[1] - _SKIN_RED[0]), 0, 1)
    absorbed = np.exp(-tone * np.array(_MELANIN_RGB, np.float32))
    return np.asarray(1 - skin * (1 - absorbed), np.float32)


def _backdrop(scene: FloatImage, person: FloatImage) -> FloatImage:
    """The background without the person: blurred, each pixel from background pixels only."""
    shrink = 8
    size_wh = (BASE_SIZE_WH[0] // shrink, BASE_SIZE_WH[1] // shrink)
    background = (person < 0.02).astype(np.float32)
    weight = pictures.resize(background, size_wh)
    small = pictures.resize(scene * background[..., None], size_wh)
    # The wide blur fills what lies far inside the person, where the narrow one finds nothing.
    plain = pictures.blur(small, 6) + np.float32(1e-3) * pictures.blur(small, 30)
    known = pictures.blur(weight, 6) + np.float32(1e-3) * pictures.blur(weight, 30)
    filled = np.asarray(plain / np.maximum(known, 1e-6)[..., None], np.float32)
    return pictures.resize(filled, BASE_SIZE_WH, cv2.INTER_CUBIC)


def _grain(rng: np.random.Generator) -> FloatImage:
    """Unit-variance texture of the size of pores: it survives halving, and optical flow has something to hold on to."""
    noise = rng.standard_normal(BASE_SIZE_WH[::-1], dtype=np.float32)
    band = pictures.blur(noise, 2.0) - pictures.blur(noise, 6.0)
    return np.asarray(band / band.std(), np.float32)
