"""Displacement of the skin from onset to apex, drawn from the pulls of the facial muscles.

A pull is a Gaussian hill whose axes are those of the face, so that the field of a whole batch is two matrix products
over its columns and rows: no picture is made and nothing is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Matrix
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.synth.action_units import ACTION_UNITS, AT_REST
from mer_pipeline.synth.skin.content import GROUPS, Content, draw_content
from mer_pipeline.synth.skin.people import Crops, Faces, draw_faces

SIZE = 28  # as published flow images
_ANCHORS = sorted(AT_REST)
_USUAL = np.array([AT_REST[anchor] for anchor in _ANCHORS])
_EYE_OUT = 0.5


@dataclass(frozen=True)
class Disturbances:
    """What moves beside the muscles; lengths are relative to a full contraction.

    Attributes:
        eyes: Probability that an eye's lids or its gaze move during an expression.
        head, bend: Standard deviation of the head's shift, and of how it turns, grows and shears.
        patches: By how much the skin slides more or less than its neighbourhood, relative.
        noise: Standard deviation of what a solver invents, fine and coarse.
        blur: Least and greatest standard deviation of its smoothing, in cells.
    """

    eyes: float = 0.6
    head: float = 0.12
    bend: float = 0.06
    patches: float = 0.25
    noise: tuple[float, float] = (0.1, 0.12)
    blur: tuple[float, float] = (0.3, 1.0)


MUSCLES_ALONE = Disturbances(noise=(0, 0), blur=(0, 0))  # where a solver adds its own


@dataclass(frozen=True)
class SkinMotion:
    """Many clips.

    Attributes:
        flow: (clips, 2, size, size) float32, x and y relative to a full contraction; positive to the right and down.
        contents: What happens in each.
        faces: In whom, and how they are cropped.
    """

    flow: FloatImage
    contents: Sequence[Content]
    faces: Faces

    @property
    def aus(self) -> npt.NDArray[np.float32]:
        """(clips, 21) 1 where an Action Unit is coded, in the order of `facs.AU_NUMBERS`."""
        return np.array([[number in each.numbers for number in AU_NUMBERS] for each in self.contents], np.float32)

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """(clips,) indices into `GROUPS`."""
        return np.array([GROUPS.index(each.group) for each in self.contents], np.int64)


class Maker(Protocol):
    """What makes clips from a seed: `draw_motion`, or `computed.compute_motion`."""

    def __call__(
        self, seed: int | Sequence[int], clips: int, *, none: float = 0.25, one_face: bool = False
    ) -> SkinMotion:
        """Make clips; see `draw_motion`."""


def draw_motion(
    seed: int | Sequence[int],
    clips: int,
    *,
    size: int = SIZE,
    crops: Crops = Crops(),  # noqa: B008 - frozen
    disturbances: Disturbances = Disturbances(),
    none: float = 0.25,
    one_face: bool = False,
) -> SkinMotion:
    """Draw clips; the same arguments give the same bits.

    Args:
        seed: What all randomness is drawn from.
        clips: How many.
        size: Side of the fields.
        crops: Between what the crops vary.
        disturbances: What moves beside the muscles.
        none: Share of clips without an expression; the three groups have equal shares of the rest.
        one_face: Whether all clips are of one person in one crop.
    """
    rng = np.random.default_rng(seed)
    faces = draw_faces(rng, 1, crops).repeated(clips) if one_face else draw_faces(rng, clips, crops)
    groups = np.where(rng.random(clips) < none, 3, rng.integers(0, 3, clips))
    contents = [draw_content(rng, GROUPS[group]) for group in groups]
    left = ((_places(size) - faces.eye_x[:, None]) / faces.pupils[:, None]).astype(np.float32)
    down = ((_places(size) - faces.eye_y[:, None]) / (faces.pupils * faces.aspect)[:, None]).astype(np.float32)
    quiet = groups == GROUPS.index("none")
    flow = _muscles(rng, faces, contents, left, down)
    flow += _eyes(rng, left, down, disturbances.eyes, quiet)
    flow *= 1 + disturbances.patches * smooth_noise(rng, clips, size, 3.0 * size / SIZE)[:, None]
    flow += _head(rng, left, down, disturbances, quiet)
    flow *= _inside(rng, left, down)[:, None]
    for cells, level in zip((1.2, 3.5), disturbances.noise, strict=True):
        if level:
            flow += level * smooth_noise(rng, 2 * clips, size, cells).reshape(flow.shape)
    return SkinMotion(_filmed(rng, flow, faces, disturbances.blur), contents, faces)


def _places(size: int) -> Matrix:
    """Middles of the cells of a crop's side, in 0..1."""
    return (np.arange(size) + 0.5) / size


class _Hills:
    """The Gaussian hills of one Action Unit on one side: anchors, and pulls such that its longest vector is 1."""

    def __init__(self, au: int) -> None:
        pulls = ACTION_UNITS[au].pulls
        self.anchors = np.array([_ANCHORS.index(anchor) for pull in pulls for anchor in pull.anchors])
        self.group = np.repeat(np.arange(len(pulls)), [len(pull.anchors) for pull in pulls])
        self.groups = len(pulls)
        self.width = np.array([pull.width_wh for pull in pulls for _ in pull.anchors])
        self.on_lids = ACTION_UNITS[au].on_lids
        # Many anchors close together pull no harder than one.
        self.pull = np.concatenate(
            [
                np.tile(pull.out_up, (len(pull.anchors), 1)) / self._falloffs(pull.anchors, pull.width_wh).sum(1).max()
                for pull in pulls
            ]
        )
        everything = [anchor for pull in pulls for anchor in pull.anchors]
        self.pull /= np.hypot(*(self._falloffs(everything, self.width) @ self.pull).T).max()

    @staticmethod
    def _falloffs(anchors: Sequence[int], width: Matrix | tuple[float, float]) -> Matrix:
        at = np.array([AT_REST[anchor] for anchor in anchors])
        return np.asarray(np.exp(-0.5 * (((at[:, None] - at[None]) / np.asarray(width)) ** 2).sum(-1)))


_HILLS = {au: _Hills(au) for au in ACTION_UNITS}


def _muscles(
    rng: np.random.Generator, faces: Faces, contents: Sequence[Content], left: FloatImage, down: FloatImage
) -> FloatImage:
    """The field of all contractions, (clips, 2, size, size)."""
    clips = len(contents)
    # Each side of a face has its own proportions.
    sides = {
        side: faces.shaped(_USUAL * np.array([side, 1.0])) + rng.normal(0, 0.018, (clips, *_USUAL.shape))
        for side in (-1, 1)
    }
    spread = np.exp(rng.normal(0, 0.15, (clips, 2)))
    most = max(1, max(sum(len(_HILLS[c.au].anchors) for c in each.contractions) for each in contents))
    # One row a hill: where it is, how wide, how it pulls, on which side, and whether it is the lids'.
    table = np.zeros((clips, most, 8), np.float32)
    table[..., 2:4] = table[..., 6] = 1
    for clip, content in enumerate(contents):
        at = 0
        for each in content.contractions:
            hills = _HILLS[each.au]
            rows = table[clip, at : at + len(hills.anchors)]
            at += len(rows)
            rows[:, 0:2] = sides[each.side][clip, hills.anchors]
            rows[:, 2:4] = hills.width * spread[clip]
            rows[:, 4:6] = _own_way(rng, hills) * (each.side * each.strength, -each.strength)
            rows[:, 6], rows[:, 7] = each.side, hills.on_lids
    x, y, wide, high, pull_x, pull_y, side, lids = (table[:, None, :, at] for at in range(8))
    # Windows of the two sides add up to one: a movement of both is whole at the midline.
    window = np.clip((side * left[..., None] + 0.1) / 0.2, 0, 1)
    across = np.exp(-0.5 * ((left[..., None] - x) / wide) ** 2) * window * window * (3 - 2 * window)
    along = np.exp(-0.5 * ((down[..., None] - y) / high) ** 2)
    fields = []
    for of_lids in (0, 1):
        kept = lids == of_lids
        parts = [np.matmul(along * (pull * kept), across.transpose(0, 2, 1)) for pull in (pull_x, pull_y)]
        fields.append(np.stack(parts, 1))
    # The eyeball, which no skin covers, does not follow a brow or a cheek.
    return np.asarray(fields[0] * (1 - 0.8 * _eyeballs(left, down)[:, None]) + fields[1], np.float32)


def _own_way(rng: np.random.Generator, hills: _Hills) -> Matrix:
    """The pulls as one person's muscle does them: in a direction and with shares of its own."""
    turn = rng.normal(0, 0.2, hills.groups)[hills.group]
    share = np.exp(rng.normal(0, 0.25, hills.groups))[hills.group]
    out, up = hills.pull.T
    return np.asarray(
        np.stack([np.cos(turn) * out - np.sin(turn) * up, np.sin(turn) * out + np.cos(turn) * up], 1) * share[:, None]
    )


def _eyeballs(left: FloatImage, down: FloatImage) -> FloatImage:
    sideways = sum(np.exp(-(((left - side * _EYE_OUT) / 0.24) ** 4)) for side in (-1, 1))
    return np.asarray(np.exp(-((down / 0.1) ** 4))[:, :, None] * np.asarray(sideways)[:, None, :], np.float32)


def _eyes(
    rng: np.random.Generator, left: FloatImage, down: FloatImage, share: float, quiet: npt.NDArray[np.bool_]
) -> FloatImage:
    """Lids that twitch and eyeballs that turn, each on its own; more and wider where nothing else happens."""
    clips, size = left.shape
    field = np.zeros((clips, 2, size, size), np.float32)
    for side in (-1, 1):
        moves = (rng.random(clips) < np.where(quiet, 0.7, share)) * np.where(quiet, 2.0, 1.0)
        middle_x, middle_y = (np.asarray(rng.normal(at, sd, clips)) for at, sd in ((side * _EYE_OUT, 0.05), (0, 0.04)))
        wide, high = (np.asarray(rng.uniform(*ends, clips)) for ends in ((0.1, 0.22), (0.05, 0.14)))
        across = np.exp(-0.5 * ((left - middle_x[:, None]) / wide[:, None]) ** 2)
        along = np.exp(-0.5 * ((down - middle_y[:, None]) / high[:, None]) ** 2)
        shift = np.stack([rng.normal(0, 0.25, clips), rng.normal(0, 0.45, clips)], 1) * moves[:, None]
        field += shift[:, :, None, None] * (along[:, :, None] * across[:, None, :])[:, None]
    return field


def _head(
    rng: np.random.Generator,
    left: FloatImage,
    down: FloatImage,
    disturbances: Disturbances,
    quiet: npt.NDArray[np.bool_],
) -> FloatImage:
    """What is left of the head's movement: an affine field."""
    clips = len(left)
    more = np.where(quiet, rng.choice([0.3, 1.0, 3.0], clips), 1.0)
    bend = rng.normal(0, disturbances.bend, (clips, 2, 2)) * more[:, None, None]
    shift = rng.normal(0, disturbances.head, (clips, 2)) * more[:, None]
    x, y = left[:, None, None, :], down[:, None, :, None] - 0.6
    return np.asarray(
        bend[:, :, 0, None, None] * x + bend[:, :, 1, None, None] * y + shift[..., None, None], np.float32
    )


def _inside(rng: np.random.Generator, left: FloatImage, down: FloatImage) -> FloatImage:
    """1 on the face; in half of the clips 0 beyond it, where a background that is seen does not move."""
    radius = np.hypot(left[:, None, :] / 1.2, (down[:, :, None] - 0.55) / 1.45)
    seen = rng.random(len(left)) < 0.5
    return np.asarray(np.where(seen[:, None, None], np.clip((1.12 - radius) / 0.2, 0, 1), 1), np.float32)


def smooth_noise(rng: np.random.Generator, pictures: int, size: int, cells: float) -> FloatImage:
    """Noise of standard deviation 1 whose hills are some cells wide, (pictures, size, size) float32."""
    knots = max(2, int(np.ceil(size / (1.6 * cells)))) + 3
    coarse = rng.standard_normal((pictures, knots, knots), np.float32)
    # One product a side: linear interpolation between the knots, at places that differ by picture.
    start = rng.uniform(0, 1, (2, pictures, 1))
    step = (knots - 2) / size
    rows, columns = (_tents(at + np.arange(size) * step, knots) for at in start)
    noise = np.matmul(np.matmul(rows, coarse), columns.transpose(0, 2, 1))
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def _tents(places: Matrix, knots: int) -> FloatImage:
    """(pictures, places, knots) how much each knot counts at a place."""
    return np.asarray(np.clip(1 - np.abs(places[..., None] - np.arange(knots)), 0, 1), np.float32)


def _filmed(rng: np.random.Generator, flow: FloatImage, faces: Faces, blur: tuple[float, float]) -> FloatImage:
    """The field in the axes and proportions of the crop, smoothed as by a solver."""
    cosine, sine = np.cos(faces.roll)[:, None, None], np.sin(faces.roll)[:, None, None]
    x, y = flow[:, 0], flow[:, 1]
    turned = np.stack([cosine * x - sine * y, (sine * x + cosine * y) * faces.aspect[:, None, None]], 1)
    turned = turned.astype(np.float32)
    if blur[1]:
        for clip, cells in enumerate(rng.uniform(*blur, len(turned))):
            # OpenCV blurs channels together, which stand last there.
            smoothed = cv2.GaussianBlur(turned[clip].transpose(1, 2, 0), (0, 0), float(cells))
            turned[clip] = smoothed.transpose(2, 0, 1)
    return np.asarray(turned, np.float32)
