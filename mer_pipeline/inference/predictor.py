"""Prediction on one clip: find the face and the key frames, crop, and run a trained network.

One spotter finds the expressions, whatever the length. A clip of up to `LONG_S` seconds is taken for one expression:
the one that stands out most is classified, and where none was spotted, the strongest motion, which is then no
micro-expression. In a longer clip the micro-expressions are classified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Image
from mer_pipeline.errors import MerError, WriteError, os_errors
from mer_pipeline.faces.align import AlignedFace
from mer_pipeline.faces.crop import crop
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.inference.classifier import ANYWHERE, Classified, Classifier, to_keyframes, to_unclassified
from mer_pipeline.inference.neutral import Neutral, NeutralPicture
from mer_pipeline.inference.result import ClipResult, Expression, Unclassified
from mer_pipeline.progress import Progress, silent
from mer_pipeline.spotting.everyone import FaceChoice
from mer_pipeline.spotting.frame_table import FaceFrames, FrameTable
from mer_pipeline.spotting.result import Interval, Spotting
from mer_pipeline.spotting.tracking import Place, Whereabouts
from mer_pipeline.spotting.video import face_warnings, in_film, later, rate_of, spot_faces
from mer_pipeline.stages.flow import motion
from mer_pipeline.stages.keyframes import FALLBACK_FPS, KeyFrames, find_keyframes, without_motion
from mer_pipeline.video import Excerpt, Footage, Window, open_footage

if TYPE_CHECKING:  # torch takes a second to import, and the shipped model needs none
    from mer_pipeline.networks import LineMap, Ranks

# The clips of the public sets last up to about two seconds and hold one expression each.
LONG_S = 3.0
_SHOWN_PX = 448
_READ_AGAINST = "emotion and Action Units are read against the neutral picture, not the onset"
_AU_FRAMES = 24  # of an expression in which its Action Units are read, for the table of frames


@dataclass(frozen=True)
class ExpressionImages:
    """One expression together with its pictures, to be drawn.

    Attributes:
        clip: The path that was given, and the person where several were followed.
        expression: What was found.
        onset, apex: (448, 448, 3) uint8 RGB crops.
        flow: (3, S, S) u and v in pixels, and strain, of crops as the training clips have them and by their method;
            by TV-L1 where these have none.
        attention: Of the last oriented layer, its `weights` enlarged to the side of the network's pictures; None where
            there is none.
        dynamic: The dynamic image that it built; None where it builds none.
        model: What classified, in words.
    """

    clip: str
    expression: Expression
    onset: Image
    apex: Image
    flow: FloatImage
    attention: LineMap | None
    dynamic: Ranks | None = None
    model: str = ""


class Predictor(Classifier):
    """A trained network that finds the expressions of clips by itself; use it as a context manager."""

    def __call__(
        self,
        clip: str | Path,
        *,
        onset_frame: int | None = None,
        apex_frame: int | None = None,
        fps: float | None = None,
        force_fps: bool = False,
        every: bool | None = None,
        macro: bool = False,
        window: Window | None = None,
        progress: Progress = silent,
        on_expression: Callable[[ExpressionImages], None] | None = None,
    ) -> ClipResult:
        """Predict the largest face of one clip.

        Args:
            clip: A video file or a folder of frames.
            onset_frame: 0-based index; spotted where None.
            apex_frame: 0-based index; spotted where None.
            fps: The rate of frames that do not say theirs.
            force_fps: Let `fps` override what the medium says.
            every: Spot every expression, not the strongest alone; None does so in clips longer than `LONG_S`.
            macro: Classify macro-expressions as well.
            window: Where to search; None for everywhere. Frames and seconds are the clip's own all the same.
            progress: Called while a long clip is searched.
            on_expression: Given each expression with its pictures.

        Raises:
            MerError: The clip is unreadable, too short or has no face, or the given frames make no sense.
        """
        return self.people(
            clip, face="largest", onset_frame=onset_frame, apex_frame=apex_frame, fps=fps, force_fps=force_fps,
            every=every, macro=macro, window=window, progress=progress, on_expression=on_expression,
        )[0]  # fmt: skip

    @os_errors()
    def people(
        self,
        clip: str | Path,
        *,
        face: FaceChoice = "all",
        onset_frame: int | None = None,
        apex_frame: int | None = None,
        fps: float | None = None,
        force_fps: bool = False,
        every: bool | None = None,
        macro: bool = False,
        window: Window | None = None,
        progress: Progress = silent,
        on_expression: Callable[[ExpressionImages], None] | None = None,
        frames: FrameTable | None = None,
        neutral: Neutral | None = None,
    ) -> list[ClipResult]:
        """Predict every face of one clip, or one of them (`face` as in `spot_people`), each as `__call__` does.

        A given onset or apex belongs to the largest face. `frames` takes in every frame, and the Action Units over each
        expression that is classified. `neutral` says where the largest face expresses nothing: expressions are read
        against that, not their onset.

        Raises:
            MerError: As there; or there is no face of this number.
        """
        clip = Path(clip)
        footage = open_footage(clip)
        given = onset_frame is not None or apex_frame is not None
        rate, own_times, said = rate_of(footage, fps, force=force_fps)
        part = window.of(footage, rate, own_times) if window and not given else None
        media: Footage = footage if part is None else part
        if part is not None and window:
            on_expression, said = _in_film(on_expression, part), [*said, window.words]
        job = _Job(self, media, rate, media.times_s if own_times else None, on_expression, said, frames)
        if neutral is not None:
            if face != "largest":
                raise MerError("the baseline is of the largest face", where=clip, fix="leave --face or --neutral out")
            job.neutral = neutral.pictures(footage, rate, self.find_faces, own_times)
            job.said = [*said, _READ_AGAINST]
        if given:
            _refuse_search(clip, every=every, frames=frames, face=face)
        # A folder of frames whose rate is unknown has no length either.
        long = rate is not None and len(media) / rate > LONG_S
        if given:
            return [job.given(onset_frame, apex_frame)]
        results = job.spotted(face, macro, every=bool(every or (every is None and long)), progress=progress)
        return results if part is None else [result.in_film(part) for result in results]


def _refuse_search(clip: Path, *, every: bool | None, frames: FrameTable | None, face: FaceChoice) -> None:
    """With onset and apex given, a clip is not searched."""
    if every:
        raise MerError("onset and apex belong to one expression", where=clip, fix="leave them or --all out")
    if frames is not None:
        raise MerError("with onset and apex given, the clip is not searched", where=clip, fix="leave --frames out")
    if face != "largest":
        raise MerError("onset and apex belong to the largest face", where=clip, fix="leave them or --face out")


def _in_film(
    on_expression: Callable[[ExpressionImages], None] | None, part: Excerpt
) -> Callable[[ExpressionImages], None] | None:
    """The same callback, given expressions that are counted from the film's beginning."""
    if on_expression is None:
        return None
    return lambda images: on_expression(replace(images, expression=part.in_film(images.expression)))


@dataclass
class _Job:
    """One clip on its way."""

    classifier: Classifier
    footage: Footage
    rate: float | None
    times_s: npt.NDArray[np.float64] | None
    on_expression: Callable[[ExpressionImages], None] | None
    said: list[str]
    frames: FrameTable | None = None
    neutral: Sequence[NeutralPicture] = ()

    def given(self, onset_frame: int | None, apex_frame: int | None) -> ClipResult:
        """The expression whose frames a person has chosen, who has seen something."""
        counts, find_faces = DetectionCounts(), self.classifier.find_faces
        keyframes = find_keyframes(
            self.footage, lambda: find_faces, onset_frame=onset_frame, apex_frame=apex_frame, fps=self.rate,
            counts=counts,
        )  # fmt: skip
        images = next(self._read([keyframes]))
        expression, found = self._classified(keyframes, images, counts)
        warnings = found.warnings
        if keyframes.onset_frame == keyframes.apex_frame:
            warnings = (*warnings, "onset and apex are one frame: there is no motion to classify")
        return ClipResult(
            clip=str(self.footage.path),
            model=self.classifier.model.name,
            fps=self.rate,
            frames=len(self.footage),
            faces=counts.faces,
            looked_at=counts.frames,
            with_face=counts.with_face,
            expressions=[expression],
            where=_where(found.aligned),
            others_in_view=max(0, counts.faces - 1),
            warnings=[*self.classifier.model.notes, *self.said, *face_warnings(self.rate, counts), *warnings],
        )

    def spotted(self, face: FaceChoice, macro: bool, *, every: bool, progress: Progress) -> list[ClipResult]:
        """What is spotted in each face: every expression, or the one that stands out most."""
        if every and self.rate is None:
            raise MerError("a folder of frames does not say its rate", where=self.footage.path, fix="give --fps")
        found = spot_faces(
            self.footage, self.rate or FALLBACK_FPS, self.classifier.find_faces, face=face, force=not every,
            own_times=self.times_s is not None, progress=progress,
            on_face=later(None if self.frames is None else self.frames.add, self.footage),
        )  # fmt: skip
        if self.frames is not None:
            self.frames.faces += [self._frames_of(each, macro, every=every) for each in found]
        return [self._every(each, macro) if every else self._strongest(each) for each in found]

    def _strongest(self, found: Spotting) -> ClipResult:
        """The expression that stands out most; where none was spotted, the strongest motion."""
        if found.best is None:
            if found.person is not None:  # the others may have one
                return self._result(found, [], [], ["never seen in two frames in a row"])
            raise without_motion(found.looked_at, found.with_face, self.footage.path)
        images = next(self._read([to_keyframes(found.best)]))
        counts = DetectionCounts(found.looked_at, found.with_face, found.faces)
        expression, classified = self._classified(to_keyframes(found.best), images, counts, found)
        warnings = classified.warnings
        others = [to_unclassified(interval) for interval in found.intervals if interval is not found.best]
        if found.forced is not None:
            warnings = (*warnings, "nothing was spotted: the strongest motion is shown")
        return self._result(found, [expression], others, warnings, classified.aligned)

    def _every(self, found: Spotting, macro: bool) -> ClipResult:
        """Every micro-expression; macro-expressions are classified if asked for, else listed."""
        chosen = [interval for interval in found.intervals if macro or interval.kind == "micro"]
        rest = [to_unclassified(interval) for interval in found.intervals if interval not in chosen]
        expressions: list[Expression] = []
        warnings: list[str] = []
        aligned: list[AlignedFace] = []
        wanted = [to_keyframes(interval) for interval in chosen]
        for interval, keyframes, images in zip(chosen, wanted, self._read(wanted), strict=True):
            try:
                expression, classified = self._classified(keyframes, images, DetectionCounts(), found)
            except WriteError:
                raise
            except MerError as error:
                rest.append(to_unclassified(interval))
                warnings.append(f"{error.what}: not classified")
            else:
                expressions.append(expression)
                warnings += classified.warnings
                aligned += classified.aligned
        return self._result(found, expressions, sorted(rest, key=lambda each: each.onset_frame), warnings, aligned)

    def _frames_of(self, found: Spotting, macro: bool, *, every: bool) -> FaceFrames:
        """What the table of frames has of a face beside its motion; the frames are the film's."""
        shift = self.footage.first if isinstance(self.footage, Excerpt) else 0
        chosen = [each for each in found.intervals if macro or each.kind == "micro"]
        chosen = chosen if every else [] if found.best is None else [found.best]
        aus = {frame + shift: read for each in chosen for frame, read in self._au_course(each, found)}
        return replace(FaceFrames.of(in_film(found, self.footage)), aus=aus)

    def _au_course(self, interval: Interval, found: Spotting) -> Iterator[tuple[int, Mapping[int, float]]]:
        """The probability of each Action Unit from the onset to some frames of an expression."""
        onset, offset = interval.onset_frame, interval.offset_frame
        frames = np.unique(np.linspace(min(onset + 1, offset), offset, _AU_FRAMES).round().astype(int)).tolist()
        steps = [KeyFrames(onset, frame, offset) for frame in frames]
        whose = ANYWHERE if found.person is None else found.where
        for step, images in zip(steps, self._read(steps), strict=True):
            try:
                output = self.classifier.classify(
                    images, step, where=self.footage.path, whose=whose, neutral=self.neutral
                ).output
            except MerError:  # the face is hidden there
                continue
            yield step.apex_frame, self.classifier.named_aus(output)

    def _result(
        self,
        found: Spotting,
        expressions: list[Expression],
        rest: list[Unclassified],
        warnings: Iterable[str],
        aligned: Sequence[AlignedFace] = (),
    ) -> ClipResult:
        return ClipResult(
            clip=str(self.footage.path),
            model=self.classifier.model.name,
            fps=self.rate,
            frames=found.frames,
            faces=found.faces,
            looked_at=found.looked_at,
            with_face=found.with_face,
            expressions=expressions,
            unclassified=rest,
            events=found.events,
            timeline=found.timeline,
            where=_where(aligned) if aligned else found.where,
            person=found.person,
            others_in_view=found.others_in_view,
            warnings=[*self.classifier.model.notes, *self._rate_notes(), *found.warnings, *warnings],
        )

    def _rate_notes(self) -> list[str]:
        """What is to be known of a clip whose rate nothing states."""
        if self.rate is not None:
            return self.said
        return [f"the frames do not say their rate: taken for {FALLBACK_FPS:g} a second; give --fps"]

    def _read(self, expressions: Sequence[KeyFrames]) -> Iterator[dict[int, Image]]:
        """The frames that the network wants of each expression, in time order.

        In one pass: to reach a frame anew, all since the key frame before it would have to be decoded again.
        """
        wanted = [self.classifier.model.wants(keyframes).needed for keyframes in expressions]
        frames, held = self.footage.read(index for needed in wanted for index in needed), dict[int, Image]()
        for at, needed in enumerate(wanted):
            while needed[-1] not in held:
                held.update([next(frames)])
            yield {index: held[index] for index in needed}
            later = min((after[0] for after in wanted[at + 1 :]), default=len(self.footage))
            held = {index: image for index, image in held.items() if index >= later}

    def _classified(
        self,
        keyframes: KeyFrames,
        images: Mapping[int, Image],
        counts: DetectionCounts,
        spotting: Spotting | None = None,
    ) -> tuple[Expression, Classified]:
        """The expression of some key frames, in words and as the network gave it.

        Raises:
            MerError: The face is not found, or lost in the onset or the apex.
        """
        classifier, person = self.classifier, None if spotting is None else spotting.person
        # One that is followed by its number is where it was spotted; the largest one may be anybody.
        whose = ANYWHERE if spotting is None or person is None else spotting.where
        found = classifier.classify(images, keyframes, counts, self.footage.path, whose, self.neutral)
        images = {**images, keyframes.onset_frame: found.onset}
        keyframes = classifier.model.wants(keyframes)
        expression = classifier.expression(found.output, keyframes, self.rate, self._seconds)
        if self.on_expression is not None:
            shown = [at for at in found.aligned if at.frame in (keyframes.onset_frame, keyframes.apex_frame)]
            large, small = (crop(images, shown, side) for side in (_SHOWN_PX, classifier.model.crop_size))
            method = classifier.model.parameters.motion
            flow = motion(small[0], small[-1], "tvl1" if method == "none" else method).astype(np.float32)
            seen = classifier.model.explain(found.output.pictures)
            model = classifier.model.name
            saw = _enlarged(seen.attention, classifier.card.size), seen.ranks
            clip = str(self.footage.path) + ("" if person is None else f", person {person}")
            self.on_expression(ExpressionImages(clip, expression, large[0], large[-1], flow, *saw, model))
        return expression, found

    def _seconds(self, frame: int) -> float | None:
        if self.times_s is not None and frame < len(self.times_s):
            return round(float(self.times_s[frame]), 4)
        return round(frame / self.rate, 4) if self.rate else None


def _where(aligned: Iterable[AlignedFace]) -> Whereabouts:
    faces = sorted(aligned, key=lambda at: at.frame)
    return Whereabouts([at.frame for at in faces], [Place.of(at.to_unit) for at in faces])


def _enlarged(attention: LineMap | None, size: int) -> LineMap | None:
    if attention is None:
        return None
    weights = cv2.resize(attention.weights, (size, size), interpolation=cv2.INTER_CUBIC)
    return replace(attention, weights=np.asarray(weights, np.float32))
