"""One expression whose frames are in memory: its face is cropped like the training clips and given to the network."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.choices import NONE
from mer_pipeline.errors import MerError
from mer_pipeline.faces.align import AlignedFace, align
from mer_pipeline.faces.crop import crop
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.follow import DetectionCounts, Followed
from mer_pipeline.faces.landmarks import FaceFinder
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.inference.load import load_model
from mer_pipeline.inference.model import Model, NetworkOutput
from mer_pipeline.inference.neutral import NeutralPicture
from mer_pipeline.inference.result import AuSource, Expression, Unclassified, Verdict
from mer_pipeline.spotting.intervals import is_micro
from mer_pipeline.spotting.result import Interval, Kind
from mer_pipeline.spotting.tracking import Whereabouts
from mer_pipeline.stages.keyframes import KeyFrames
from mer_pipeline.stages.pipeline import locate_face

if TYPE_CHECKING:
    from typing_extensions import Self

CONFIDENCE = 0.4
ANYWHERE = Whereabouts()


@dataclass(frozen=True)
class Classified:
    """One expression that the network was run on.

    Attributes:
        output: Of the network.
        aligned: Where the face is in every frame that the network was given.
        warnings: What the reader of the result should know of the face.
        onset: What the apex was compared with.
    """

    output: NetworkOutput
    aligned: tuple[AlignedFace, ...]
    warnings: tuple[str, ...]
    onset: Image


class Classifier:
    """A trained network together with the stages that feed it; use it as a context manager.

    Attributes:
        model: The network.
        card: How it was trained.
        find_faces: The face detector, once the context is entered.
    """

    find_faces: FaceFinder

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        device: str = "auto",
        *,
        aus: str = "predicted",
        confidence: float | None = None,
        detector: Detector | None = None,
    ) -> None:
        """Load a network.

        Args:
            model: See `load_model`; None for the model that is part of the package.
            device: Where it runs.
            aus: The Action Units that it is given: `predicted` (its own estimate), `none`, or the clips' own in the
                notation of annotation sheets, such as "4+R14".
            confidence: Expressions whose emotion is less probable are `uncertain`; None for those with more than one
                likely class as the card has it, or less probable than 0.4 where it does not say.
            detector: Finds faces; None for the detector that the training clips were made with.

        Raises:
            MerError: It cannot be used, the device or the face detector is not available, or it takes no Action Units
                and is given some.
        """
        self.model = load_model(None if model is None else Path(model), device, detector)
        self.card = self.model.card
        self._aus_source, self._aus = _read_aus(aus, self.model)
        self._aus_given = aus if self._aus_source == "given" else ""
        self._confidence = confidence
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.find_faces = self._stack.enter_context(self.model.parameters.detector.open())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def classify(
        self,
        images: Mapping[int, Image],
        keyframes: KeyFrames,
        counts: DetectionCounts | None = None,
        where: object = None,
        whose: Whereabouts = ANYWHERE,
        neutral: Sequence[NeutralPicture] = (),
    ) -> Classified:
        """Run the network on one expression, whose face is found, aligned and cropped as those of the training clips.

        Args:
            images: RGB frames by index; holds all that `model.wants(keyframes)` needs.
            keyframes: Onset, apex and offset.
            counts: Counts the frames in which a face was looked for.
            where: The clip's file, for errors.
            whose: Where the face is, where several are in view; the largest one that persists where not given.
            neutral: Pictures of the face at rest, in the place of the onset: the answer is the mean over them.

        Raises:
            MerError: No frame shows a face, or it is lost in the onset or the apex.
        """
        keyframes = self.model.wants(keyframes)
        counts = DetectionCounts() if counts is None else counts
        face = locate_face(images, keyframes, functools.partial(counts.all, self.find_faces), where, whose.own)
        onset = images[keyframes.onset_frame]
        rests = [rest.placed(onset, face.landmarks[keyframes.onset_frame]) for rest in neutral] or [onset]
        outputs = [self._run(images, keyframes, face, rest) for rest in rests]
        output, aligned = outputs[0]
        if len(outputs) > 1:
            estimates = [each.aus for each, _ in outputs if each.aus is not None]
            aus = np.asarray(np.mean(estimates, 0), np.float32) if estimates else None
            probabilities = np.asarray(np.mean([each.probabilities for each, _ in outputs], 0), np.float32)
            output = replace(output, probabilities=probabilities, aus=aus)
        return Classified(output, aligned, face.warnings, rests[0])

    def _run(
        self, images: Mapping[int, Image], keyframes: KeyFrames, face: Followed, rest: Image
    ) -> tuple[NetworkOutput, tuple[AlignedFace, ...]]:
        """The network's output where the face rests in a picture."""
        parameters = self.model.parameters
        shown = {index: images[index] for index in keyframes.needed} | {keyframes.onset_frame: rest}
        landmarks = face.landmarks[keyframes.onset_frame]
        aligned = align(shown, keyframes.onset_frame, landmarks, registration=parameters.registration)
        crops = crop(shown, aligned, parameters.size)
        pictures = self.model.make_input(keyframes, {at.frame: image for at, image in zip(aligned, crops, strict=True)})
        return self.model.run(pictures, self._aus), tuple(aligned)

    def expression(
        self,
        output: NetworkOutput,
        keyframes: KeyFrames,
        fps: float | None,
        seconds: Callable[[int], float | None],
    ) -> Expression:
        """The network's output in the words of the result."""
        onset, apex, offset = keyframes.onset_frame, keyframes.apex_frame, keyframes.offset_frame
        best = int(np.argmax(output.probabilities))
        likely = self._likely(output)
        least = CONFIDENCE if self._confidence is None else self._confidence
        sure = len(likely) == 1 if likely and self._confidence is None else output.probabilities[best] >= least
        verdict: Verdict = "expression" if sure else "uncertain"
        if "not spotted" in keyframes.flags or self.card.classes[best] == NONE:
            verdict = "no micro-expression"
        kind: Kind | None = None
        if fps is not None and offset is not None:
            kind = "micro" if is_micro(offset - onset, fps) else "macro"
        estimate = self.named_aus(output)
        named = zip(self.card.classes, output.probabilities.tolist(), strict=True)
        return Expression(
            onset_frame=onset, apex_frame=apex, offset_frame=offset,
            onset_s=seconds(onset), apex_s=seconds(apex), offset_s=None if offset is None else seconds(offset),
            kind=kind,
            emotion=self.card.classes[best],
            verdict=verdict,
            probabilities={name: round(p, 4) for name, p in named},
            aus={str(number): round(p, 4) for number, p in estimate.items()},
            aus_source="none" if self._aus_source == "predicted" and not estimate else self._aus_source,
            likely=likely, flags=list(keyframes.flags), aus_given=self._aus_given,
        )  # fmt: skip

    def named_aus(self, output: NetworkOutput) -> dict[int, float]:
        """The estimate of each Action Unit that the network was trained on; the others' are no estimates."""
        if output.aus is None:
            return {}
        trained = AU_NUMBERS if self.card.au_trained is None else self.card.au_trained
        return {number: p for number, p in zip(AU_NUMBERS, output.aus.tolist(), strict=True) if number in trained}

    def _likely(self, output: NetworkOutput) -> list[str]:
        """The classes of the card's set, the most probable first: at least one, if the card says."""
        if self.card.least_probability is None:
            return []
        order = np.argsort(-output.probabilities)
        held = sum(output.probabilities >= self.card.least_probability)
        return [self.card.classes[at] for at in order[: max(1, int(held))]]


def to_keyframes(interval: Interval) -> KeyFrames:
    """The frames of an interval that was spotted."""
    frames = interval.onset_frame, interval.apex_frame, interval.offset_frame
    return KeyFrames(*frames, "spotted", "spotted", flags=interval.flags)


def to_unclassified(interval: Interval) -> Unclassified:
    """An interval that was spotted and is not judged."""
    frames = interval.onset_frame, interval.apex_frame, interval.offset_frame
    seconds = interval.onset_s, interval.apex_s, interval.offset_s
    return Unclassified(*frames, *seconds, interval.kind, list(interval.flags))


def _read_aus(text: str, model: Model) -> tuple[AuSource, tuple[int, ...] | None]:
    """Where the Action Units come from, and which are known."""
    if text == "predicted":
        return "predicted" if model.takes_aus else "none", None
    if text == "annotated":
        raise MerError("a new clip has no annotation", fix='write its Action Units, such as --aus "4+R14"')
    if text == "none":
        return "none", (0,) * len(AU_NUMBERS)
    if not model.takes_aus:
        raise MerError(f"{model.card.model} takes no Action Units", fix="leave --aus out")
    units = parse_aus(text)
    vector = tuple(units.vector())
    if any(vector) and units.outside:
        raise MerError(
            f"{text!r} has {', '.join(units.outside)}, which networks do not know", fix="leave it out of --aus"
        )
    if not any(vector):
        numbers = ", ".join(map(str, AU_NUMBERS))
        raise MerError(f"{text!r} has none of the Action Units that networks know", fix=f"they are {numbers}")
    return "given", vector
