"""Flow as a solver measures it: a sketched face is moved by a drawn field, filmed twice, and compared with itself.

What a drawn field lacks comes from here: motion is found where a face has edges and is smeared or lost on bare skin,
and noise, compression and light add some that is not there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Image, Matrix
from mer_pipeline.stages.flow import SOLVERS, tvl1
from mer_pipeline.synth.skin.drawn import MUSCLES_ALONE, SIZE, SkinMotion, draw_motion
from mer_pipeline.synth.skin.people import Crops
from mer_pipeline.synth.skin.sketch import sketch

SKETCH_PX = 112
_MARGIN_PX = 8  # what solvers invent at a picture's edge is cut off
_MOTION_PX = (0.35, 3.0)  # of the skin that moves most, in pixels of the sketch
# On sketches of 112 px with noise of one grey level TV-L1 takes 108 ms to 0.02 px and 34 ms to 0.05 px, and the flow
# averaged to 28x28 agrees with the planted one no worse (correlation 0.916 and 0.929, 24 faces).
_EPSILON_PX = 0.05


@dataclasses.dataclass(frozen=True)
class Cameras:
    """Between what two frames of a clip vary.

    Attributes:
        rates: Frames a second, from a phone to the laboratory: a slow camera misses the apex and blurs less noise.
        noise: Standard deviation of the sensor's noise, in grey levels.
        quality: Of JPEG compression, which six in ten clips have.
        light: Standard deviation of the change of light, relative.
    """

    rates: tuple[float, ...] = (25, 30, 60, 100, 200)
    noise: tuple[float, float] = (0.2, 2.2)
    quality: tuple[int, int] = (55, 98)
    light: float = 0.006


def compute_motion(
    seed: int | Sequence[int],
    clips: int,
    *,
    crops: Crops = Crops(),  # noqa: B008 - frozen
    camera: Cameras = Cameras(),
    none: float = 0.25,
    one_face: bool = False,
) -> SkinMotion:
    """Sketch, move and film faces, and measure the flow by TV-L1 or DIS; the same arguments give the same bits.

    Args:
        seed: What all randomness is drawn from.
        clips: How many.
        crops: Between what the crops vary.
        camera: Between what the pictures vary.
        none: Share of clips without an expression.
        one_face: Whether all clips are of one person, whose pictures differ as on different days.

    Returns:
        As `draw_motion` gives it, but the flow is in pixels of the sketch.
    """
    drawn = draw_motion(
        seed, clips, size=SKETCH_PX, crops=crops, disturbances=MUSCLES_ALONE, none=none, one_face=one_face
    )
    rng = np.random.default_rng([*np.atleast_1d(seed), 1])
    solvers = tvl1(_EPSILON_PX), SOLVERS["dis"]()
    flow = np.empty((clips, 2, SIZE, SIZE), np.float32)
    for clip in range(clips):
        face = sketch(rng, drawn.faces, clip, SKETCH_PX)
        moved = _moved(face, _in_pixels(rng, drawn.flow[clip], camera))
        found = _measured(solvers[int(rng.integers(2))], *_filmed(rng, face, moved, camera))
        flow[clip] = cv2.resize(found, (SIZE, SIZE), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    return dataclasses.replace(drawn, flow=flow)


def _in_pixels(rng: np.random.Generator, flow: FloatImage, camera: Cameras) -> FloatImage:
    """The field at the frame that a camera has for the apex, in pixels."""
    peak = float(np.percentile(np.hypot(*flow), 99))
    reached = float(np.exp(rng.uniform(*np.log(_MOTION_PX))))
    # The apex of a rise of a tenth of a second lies up to half a frame from the nearest picture of it.
    missed = rng.uniform(0, 0.5) / float(rng.choice(camera.rates)) / 0.1
    return np.asarray(flow * (reached * (1 - missed**2) / max(peak, 0.3)), np.float32)


def _moved(face: FloatImage, flow: FloatImage) -> FloatImage:
    """The picture whose point at x + flow(x) was at x; the inverse by two fixed-point steps."""
    grid = np.stack(np.meshgrid(*(np.arange(len(face), dtype=np.float32),) * 2), -1)
    forward = np.ascontiguousarray(flow.transpose(1, 2, 0))
    back = forward
    for _ in range(2):
        back = cv2.remap(forward, grid - back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(
        cv2.remap(face, grid - back, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101),  # type: ignore[call-overload]
        np.float32,
    )


def _filmed(rng: np.random.Generator, onset: FloatImage, apex: FloatImage, camera: Cameras) -> tuple[Image, Image]:
    """Both frames as one camera records them."""
    apex = apex * (1 + rng.normal(0, camera.light)) + rng.normal(0, 0.6)
    noise, soft = rng.uniform(*camera.noise), rng.uniform(0, 0.8)
    quality = int(rng.integers(*camera.quality)) if rng.random() < 0.6 else None

    def record(light: Matrix | FloatImage) -> Image:
        sharp = cv2.GaussianBlur(light, (0, 0), soft) if soft > 0.3 else light
        grey = np.clip(sharp + rng.normal(0, noise, light.shape), 0, 255).astype(np.uint8)
        if quality is None:
            return grey
        coded = cv2.imencode(".jpg", grey, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)

    return record(onset), record(apex)


def _measured(solver: Any, onset: Image, apex: Image) -> FloatImage:
    """(size, size, 2) flow in pixels."""
    pair = (cv2.copyMakeBorder(each, *(_MARGIN_PX,) * 4, cv2.BORDER_REFLECT_101) for each in (onset, apex))
    found = solver.calc(*pair, None)
    return np.asarray(found[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX], np.float32)
