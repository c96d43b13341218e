"""What moves in the intervals of a video that were spotted: Action Units and the group of the emotion, by a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inference.classifier import ANYWHERE, Classifier, to_keyframes
from mer_pipeline.reading import JsonObject
from mer_pipeline.spotting.result import Spotting
from mer_pipeline.video import open_footage

_LEAST = 0.5


@dataclass(frozen=True)
class Named:
    """What a model reads in one interval.

    Attributes:
        emotion: The most probable class; `none` where nothing is an expression.
        probability: Of it.
        aus: Number -> probability of every Action Unit that is likely, the likeliest first.
        why_not: Why nothing could be read; empty where it could.
    """

    emotion: str
    probability: float
    aus: Mapping[str, float]
    why_not: str = ""

    @property
    def words(self) -> str:
        """For a table."""
        return self.why_not or ", ".join(f"{number} ({p:.2f})" for number, p in self.aus.items()) or "none above 0.5"


def name_intervals(spotting: Spotting, detector: Detector | None = None) -> list[Named]:
    """Read every interval of a video by the model that is part of the package.

    Raises:
        MerError: The video cannot be read any more.
    """
    if not spotting.intervals:
        return []
    footage = open_footage(Path(spotting.video))
    named = []
    with Classifier(detector=detector) as classifier:
        for interval in spotting.intervals:
            keyframes = classifier.model.wants(to_keyframes(interval))
            whose = ANYWHERE if spotting.person is None else spotting.where
            try:
                images = dict(footage.read(keyframes.needed))
                found = classifier.classify(images, keyframes, where=footage.path, whose=whose).output
            except MerError as error:
                named.append(Named("", 0.0, {}, error.what))
                continue
            likely = {
                str(number): round(float(p), 4)
                for number, p in zip(AU_NUMBERS, [] if found.aus is None else found.aus, strict=True)
                if p >= _LEAST
            }
            best = int(found.probabilities.argmax())
            aus = dict(sorted(likely.items(), key=lambda each: -each[1]))
            named.append(Named(classifier.card.classes[best], round(float(found.probabilities[best]), 4), aus))
    return named


def with_names(spotting: Spotting, named: list[Named]) -> JsonObject:
    """The JSON of a video, every interval with what was read in it."""
    pairs = zip(spotting.intervals, named, strict=True)
    return {**spotting.as_json(), "intervals": [{**asdict(interval), **asdict(each)} for interval, each in pairs]}
