"""What classifies an expression: how crops of a face become what it is given, and what it answers."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.cache.chain import Chain
from mer_pipeline.choices import MADE_UP
from mer_pipeline.faces.detectors import FORMER, Detector
from mer_pipeline.inputs.views import CroppedClip, View
from mer_pipeline.runs.card import Card
from mer_pipeline.stages.keyframes import KeyFrames
from mer_pipeline.stages.parameters import VERSIONS, Parameters

if TYPE_CHECKING:  # torch takes a second to import, and the shipped model needs none
    from mer_pipeline.networks import Explanation


@dataclass(frozen=True)
class NetworkOutput:
    """What a model says of one expression.

    Attributes:
        probabilities: (classes,) in the order of the card, after its temperature.
        aus: (21,) its own estimate; None where it makes none.
        pictures: What it was given, for `Model.explain`.
    """

    probabilities: npt.NDArray[np.float32]
    aus: npt.NDArray[np.float32] | None
    pictures: Any


class Model(abc.ABC):
    """A model and its card.

    Attributes:
        card: How it was trained.
        view: What it is shown.
        takes_aus: Whether Action Units enter its decision.
        parameters: What the stages are given, so that a new video is seen as the training clips were.
        notes: What the reader of its answers should know.
        name: What it is, what it learnt from and how well it did, in words.
    """

    def __init__(self, card: Card, view: View, takes_aus: bool, detector: Detector | None) -> None:
        """Choose what the stages are given.

        Raises:
            MerError: Its face detector is not available.
        """
        self.card, self.view, self.takes_aus = card, view, takes_aus
        self.parameters, self.notes = _parameters(card, view, detector)
        self.name = f"{card.model}, trained on {', '.join(card.datasets)}"
        if card.datasets and all(name.endswith(MADE_UP) for name in card.datasets):
            self.notes.insert(0, "a demonstration model, trained on synthetic clips alone: its emotions mean nothing")

    @property
    def crop_size(self) -> int:
        """Side of the crops that it is given, in pixels."""
        return self.parameters.size

    def wants(self, keyframes: KeyFrames) -> KeyFrames:
        """The key frames together with the frames between them that the stages are given.

        These are as many as for the training clips, also where it is not shown them: the registration of a frame
        begins at the place of the head in the frame before.
        """
        if self.parameters.frames:
            return replace(keyframes, sequence=self.parameters.frames)
        return self.view.key_frames(keyframes, self.card.frames)

    def cropped(self, keyframes: KeyFrames, crops: Mapping[int, Image]) -> CroppedClip:
        """The clip that its view makes an array of.

        Args:
            keyframes: As `wants` gives them.
            crops: (crop_size, crop_size, 3) uint8 RGB of each needed frame.
        """
        return CroppedClip(self.view.key_frames(keyframes, self.card.frames), crops, self.parameters.motion)

    @abc.abstractmethod
    def make_input(self, keyframes: KeyFrames, crops: Mapping[int, Image]) -> Any:
        """What it is given of a clip, as `run` takes it; see `cropped`."""

    @abc.abstractmethod
    def run(self, pictures: Any, aus: Sequence[int] | None = None) -> NetworkOutput:
        """Classify one expression.

        Args:
            pictures: As `make_input` gives them.
            aus: (21,) 0/1, the Action Units that are known; None for its own estimate.
        """

    @abc.abstractmethod
    def explain(self, pictures: Any) -> Explanation:
        """What it has to show of one expression, whose pictures are as `make_input` gives them."""


def _parameters(card: Card, view: View, detector: Detector | None) -> tuple[Parameters, list[str]]:
    """What the stages are given for a network, and what its reader should know of that."""
    chain, notes = card.chain or Chain(card.size, (), "", "none"), []
    if not chain.detector:
        asked = detector or Detector()
        notes.append(
            f"the network's card does not say how its faces were found and registered: {asked.name} and registration "
            "stable are taken"
        )
        chain = replace(chain, detector=asked.identity, registration="stable")
    elif detector is not None and detector.identity != chain.detector:
        notes.append(
            f"the network was trained on faces found by {chain.detector_name}, and {detector.name} was asked for: its "
            "answers may differ"
        )
    if view.shows_flow and chain.motion == "none":
        notes.append("the network's card does not say how its flow was computed: TV-L1 is taken")
        chain = replace(chain, motion="tvl1")
    parameters = Parameters.of_chain(chain, detector)
    if detector is None and chain.detector == (FORMER,):
        notes.append(
            f"the network was trained on landmarks of MediaPipe 0.10.21; {parameters.detector.name} runs the same "
            "models, 0.002 px apart on average"
        )
    elif detector is None and parameters.detector.identity != chain.detector:
        notes.append(
            f"the network was trained with another version or file of {chain.detector_name}: its answers may differ"
        )
    if chain.stages and dict(chain.stages) != dict(VERSIONS):
        notes.append("the network was trained on what other versions of the stages made: its answers may differ")
    return parameters, notes
