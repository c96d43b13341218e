"""What a synthetic dataset may vary, checked when it is stated."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_HOLD_S = 0.1


@dataclass(frozen=True)
class Options:
    """How strong the planted motion is and what disturbs it.

    Attributes:
        amplitude_px: Least and greatest peak displacement of the skin at the apex, in pixels of the 640x480 frame;
            every clip draws one value between them.
        noise: Standard deviation of the sensor noise, in grey levels.
        flicker: Relative amplitude of the brightness flicker of mains light.
        drift_px: Greatest translation of the head within a clip, in pixels.
        drift_deg: Greatest rotation of the head within a clip, in degrees.
        drift_scale: Greatest relative change of the head's size within a clip.
        blink_share: Share of clips in which the eyes blink once; in long videos 1 is a blink every four seconds.
        video: Write one AVI a clip instead of a folder of frames.
        speech_share, hand_share: Share of the rests between expressions in which the mouth speaks, and in which a hand
            passes before it; for long videos.
        turn_deg: Greatest turn of the head to a side, up or down, in degrees; for long videos.
        tones, ages: How much darker than the portrait skin may be, and how much older, 0 to 1; every subject draws one
            value from 0 on.
        compression: Constant rate factor of x264 of long videos, 18 where not given; calls have 28 to 36.
        hold_s: Longest time for which a macro-expression of a long video is held at its height.
        lost: Share of the frames of long videos that are lost on the way: each shows the one before.
        fps, seconds: Rate and length of long videos; None for 200 frames a second and a minute.
        people: How many people a long video shows, beside each other, each in a picture of 640x480.

    Raises:
        ValueError: A value is outside what can be drawn.

    >>> Options(noise=-1)
    Traceback (most recent call last):
        ...
    ValueError: noise must be a number from 0 to 20, got -1
    """

    amplitude_px: tuple[float, float] = (0.8, 3.0)
    noise: float = 1.0
    flicker: float = 0.0
    drift_px: float = 0.0
    drift_deg: float = 0.0
    drift_scale: float = 0.0
    blink_share: float = 0.0
    video: bool = False
    turn_deg: float = 0.0
    speech_share: float = 0.0
    hand_share: float = 0.0
    tones: float = 0.0
    ages: float = 0.0
    compression: int | None = None
    lost: float = 0.0
    hold_s: float = 1.0
    fps: float | None = None
    seconds: float | None = None
    people: int = 1

    def __post_init__(self) -> None:
        amplitude = tuple(self.amplitude_px)
        # Beyond 8 px the smooth displacement fields would start to fold the picture over itself.
        if len(amplitude) != 2 or not 0 <= amplitude[0] <= amplitude[1] <= 8:
            raise ValueError(f"amplitude_px must be a pair (least, greatest) from 0 to 8, got {self.amplitude_px}")
        object.__setattr__(self, "amplitude_px", amplitude)
        for name, greatest in _GREATEST.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= greatest):
                raise ValueError(f"{name} must be a number from 0 to {greatest:g}, got {value}")
        for name, (low, high) in _SPANS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value}")


# Beyond these a face no longer looks filmed, or leaves the frame.
_GREATEST = {
    "noise": 20.0,
    "flicker": 0.5,
    "drift_px": 20.0,
    "drift_deg": 10.0,
    "drift_scale": 0.1,
    "blink_share": 1.0,
    "turn_deg": 15.0,
    "speech_share": 1.0,
    "hand_share": 1.0,
    "tones": 1.0,
    "ages": 1.0,
    "lost": 0.5,
}
_SPANS = {
    "compression": (0.0, 51.0), "hold_s": (LEAST_HOLD_S, 600.0), "fps": (10.0, 1000.0), "seconds": (2.0, 36000.0),
    "people": (1, 4),
}  # fmt: skip
