"""Prediction on one clip: find the face and the key frames, crop, and ask a trained network.

A clip of up to `LONG_S` seconds is taken for one expression, the one that stands out most. In a longer one every
expression is spotted, and the micro-expressions are judged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.align import AlignedFace, align
from mer_pipeline.faces.crop import crop
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.faces.landmarks import FaceFinder
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.inference.model import Model, NetworkOutput, load_model
from mer_pipeline.inference.result import (
    AuSource,
    ClipResult,
    Expression,
    Kind,
    Unclassified,
    Verdict,
)
from mer_pipeline.networks import LineMap, Ranks
from mer_pipeline.progress import Progress, silent
from mer_pipeline.spotting.intervals import is_micro
from mer_pipeline.spotting.video import Interval, spot_video
from mer_pipeline.stages.keyframes import KeyFrames, find_keyframes
from mer_pipeline.stages.pipeline import locate_face
from mer_pipeline.video import Footage, open_footage

# The clips of the public sets last up to about two seconds and hold one expression each.
LONG_S = 3.0
CONFIDENCE = 0.4
# What stands out less (in standard deviations of the noise), or moves the skin less (in pixels of a 224 pixel crop), is
# no expression. Synthetic clips with a planted motion of 0.8 px of a 640x480 frame or more: 156 to 576, 0.44 to 2.1 px;
# the same faces without any motion: 13 to 70, 0.11 to 0.26 px (of 48, two with a blink 160 and 0.30 and 0.44 px). The
# noise of a compressed video is smooth in time, so that the first alone would not do.
LEAST_SALIENCE, LEAST_STRENGTH_PX = 75.0, 0.4
# Below this rate a micro-expression (1/25 to 1/5 s) spans too few frames to be seen rising and falling.
_FEW_FPS = 60.0
_SHOWN_PX = 448


@dataclass(frozen=True)
class ExpressionImages:
    """One expression together with its pictures, for somebody to draw.

    Attributes:
        clip: The path that was given.
        expression: What was found.
        onset, apex: (448, 448, 3) uint8 RGB crops.
        attention: Of the last oriented layer, its `weights` enlarged to the side of the network's pictures; None where
            there is none.
        dynamic: The dynamic image that it built; None where it builds none.
    """

    clip: str
    expression: Expression
    onset: Image
    apex: Image
    attention: LineMap | None
    dynamic: Ranks | None = None


@dataclass(frozen=True)
class Classified:
    """One expression that the network was run on.

    Attributes:
        output: Of the network.
        aligned: Where the face is in every frame that the network was given.
        warnings: What the reader of the result should know of the face.
    """

    output: NetworkOutput
    aligned: tuple[AlignedFace, ...]
    warnings: tuple[str, ...]


class Predictor:
    """A trained network together with the stages that feed it; use it as a context manager.

    Attributes:
        model: The network.
        card: How it was trained.
        find_faces: The face detector, once the context is entered.
    """

    find_faces: FaceFinder

    def __init__(
        self,
        model: Path | None = None,
        device: str = "auto",
        *,
        aus: str = "predicted",
        confidence: float = CONFIDENCE,
        detector: Detector | None = None,
    ) -> None:
        """Load a network.

        Args:
            model: A run folder, a fold folder, a weights file or an ONNX file; None for the newest run in `runs/`.
            device: Where it runs.
            aus: The Action Units that it is given: `predicted` (its own estimate), `none`, or the clips' own in the
                notation of annotation sheets, such as "4+R14".
            confidence: Expressions whose emotion is less probable are `uncertain`.
            detector: Finds faces; None for the detector that the training clips were made with.

        Raises:
            MerError: It cannot be used, the device or the face detector is not available, or it takes no Action Units
                and is given some.
        """
        self.model = load_model(model, device, detector)
        self.card = self.model.card
        self._aus_source, self._aus = _read_aus(aus, self.model)
        self._confidence = confidence
        self._stack = ExitStack()

    def __enter__(self) -> Predictor:
        self.find_faces = self._stack.enter_context(self.model.parameters.detector.open())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(
        self,
        clip: Path,
        *,
        onset_frame: int | None = None,
        apex_frame: int | None = None,
        fps: float | None = None,
        every: bool | None = None,
        macro: bool = False,
        progress: Progress = silent,
        on_expression: Callable[[ExpressionImages], None] | None = None,
    ) -> ClipResult:
        """Predict one clip.

        Args:
            clip: A video file or a folder of frames.
            onset_frame, apex_frame: 0-based indices; spotted where None.
            fps: Overrides what the medium says.
            every: Spot every expression, not the strongest alone; None does so in clips longer than `LONG_S`.
            macro: Judge macro-expressions as well.
            progress: Told while a long clip is searched.
            on_expression: Given each expression with its pictures.

        Raises:
            MerError: The clip is unreadable, too short or has no face, or the given frames make no sense.
        """
        footage = open_footage(clip)
        rate, given = fps or footage.fps, onset_frame is not None or apex_frame is not None
        job = _Job(self, footage, rate, footage.times_s if fps is None else None, on_expression)
        if given and every:
            raise MerError("onset and apex belong to one expression", where=clip, fix="leave them or --all out")
        # A folder of frames whose rate is unknown has no length either.
        long = rate is not None and len(footage) / rate > LONG_S
        if every or (every is None and long and not given):
            return job.every(macro, progress)
        return job.strongest(onset_frame, apex_frame)

    def classify(
        self,
        images: Mapping[int, Image],
        keyframes: KeyFrames,
        counts: DetectionCounts | None = None,
        where: object = None,
    ) -> Classified:
        """Run the network on one expression, whose face is found, aligned and cropped as those of the training clips.

        Args:
            images: RGB frames by index; holds all that `model.wants(keyframes)` needs.
            keyframes: Onset, apex and offset.
            counts: Counts the frames in which a face was looked for.
            where: The clip's file, for errors.

        Raises:
            MerError: No frame shows a face, or it is lost in the onset or the apex.
        """
        keyframes, parameters = self.model.wants(keyframes), self.model.parameters
        counts = DetectionCounts() if counts is None else counts
        face = locate_face(images, keyframes, functools.partial(counts.all, self.find_faces), where)
        shown = {index: images[index] for index in keyframes.needed}
        landmarks = face.landmarks[keyframes.onset_frame]
        aligned = align(shown, keyframes.onset_frame, landmarks, registration=parameters.registration)
        crops = crop(shown, aligned, parameters.size)
        pictures = self.model.make_input(keyframes, {at.frame: image for at, image in zip(aligned, crops, strict=True)})
        return Classified(self.model.run(pictures, self._aus), tuple(aligned), face.warnings)

    def expression(
        self,
        answer: NetworkOutput,
        keyframes: KeyFrames,
        fps: float | None,
        seconds: Callable[[int], float | None],
        stands_out: bool = True,
    ) -> Expression:
        """The network's output in the words of the result."""
        onset, apex, offset = keyframes.onset_frame, keyframes.apex_frame, keyframes.offset_frame
        best = int(np.argmax(answer.probabilities))
        verdict: Verdict = "expression" if answer.probabilities[best] >= self._confidence else "uncertain"
        if not stands_out:
            verdict = "no micro-expression"
        kind: Kind | None = None
        if fps is not None and offset is not None:
            kind = "micro" if is_micro(offset - onset, fps) else "macro"
        estimate = {} if answer.aus is None else dict(zip(AU_NUMBERS, answer.aus.tolist(), strict=True))
        named = zip(self.card.classes, answer.probabilities.tolist(), strict=True)
        return Expression(
            onset_frame=onset, apex_frame=apex, offset_frame=offset,
            onset_s=seconds(onset), apex_s=seconds(apex), offset_s=None if offset is None else seconds(offset),
            kind=kind,
            emotion=self.card.classes[best],
            verdict=verdict,
            probabilities={name: round(p, 4) for name, p in named},
            aus={str(number): round(p, 4) for number, p in estimate.items()},
            aus_source=self._aus_source,
        )  # fmt: skip


@dataclass
class _Job:
    """One clip on its way."""

    predictor: Predictor
    footage: Footage
    rate: float | None
    times_s: npt.NDArray[np.float64] | None
    on_expression: Callable[[ExpressionImages], None] | None

    def strongest(self, onset_frame: int | None, apex_frame: int | None) -> ClipResult:
        """The expression that stands out most, or the one whose frames are given."""
        counts, find_faces = DetectionCounts(), self.predictor.find_faces
        keyframes = find_keyframes(
            self.footage, lambda: find_faces, onset_frame=onset_frame, apex_frame=apex_frame, fps=self.rate,
            looked=counts,
        )  # fmt: skip
        # A frame that is given was chosen by a person who has seen something.
        given = onset_frame is not None or apex_frame is not None
        images = next(self._read([keyframes]))
        expression, warnings = self._classified(keyframes, images, counts, given or _stands_out(counts))
        if keyframes.onset_frame == keyframes.apex_frame:
            warnings = (*warnings, "onset and apex are one frame: there is no motion to classify")
        return ClipResult(
            clip=str(self.footage.path),
            fps=self.rate,
            frames=len(self.footage),
            faces=counts.faces,
            looked_at=counts.frames,
            with_face=counts.with_face,
            expressions=[expression],
            warnings=[*self.predictor.model.notes, *_warnings(self.rate, counts), *warnings],
        )

    def every(self, macro: bool, progress: Progress) -> ClipResult:
        """Every micro-expression; macro-expressions are judged if asked for, else listed."""
        given = self.rate if self.times_s is None else None  # the medium's own times, unless a rate was given
        found = spot_video(self.footage.path, fps=given, progress=progress, find_faces=self.predictor.find_faces)
        if not found.with_face:
            raise _faceless(found.looked_at, self.footage.path)
        chosen = [interval for interval in found.intervals if macro or interval.kind == "micro"]
        rest = [to_unclassified(interval) for interval in found.intervals if interval not in chosen]
        expressions: list[Expression] = []
        warnings: list[str] = []
        wanted = [to_keyframes(interval) for interval in chosen]
        for interval, keyframes, images in zip(chosen, wanted, self._read(wanted), strict=True):
            try:
                expression, said = self._classified(keyframes, images, DetectionCounts())
            except WriteError:
                raise
            except MerError as error:
                rest.append(to_unclassified(interval))
                warnings.append(f"{error.what}: not classified")
            else:
                expressions.append(expression)
                warnings += said
        return ClipResult(
            clip=str(self.footage.path),
            fps=found.fps,
            frames=found.frames,
            faces=found.faces,
            looked_at=found.looked_at,
            with_face=found.with_face,
            expressions=expressions,
            unclassified=sorted(rest, key=lambda each: each.onset_frame),
            timeline=found.timeline,
            warnings=[*self.predictor.model.notes, *found.warnings, *warnings],
        )

    def _read(self, expressions: Sequence[KeyFrames]) -> Iterator[dict[int, Image]]:
        """The frames that the network wants of each expression, in time order.

        In one pass: to reach a frame anew, all since the key frame before it would have to be decoded again.
        """
        wanted = [self.predictor.model.wants(keyframes).needed for keyframes in expressions]
        frames, held = self.footage.read(index for needed in wanted for index in needed), dict[int, Image]()
        for at, needed in enumerate(wanted):
            while needed[-1] not in held:
                held.update([next(frames)])
            yield {index: held[index] for index in needed}
            later = min((after[0] for after in wanted[at + 1 :]), default=len(self.footage))
            held = {index: image for index, image in held.items() if index >= later}

    def _classified(
        self, keyframes: KeyFrames, images: Mapping[int, Image], counts: DetectionCounts, stands_out: bool = True
    ) -> tuple[Expression, tuple[str, ...]]:
        """The expression of some key frames, and what the reader should know of its face.

        Raises:
            MerError: The face is not found, or lost in the onset or the apex.
        """
        predictor = self.predictor
        found = predictor.classify(images, keyframes, counts, self.footage.path)
        keyframes = predictor.model.wants(keyframes)
        expression = predictor.expression(found.output, keyframes, self.rate, self._seconds, stands_out)
        if self.on_expression is not None:
            large = dict(zip((at.frame for at in found.aligned), crop(images, found.aligned, _SHOWN_PX), strict=True))
            onset, apex = large[keyframes.onset_frame], large[keyframes.apex_frame]
            seen = predictor.model.explain(found.output.pictures)
            saw = _enlarged(seen.attention, predictor.card.size), seen.ranks
            self.on_expression(ExpressionImages(str(self.footage.path), expression, onset, apex, *saw))
        return expression, found.warnings

    def _seconds(self, frame: int) -> float | None:
        if self.times_s is not None and frame < len(self.times_s):
            return round(float(self.times_s[frame]), 4)
        return round(frame / self.rate, 4) if self.rate else None


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
    vector = tuple(parse_aus(text).vector())
    if not any(vector):
        numbers = ", ".join(map(str, AU_NUMBERS))
        raise MerError(f"{text!r} has none of the Action Units that networks know", fix=f"they are {numbers}")
    return "given", vector


def _enlarged(attention: LineMap | None, size: int) -> LineMap | None:
    if attention is None:
        return None
    weights = cv2.resize(attention.weights, (size, size), interpolation=cv2.INTER_CUBIC)
    return replace(attention, weights=np.asarray(weights, np.float32))


def _stands_out(counts: DetectionCounts) -> bool:
    return (counts.salience or 0.0) >= LEAST_SALIENCE and (counts.strength_px or 0.0) >= LEAST_STRENGTH_PX


def _faceless(looked_at: int, where: Path) -> MerError:
    return MerError(
        f"no face was found in the {looked_at} frames that were looked at",
        where=where,
        fix="check that a face is visible and upright",
    )


def to_keyframes(interval: Interval) -> KeyFrames:
    """The frames of an interval that was spotted."""
    return KeyFrames(interval.onset_frame, interval.apex_frame, interval.offset_frame, "spotted", "spotted")


def to_unclassified(interval: Interval) -> Unclassified:
    """An interval that was spotted and is not judged."""
    frames = interval.onset_frame, interval.apex_frame, interval.offset_frame
    return Unclassified(*frames, interval.onset_s, interval.apex_s, interval.offset_s, interval.kind)


def _warnings(fps: float | None, counts: DetectionCounts) -> list[str]:
    warnings = []
    if fps is not None and fps < _FEW_FPS:
        warnings.append(
            f"{fps:.3g} fps: a micro-expression (1/25 to 1/5 s) spans only {fps / 25:.1f} to {fps / 5:.1f} frames"
        )
    if counts.with_face < counts.frames:
        warnings.append(
            f"no face in {counts.frames - counts.with_face} of the {counts.frames} frames that were looked at"
        )
    if counts.faces > 1:
        warnings.append(f"{counts.faces} faces: the one that persists, and of several the largest, is used")
    return warnings
