"""What the stages are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from mer_pipeline.cache.chain import Chain
from mer_pipeline.choices import DEFAULT_SIZE, METHODS, REGISTRATIONS, Method, Registration
from mer_pipeline.datasets.clip import ClipKind
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector, choose_detector

# Of what spots key frames, where they are not annotated.
SPOTTER = 2
# Of every stage, in their order: a new number makes a stage, and all after it, compute anew.
VERSIONS: Mapping[str, int] = {"keyframes": 3, "detect": 2, "align": 3, "crop": 2, "motion": 1}


@dataclass(frozen=True)
class Parameters:
    """What the stages are given.

    Attributes:
        size: Side of the crops in pixels.
        detector: Which face detector; see `choose_detector`.
        registration: `stable` removes the head's drift since the onset; `none` leaves it in.
        motion: The method of optical flow; `none` computes none.
        frames: How many evenly spaced frames, onset to offset, are cropped for a model of sequences; 0 for none.
    """

    size: int = DEFAULT_SIZE
    detector: Detector = field(default_factory=Detector)
    registration: Registration = "stable"
    motion: Method = "none"
    frames: int = 0

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 1024:
            raise MerError(f"size {self.size} is outside 16..1024", fix="give --size in pixels")
        if self.frames != 0 and not 2 <= self.frames <= 256:
            raise MerError(f"{self.frames} frames are outside 2..256", fix="0 takes onset and apex alone")
        for name, value, known in (
            ("registration", self.registration, REGISTRATIONS),
            ("motion", self.motion, METHODS),
        ):
            if value not in known:
                raise MerError(f"no {name} is called {value!r}", fix=f"choose one of {', '.join(known)}")

    @property
    def chain(self) -> Chain:
        """As the cache records it."""
        return Chain(self.size, self.detector.identity, self.registration, self.motion, self.frames, dict(VERSIONS))

    @classmethod
    def of_chain(cls, chain: Chain, detector: Detector | None = None) -> Parameters:
        """What the stages have to be given to do what a chain did.

        Raises:
            MerError: The chain's detector is not available, or it names something that this version does not know.
        """
        detector = detector or choose_detector(chain.detector_name)
        motion = cast(Method, chain.motion)
        return cls(chain.size, detector, cast(Registration, chain.registration), motion, chain.frames)

    def stages(self, kind: ClipKind) -> tuple[str, ...]:
        """The stages of a kind of clip; a flow image enters the chain at the last of them."""
        if kind == "flow":
            return ("motion",)
        return ("keyframes", "detect", "align", "crop", *(() if self.motion == "none" else ("motion",)))
