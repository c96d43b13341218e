"""What happens in a clip and when: drawn from a seed, before anything is rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mer_pipeline.arrays import Matrix
from mer_pipeline.facs import parse_aus
from mer_pipeline.synth.emotions import Combination
from mer_pipeline.synth.options import Options

FrameRange = tuple[int, int]


@dataclass(frozen=True)
class Timing:
    """How long the parts of a clip last, in frames; least and greatest, both possible.

    Attributes:
        lead_in, lead_out: The neutral face before the onset and after the offset.
        rise, fall: From onset to apex, and from apex to offset.
        blink: A whole blink.
        strength: Multiplies the amplitude; above 1 for macro-expressions.
        macro: Whether this is a macro-expression.
    """

    lead_in: FrameRange
    rise: FrameRange
    fall: FrameRange
    lead_out: FrameRange
    blink: FrameRange
    strength: float = 1.0
    macro: bool = False


# A micro-expression lasts at most half a second: 100 frames at 200 a second, 15 at 30.
FAST = Timing((6, 14), (12, 24), (14, 28), (6, 14), (20, 30))
MEDIUM = Timing((3, 7), (6, 12), (7, 14), (3, 7), (10, 15))  # 90 to 100 a second
SLOW = Timing((2, 4), (3, 6), (3, 8), (2, 4), (5, 8))  # 30 a second
FAST_MACRO = Timing((6, 14), (50, 60), (52, 70), (6, 14), (20, 30), strength=2.0, macro=True)
SLOW_MACRO = Timing((3, 5), (8, 14), (10, 18), (3, 5), (5, 8), strength=2.0, macro=True)


@dataclass(frozen=True)
class Drift:
    """How far the head has moved from where it is at the onset; the turn and growth are about the face's middle."""

    shift_xy_px: tuple[float, float]
    theta_deg: float
    scale: float


@dataclass(frozen=True)
class Blink:
    """One blink: lids begin to fall at `start_frame`, are shut at `frame`, and open by `end_frame`."""

    start_frame: int
    frame: int
    end_frame: int


@dataclass(frozen=True)
class ClipPlan:
    """Everything that is true of a clip; frames are 0-based indices into it.

    Attributes:
        strengths: Relative strength of each Action Unit of `combination`.
        amplitude_px: Displacement of the skin that moves most, at the apex.
        drift_path: (n_frames,) from -1 to 1 and 0 at the onset: the share of `drift_limit` in each frame.
        drift_limit: Where the head goes at path 1.
        seed: What the clip's randomness was drawn from.
    """

    emotion: str
    combination: Combination
    strengths: tuple[float, ...]
    amplitude_px: float
    onset_frame: int
    apex_frame: int
    offset_frame: int
    n_frames: int
    drift_path: tuple[float, ...]
    drift_limit: Drift
    blink: Blink | None
    flicker_phase: float
    seed: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.onset_frame < self.apex_frame < self.offset_frame < self.n_frames:
            raise ValueError(f"onset < apex < offset < n_frames must hold, got {self}")
        if len(self.drift_path) != self.n_frames or len(self.strengths) != len(parse_aus(self.combination.aus)):
            raise ValueError(f"one path value a frame and one strength a unit must be given, got {self}")

    def drift(self, frame: int) -> Drift:
        """Where the head is in a frame, relative to the onset."""
        part, limit = self.drift_path[frame], self.drift_limit
        shift_xy_px = (part * limit.shift_xy_px[0], part * limit.shift_xy_px[1])
        return Drift(shift_xy_px, part * limit.theta_deg, 1 + part * (limit.scale - 1))


def contraction(frame: int, onset_frame: int, apex_frame: int, offset_frame: int) -> float:
    """How far an expression is developed in a frame: 0 to the onset, 1 at the apex, 0 from the offset.

    Both flanks are minimum-jerk movements: smooth, and at rest at either end.

    >>> [round(contraction(frame, 2, 4, 8), 2) for frame in range(10)]
    [0.0, 0.0, 0.0, 0.5, 1.0, 0.9, 0.5, 0.1, 0.0, 0.0]
    """
    rising = (frame - onset_frame) / (apex_frame - onset_frame)
    falling = (offset_frame - frame) / (offset_frame - apex_frame)
    return _minimum_jerk(min(rising, falling))


def lid_closure(frame: int, blink: Blink | None) -> float:
    """How far the upper lids have come down in a frame: 0 open, 1 shut."""
    return 0.0 if blink is None else contraction(frame, blink.start_frame, blink.frame, blink.end_frame)


def _minimum_jerk(part: float) -> float:
    t = min(1.0, max(0.0, part))
    return t**3 * (10 - 15 * t + 6 * t * t)


def balanced_emotions(emotions: Sequence[str], subjects: int, clips: int, rng: np.random.Generator) -> list[list[str]]:
    """One list of emotions a subject: all as frequent as the number of clips allows, in every subject and overall."""
    lists = []
    for subject in range(subjects):
        # Each subject takes up where the one before stopped, so what is left over goes round.
        own = [emotions[(subject * clips + clip) % len(emotions)] for clip in range(clips)]
        lists.append([own[i] for i in rng.permutation(clips)])
    return lists


def draw_clip(
    emotion: str,
    vocabulary: Mapping[str, Sequence[Combination]],
    options: Options,
    seed: tuple[int, ...],
    timing: Timing = FAST,
) -> ClipPlan:
    """Draw a clip of an emotion; the same seed gives the same plan."""
    rng = np.random.default_rng(seed)
    choices = vocabulary[emotion]
    shares = np.array([choice.weight for choice in choices])
    combination = choices[int(rng.choice(len(choices), p=shares / shares.sum()))]
    strengths = tuple(float(s) for s in rng.uniform(0.75, 1.0, len(parse_aus(combination.aus))))
    # Beyond 8 px the displacement fields would fold the picture over itself; `Options` has the same limit.
    amplitude_px = min(8.0, timing.strength * float(rng.uniform(*options.amplitude_px)))
    spans = (timing.lead_in, timing.rise, timing.fall, timing.lead_out)
    lead_in, rise, fall, lead_out = (int(rng.integers(a, b + 1)) for a, b in spans)
    onset, n_frames = lead_in, lead_in + rise + fall + lead_out + 1
    blink_length, blink_place, blinks = (
        int(rng.integers(timing.blink[0], timing.blink[1] + 1)),
        rng.random(),
        rng.random(),
    )
    start = int(blink_place * (n_frames - blink_length))
    # Lids fall faster than they rise.
    blink = Blink(start, start + round(0.4 * blink_length), start + blink_length)
    return ClipPlan(
        emotion=emotion,
        combination=combination,
        strengths=strengths,
        amplitude_px=amplitude_px,
        onset_frame=onset,
        apex_frame=onset + rise,
        offset_frame=onset + rise + fall,
        n_frames=n_frames,
        drift_path=_drift_path(n_frames, onset, rng),
        drift_limit=_drift_limit(options, rng),
        blink=blink if blinks < options.blink_share else None,
        flicker_phase=float(rng.uniform(0, 2 * np.pi)),
        seed=seed,
    )


def _drift_path(n_frames: int, onset_frame: int, rng: np.random.Generator) -> tuple[float, ...]:
    """A slow sway and trend, 0 at the onset, reaching 1 or -1 once."""
    time = np.linspace(0, 1, n_frames)
    sway = 0.3 * np.sin(2 * np.pi * (rng.uniform(0.4, 1.1) * time + rng.random()))
    path: Matrix = time + sway
    path -= path[onset_frame]
    path /= np.abs(path).max()
    return tuple(float(p) for p in path)


def _drift_limit(options: Options, rng: np.random.Generator) -> Drift:
    length = options.drift_px * rng.uniform(0.5, 1)
    heading = rng.uniform(0, 2 * np.pi)
    sign_theta, sign_scale = rng.choice((-1.0, 1.0), 2)
    theta = sign_theta * options.drift_deg * rng.uniform(0.5, 1)
    growth = sign_scale * options.drift_scale * rng.uniform(0.5, 1)
    return Drift((float(length * np.cos(heading)), float(length * np.sin(heading))), float(theta), float(1 + growth))
