"""The model that ships with the package, for the stages: flow of an aligned crop, read in plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mer_pipeline.arrays import Image, Pictures
from mer_pipeline.cache.chain import Chain
from mer_pipeline.choices import DEFAULT_SIZE
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference.model import Model, NetworkOutput
from mer_pipeline.inputs.views import VIEWS
from mer_pipeline.reader import GROUPS, NAME, about, shipped
from mer_pipeline.runs.card import Card
from mer_pipeline.stages.keyframes import KeyFrames
from mer_pipeline.stages.parameters import VERSIONS

if TYPE_CHECKING:
    from mer_pipeline.networks import Explanation


class ShippedModel(Model):
    """Reads three groups of emotion, and that there is none, from motion that no recording taught it."""

    def __init__(self, detector: Detector | None = None) -> None:
        """Read its weights.

        Raises:
            MerError: The face detector is not available.
        """
        self.reader = shipped()
        asked = detector or Detector()
        chain = Chain(DEFAULT_SIZE, asked.identity, "stable", "tvl1", stages=VERSIONS)
        super().__init__(_card(chain), VIEWS["flow"], takes_aus=False, detector=detector)
        self.name = about()

    def make_input(self, keyframes: KeyFrames, crops: Mapping[int, Image]) -> Pictures:
        """(1, 3, S, S) u, v and strain of the crop."""
        return self.view.array(self.cropped(keyframes, crops), self.crop_size)

    def run(self, pictures: Pictures, aus: Sequence[int] | None = None) -> NetworkOutput:
        """See `Model`; Action Units do not enter its decision."""
        del aus
        reading = self.reader.read(pictures, aligned=True)
        return NetworkOutput(reading.groups[0], reading.aus[0], pictures)

    def explain(self, pictures: Pictures) -> Explanation:
        """Nothing: it attends to nothing in particular."""
        from mer_pipeline.networks import Explanation  # where pictures are drawn, torch has been imported

        del pictures
        return Explanation()


def _card(chain: Chain) -> Card:
    """What a run's card says, as far as it applies."""
    return Card(
        model=NAME, network="perceptrons", options={}, size=chain.size, mean=[], std=[], classes=list(GROUPS),
        labels="megc3", held_out=None, seed=0, epochs=0, clips=0, subjects=0, datasets=["drawn motion"], versions={},
        chain=chain,
    )  # fmt: skip
