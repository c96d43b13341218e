"""What happens in a long video and when: micro- and macro-expressions, blinks, turns of the head, and its sway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mer_pipeline.arrays import Matrix
from mer_pipeline.errors import MerError
from mer_pipeline.facs import parse_aus
from mer_pipeline.synth.emotions import CASME_SQ
from mer_pipeline.synth.options import LEAST_HOLD_S, Options
from mer_pipeline.synth.plan import Drift, contraction

PlannedKind = Literal["micro", "macro", "blink", "turn", "speech", "hand"]
SecondsRange = tuple[float, float]

# All in seconds; least and greatest. A micro-expression lasts at most half a second.
_MICRO_S: SecondsRange = (0.2, 0.5)
_MACRO_RISE_S, _MACRO_FALL_S = (0.3, 0.7), (0.4, 1.0)
_BLINK_S: SecondsRange = (0.1, 0.3)
_BLINK_EVERY_S: SecondsRange = (2.5, 5.5)
_TURN_S, _TURN_HOLD_S = (0.4, 0.9), (0.1, 0.8)
_SPEECH_S, _SYLLABLES_HZ = (0.9, 1.6), (2.5, 5.0)
_HAND_S: SecondsRange = (0.8, 1.4)
_REST_S = 0.8  # at least, between two expressions and at either end of the video
_AROUND_TURN_S = 0.3
_MACRO_EVERY = 3  # the third, sixth, ... expression of a video
_MACRO_STRENGTH = 2.0
_MOST_PX = 8.0  # beyond it the displacement fields would fold the picture over itself; `Options` has the same limit
_SWAY_S: SecondsRange = (5.0, 25.0)


@dataclass(frozen=True)
class PlannedEvent:
    """One thing that happens; frames are 0-based.

    Attributes:
        start, top, leave, end: Where it begins, is first fully there, begins to fade, and is over.
        emotion, aus, strengths: Of an expression; blank for others.
        amount: An expression's displacement at the apex in pixels of the frame; a turn's angle in degrees; how many
            syllables a second.
        pitch: Whether a turn is a nod.
    """

    kind: PlannedKind
    start: int
    top: int
    leave: int
    end: int
    emotion: str = ""
    aus: str = ""
    strengths: tuple[float, ...] = ()
    amount: float = 0.0
    pitch: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.top <= self.leave < self.end:
            raise ValueError(f"expected 0 <= start < top <= leave < end, got {self}")

    def part(self, frame: int) -> float:
        """How far it is developed in a frame, 0 to 1."""
        if self.top <= frame <= self.leave:
            return 1.0
        held = frame if frame < self.top else frame - (self.leave - self.top)
        return contraction(held, self.start, self.top, self.end - (self.leave - self.top))


@dataclass(frozen=True)
class LongPlan:
    """Everything that is true of a long video.

    Attributes:
        events: By start; expressions, turns, speech and hands do not overlap, blinks come whenever they come.
        sway: (4, 3, 2) periods (s) and phases (rad) of three waves for shift x, shift y, turn and growth of the head.
        limits: Greatest shift x, shift y (pixels), turn (degrees) and growth.
    """

    n_frames: int
    fps: float
    events: tuple[PlannedEvent, ...]
    sway: Matrix
    limits: tuple[float, float, float, float]
    flicker_phase: float

    def drift(self, frame: int) -> Drift:
        """Where the head is in a frame."""
        periods, phases = self.sway[..., 0], self.sway[..., 1]
        waves = np.sin(2 * np.pi * frame / self.fps / periods + phases).mean(1) * np.array(self.limits)
        return Drift((float(waves[0]), float(waves[1])), float(waves[2]), float(1 + waves[3]))

    @property
    def sways(self) -> bool:
        """Whether the head moves as a whole."""
        return any(self.limits) or any(event.kind == "turn" for event in self.events)

    def parted(self, event: PlannedEvent, frame: int) -> float:
        """How far speech parts the lips in a frame, 0 to 1."""
        return event.part(frame) * abs(float(np.sin(np.pi * event.amount * (frame - event.start) / self.fps)))


def draw_long(options: Options, fps: float, seconds: float, expressions: int, seed: tuple[int, ...]) -> LongPlan:
    """Draw a long video; the same seed gives the same plan.

    Args:
        options: Strength of the motion, and what disturbs it.
        fps: Frames a second.
        seconds: Length of the video.
        expressions: How many micro- and macro-expressions; every third is a macro-expression.
        seed: What all randomness is drawn from.

    Raises:
        MerError: So many expressions do not fit.
    """
    rng = np.random.default_rng(seed)
    spans = [_lengths(index, options.hold_s, rng) for index in range(expressions)]
    gaps = _gaps(spans, seconds, rng)
    events: list[PlannedEvent] = []
    at = 0.0
    for index, ((rise, hold, fall), gap) in enumerate(zip(spans, gaps, strict=False)):
        events += _others(options, at, gap, fps, rng)
        at += gap
        events.append(_expression(_at(fps, at, rise, hold, fall), index, options, rng))
        at += rise + hold + fall
    events += _others(options, at, gaps[-1], fps, rng)
    events += _blinks(options, seconds, fps, rng)
    sway = np.stack([rng.uniform(*_SWAY_S, (4, 3)), rng.uniform(0, 2 * np.pi, (4, 3))], -1)
    limits = (options.drift_px, options.drift_px, options.drift_deg, options.drift_scale)
    ordered = tuple(sorted(events, key=lambda event: event.start))
    return LongPlan(round(seconds * fps), fps, ordered, sway, limits, float(rng.uniform(0, 2 * np.pi)))


def _is_macro(index: int) -> bool:
    return index % _MACRO_EVERY == _MACRO_EVERY - 1


def _lengths(index: int, hold_s: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Rise, hold and fall of an expression in seconds."""
    if _is_macro(index):
        return (
            float(rng.uniform(*_MACRO_RISE_S)),
            float(rng.uniform(LEAST_HOLD_S, hold_s)),
            float(rng.uniform(*_MACRO_FALL_S)),
        )
    whole, share = rng.uniform(*_MICRO_S), rng.uniform(0.38, 0.52)
    return float(whole * share), 0.0, float(whole * (1 - share))


def _gaps(spans: list[tuple[float, float, float]], seconds: float, rng: np.random.Generator) -> list[float]:
    """How long the face is at rest before each expression and after the last, in seconds."""
    slack = seconds - sum(map(sum, spans)) - _REST_S * (len(spans) + 1)
    if slack < 0:
        least = seconds - slack
        raise MerError(
            f"{len(spans)} expressions do not fit into {seconds:g} s",
            fix=f"take fewer, or {np.ceil(least):.0f} s and more",
        )
    # Shares of about the same size: a whole minute without anything would test nothing.
    return [float(_REST_S + slack * share) for share in rng.dirichlet(np.full(len(spans) + 1, 3.0))]


def _at(fps: float, start: float, rise: float, hold: float, fall: float) -> tuple[int, int, int, int]:
    """Seconds as frames: start, top, leave, end."""
    first = round(start * fps)
    top = first + max(1, round(rise * fps))
    leave = top + round(hold * fps)
    return first, top, leave, leave + max(1, round(fall * fps))


def _expression(
    frames: tuple[int, int, int, int], index: int, options: Options, rng: np.random.Generator
) -> PlannedEvent:
    emotion = sorted(CASME_SQ)[int(rng.integers(len(CASME_SQ)))]
    choices = CASME_SQ[emotion]
    shares = np.array([choice.weight for choice in choices])
    aus = choices[int(rng.choice(len(choices), p=shares / shares.sum()))].aus
    strengths = tuple(float(s) for s in rng.uniform(0.75, 1.0, len(parse_aus(aus))))
    amount = float(rng.uniform(*options.amplitude_px)) * (_MACRO_STRENGTH if _is_macro(index) else 1.0)
    kind: PlannedKind = "macro" if _is_macro(index) else "micro"
    return PlannedEvent(kind, *frames, emotion, aus, strengths, min(_MOST_PX, amount))


def _others(options: Options, at: float, gap: float, fps: float, rng: np.random.Generator) -> list[PlannedEvent]:
    """What happens in the rest between two expressions: speech, a hand, or perhaps a turn of the head."""
    if not (options.speech_share or options.hand_share):
        return list(_turns(options, at, gap, fps, rng))
    for kind, share, span in (("speech", options.speech_share, _SPEECH_S), ("hand", options.hand_share, _HAND_S)):
        length, place, wanted = rng.uniform(*span), rng.random(), rng.random() < share
        room = gap - length - 2 * _AROUND_TURN_S
        if wanted and room > 0:
            frames = _at(fps, at + _AROUND_TURN_S + place * room, 0.2, length - 0.4, 0.2)
            amount = float(rng.uniform(*_SYLLABLES_HZ)) if kind == "speech" else 0.0
            return [PlannedEvent("speech" if kind == "speech" else "hand", *frames, amount=amount)]
    return list(_turns(options, at, gap, fps, rng))


def _turns(options: Options, at: float, gap: float, fps: float, rng: np.random.Generator) -> Iterator[PlannedEvent]:
    """A turn of the head and back in every second gap that has room for it."""
    (rise, fall), hold = rng.uniform(*_TURN_S, 2), rng.uniform(*_TURN_HOLD_S)
    place, angle, sign = rng.random(), rng.uniform(0.5, 1), rng.choice((-1.0, 1.0))
    pitch, wanted = bool(rng.integers(2)), bool(rng.integers(2))
    room = gap - (rise + hold + fall) - 2 * _AROUND_TURN_S
    if options.turn_deg and wanted and room > 0:
        frames = _at(fps, at + _AROUND_TURN_S + place * room, rise, hold, fall)
        yield PlannedEvent("turn", *frames, amount=float(sign * angle * options.turn_deg), pitch=pitch)


def _blinks(options: Options, seconds: float, fps: float, rng: np.random.Generator) -> Iterator[PlannedEvent]:
    """Blinks every few seconds, each with the given probability."""
    at = float(rng.uniform(0.5, _BLINK_EVERY_S[1]))
    while at + _BLINK_S[1] < seconds - 1 / fps:
        length = float(rng.uniform(*_BLINK_S))
        if rng.random() < options.blink_share:
            yield PlannedEvent(
                "blink", *_at(fps, at, 0.4 * length, 0.0, 0.6 * length)
            )  # lids fall faster than they rise
        at += float(rng.uniform(*_BLINK_EVERY_S))
