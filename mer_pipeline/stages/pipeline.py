"""The chain of stages for one clip after another, each stage computed once and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.cache import Artefact, Store, key_of
from mer_pipeline.cache.manifest import ManifestRow
from mer_pipeline.choices import Method
from mer_pipeline.datasets import Clip
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.align import AlignedFace, align
from mer_pipeline.faces.crop import crop
from mer_pipeline.faces.follow import Followed, follow, having, spans
from mer_pipeline.faces.landmarks import FaceFinder, Landmarks
from mer_pipeline.reading import built
from mer_pipeline.stages.flow import motion, read_flow_image
from mer_pipeline.stages.keyframes import KeyFrames, find_keyframes
from mer_pipeline.stages.old_keys import OldKeys
from mer_pipeline.stages.outcome import ClipOutcome
from mer_pipeline.stages.parameters import SPOTTER, VERSIONS, Parameters
from mer_pipeline.video import Footage, content_of, fingerprint, open_footage


class Pipeline:
    """The stages of one clip after another, with the face finder that they share; use it as a context manager."""

    def __init__(self, store: Store, parameters: Parameters) -> None:
        self._store, self._parameters = store, parameters
        self._old_keys = OldKeys(store.root.parent)
        self._stack = ExitStack()
        self._finder: FaceFinder | None = None
        self._only_cached = False

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cached(self, clip: Clip) -> ClipOutcome | None:
        """What became of a clip, if that can be said without computing anything."""
        self._only_cached = True
        try:
            return self.run(clip)
        except _NotCachedError:
            return None
        finally:
            self._only_cached = False

    def has_landmarks(self, clip: Clip) -> bool:
        """Whether the cache has what the detector found in a clip."""
        self._only_cached = True
        try:
            stages = _ClipStages(self, clip, ClipOutcome(_row_of(clip))).stages()
            return any("detect_key" in facts for facts in stages)
        except (_NotCachedError, _StageError, MerError):
            return False
        finally:
            self._only_cached = False

    def run(self, clip: Clip) -> ClipOutcome:
        """Run the stages over a clip.

        Raises:
            WriteError: The cache cannot be written.
        """
        outcome = ClipOutcome(_row_of(clip))
        try:
            if clip.fault is not None:
                raise MerError(clip.fault)
            for facts in _ClipStages(self, clip, outcome).stages():
                outcome.row = replace(outcome.row, **facts)
            outcome.row = replace(outcome.row, status="ok")
        except WriteError:
            raise
        except _StageError as error:
            outcome.stages[error.stage] = "failed"
            self._fail(clip, outcome, error.stage, str(error.cause))
        except MerError as error:
            self._fail(clip, outcome, "annotate", str(error))
        outcome.row = replace(outcome.row, warnings="; ".join(outcome.warnings) or None)
        outcome.damaged = [str(path) for path in self._store.damaged]
        self._store.damaged.clear()
        return outcome

    def _fail(self, clip: Clip, outcome: ClipOutcome, stage: str, reason: str) -> None:
        outcome.failure = {"clip": clip.clip_id, "stage": stage, "reason": reason}
        outcome.row = replace(outcome.row, stage=stage, reason=reason)

    @property
    def parameters(self) -> Parameters:
        """What the stages are given."""
        return self._parameters

    def first_inputs(
        self,
        clip: Clip,
        stage: str,
        inputs: Mapping[str, object],
        content: str,
        recorded_key: Callable[[str, Artefact], str],
    ) -> Mapping[str, object]:
        """What the key of a clip's first stage is made of: the content of its files too, but in old caches.

        Args:
            clip: The clip.
            stage: Its first stage.
            inputs: All but the content.
            content: Hash of the content.
            recorded_key: The key that the manifest of an old cache must have of the clip, from the key and the artefact
                of the first stage.
        """
        inputs_now = {**inputs, "content": content}
        if self._store.path(stage, key_of(stage, VERSIONS[stage], inputs_now, None)).exists():
            return inputs_now
        old_key = key_of(stage, VERSIONS[stage], inputs, None)
        found = self._store.get(stage, old_key)
        if found is not None and self._old_keys.are_of(clip, recorded_key(old_key, found)):
            return inputs
        return inputs_now

    def take(
        self, outcome: ClipOutcome, stage: str, inputs: Any, compute: Callable[[], Artefact]
    ) -> tuple[str, Artefact]:
        """The key and the artefact of a stage, from the cache or computed and put there."""
        key = key_of(stage, VERSIONS[stage], inputs, None)
        found = self._store.get(stage, key)
        if found is not None:
            outcome.stages[stage] = "cached"
            return key, found
        if self._only_cached:
            raise _NotCachedError
        try:
            with outcome.timed(stage):
                found = compute()
        except WriteError:
            raise
        except MerError as error:
            raise _StageError(stage, error) from None
        with outcome.timed("write"):
            self._store.put(stage, key, found)
        outcome.stages[stage] = "computed"
        return key, found

    def finder(self, outcome: ClipOutcome) -> FaceFinder:
        """The face finder; a run that finds everything cached never loads the models."""
        if self._finder is None:
            with outcome.timed("start"):
                self._finder = self._stack.enter_context(self._parameters.detector.open())
        return self._finder


def locate_face(
    images: Mapping[int, Image],
    keyframes: KeyFrames,
    find_faces: Callable[[Image], Sequence[Landmarks]],
    where: object,
    own: Callable[[int, Sequence[Landmarks]], Sequence[Landmarks]] = lambda _frame, faces: faces,
) -> Followed:
    """The face of an expression: of all that its frames show, the one that persists.

    Args:
        images: RGB frames by index; holds all that are needed.
        keyframes: Which frames these are.
        find_faces: Finds the faces in a frame, largest first.
        where: The clip's file, for the error.
        own: Of the faces of a frame those that it may be.

    Raises:
        MerError: No frame shows a face, or it is lost in the onset or the apex.
    """
    face = follow({frame: own(frame, find_faces(images[frame])) for frame in keyframes.needed})
    return having(face, {"onset": keyframes.onset_frame, "apex": keyframes.apex_frame}, where)


class _ClipStages:
    """The stages of one clip."""

    def __init__(self, pipeline: Pipeline, clip: Clip, outcome: ClipOutcome) -> None:
        self._pipeline, self._clip, self._outcome = pipeline, clip, outcome
        self._parameters = pipeline.parameters
        self._images: dict[int, Image] = {}

    def stages(self) -> Iterator[dict[str, Any]]:
        """Run the stages in order; each yields what the manifest keeps of it."""
        if self._clip.kind == "flow":
            yield from self._flow_image()
            return
        footage = open_footage(self._clip.source)
        try:
            yield from self._frames(footage)
        finally:
            self._outcome.decoded_frames += footage.decoded

    def _take(self, stage: str, inputs: Any, compute: Callable[[], Artefact]) -> tuple[str, Artefact]:
        return self._pipeline.take(self._outcome, stage, inputs, compute)

    def _flow_image(self) -> Iterator[dict[str, Any]]:
        source = self._clip.source
        inputs, content = {"image": fingerprint(source)}, content_of(source)
        key, found = self._take(
            "motion",
            self._pipeline.first_inputs(self._clip, "motion", inputs, content, lambda key, _: key),
            lambda: Artefact({"flow": read_flow_image(source)}),
        )
        yield {"motion_key": key, "size": found.arrays["flow"].shape[-1]}

    def _frames(self, footage: Footage) -> Iterator[dict[str, Any]]:
        keyframes, key, facts = self._keyframes(footage)
        yield facts
        detector = self._parameters.detector
        key, found = self._take(
            "detect",
            self._detect_inputs(key, keyframes),
            lambda: self._detect(footage, keyframes),
        )
        written: Any = found.facts  # by `_detect`
        self._outcome.warnings.extend(written["warnings"])
        yield {"detector": detector.name, "detect_key": key, "faces": written["faces"]}
        yield {"gap_frames": spans(written["gap_frames"]) or None}

        at_onset = keyframes.needed.index(keyframes.onset_frame)
        landmarks = Landmarks(found.arrays["points_xy"][at_onset], written["scheme"])
        registration = self._parameters.registration
        key, found = self._take(
            "align",
            {"detect": key, "registration": registration},
            lambda: self._align(footage, keyframes, landmarks),
        )
        written = found.facts  # by `_align`
        moved = {"drift_px": max(written["drift_px"]), "registered": all(written["registered"])}
        yield {"align_key": key, "registration": registration, **moved}
        yield from self._pictures(footage, keyframes, key, found)

    def _keyframes(self, footage: Footage) -> tuple[KeyFrames, str, dict[str, Any]]:
        clip = self._clip
        annotated = (clip.onset_frame, clip.apex_frame, clip.offset_frame)
        # Only a search for key frames looks for a face.
        spots = clip.onset_frame is None or clip.apex_frame is None
        inputs = {
            "source": footage.fingerprint(),
            "annotated": annotated,
            "fps": clip.fps,
            "detector": self._parameters.detector.identity if spots else None,
        }
        if spots:
            inputs["spotter"] = SPOTTER
        content = footage.content(frame for frame in annotated if frame is not None)
        key, found = self._take(
            "keyframes",
            self._pipeline.first_inputs(clip, "keyframes", inputs, content, self._recorded_key),
            lambda: Artefact(
                facts=asdict(
                    find_keyframes(
                        footage,
                        partial(self._pipeline.finder, self._outcome),
                        onset_frame=clip.onset_frame,
                        apex_frame=clip.apex_frame,
                        offset_frame=clip.offset_frame,
                        fps=clip.fps,
                    )
                )
            ),
        )
        keyframes = self._keyframes_of(found)
        recorded = {name: value for name, value in found.facts.items() if name not in ("sequence", "flags")}
        if spots:
            self._outcome.spotted = keyframes.flags
        return keyframes, key, {**recorded, "frames": len(footage)}

    def _keyframes_of(self, found: Artefact) -> KeyFrames:
        return replace(built(KeyFrames, found.facts), sequence=self._parameters.frames)

    def _detect_inputs(self, key: str, keyframes: KeyFrames) -> dict[str, Any]:
        return {"keyframes": key, "frames": keyframes.needed, "detector": self._parameters.detector.identity}

    def _recorded_key(self, key: str, found: Artefact) -> str:
        """The key of stage `detect`, the first that the manifest has."""
        return key_of("detect", VERSIONS["detect"], self._detect_inputs(key, self._keyframes_of(found)), None)

    def _pictures(
        self, footage: Footage, keyframes: KeyFrames, align_key: str, aligned: Artefact
    ) -> Iterator[dict[str, Any]]:
        """The last stages: crops, and the motion between two of them."""
        size, method = self._parameters.size, self._parameters.motion
        key, found = self._take(
            "crop",
            {"align": align_key, "size": size},
            lambda: Artefact(
                {"crops": crop(self._decoded(footage, keyframes), _faces(keyframes, aligned), size)},
                {"frames": keyframes.needed},
            ),
        )
        yield {"crop_key": key, "size": size}
        if method == "none":
            return
        crops = dict(zip(keyframes.needed, found.arrays["crops"], strict=True))
        key, _ = self._take(
            "motion",
            {"crop": key, "method": method, "sequence": keyframes.sequence},
            lambda: self._motion(keyframes, crops, method),
        )
        yield {"motion_key": key, "motion": method}

    def _decoded(self, footage: Footage, keyframes: KeyFrames) -> dict[int, Image]:
        """The needed frames, decoded once and only when a stage asks."""
        if not self._images:
            with self._outcome.timed("decode"):
                self._images = dict(footage.read(keyframes.needed))
        return self._images

    def _detect(self, footage: Footage, keyframes: KeyFrames) -> Artefact:
        face = locate_face(
            self._decoded(footage, keyframes), keyframes, self._pipeline.finder(self._outcome), footage.path
        )
        known = next(iter(face.landmarks.values()))
        nowhere = np.full_like(known.points_xy, np.nan)
        points_xy = [face.landmarks[f].points_xy if f in face.landmarks else nowhere for f in keyframes.needed]
        return Artefact(
            {"points_xy": np.stack(points_xy)},
            {
                "scheme": known.scheme,
                "faces": face.faces,
                "gap_frames": face.gap_frames,
                "warnings": face.warnings,
            },
        )

    def _align(self, footage: Footage, keyframes: KeyFrames, landmarks: Landmarks) -> Artefact:
        aligned = align(
            self._decoded(footage, keyframes),
            keyframes.onset_frame,
            landmarks,
            registration=self._parameters.registration,
        )
        return Artefact(
            {"to_unit": np.stack([face.to_unit for face in aligned])},
            {"drift_px": [face.drift_px for face in aligned], "registered": [face.registered for face in aligned]},
        )

    def _motion(self, keyframes: KeyFrames, crops: dict[int, Image], method: Method) -> Artefact:
        """Flow from the onset to the apex, and to every frame of the sequence where one was asked for."""
        onset = crops[keyframes.onset_frame]
        wanted = {keyframes.apex_frame, *keyframes.frames_of_sequence}
        flows = {frame: motion(onset, crops[frame], method) for frame in sorted(wanted)}
        arrays = {"flow": flows[keyframes.apex_frame]}
        if keyframes.sequence:
            arrays["flow_sequence"] = np.stack([flows[frame] for frame in keyframes.frames_of_sequence])
        return Artefact(arrays)


class _StageError(Exception):
    def __init__(self, stage: str, cause: MerError) -> None:
        self.stage, self.cause = stage, cause


class _NotCachedError(Exception):
    """A stage would have to be computed."""


def _faces(keyframes: KeyFrames, aligned: Artefact) -> list[AlignedFace]:
    facts: Any = aligned.facts  # as `_align` wrote them
    fields = zip(keyframes.needed, aligned.arrays["to_unit"], facts["drift_px"], facts["registered"], strict=True)
    return [AlignedFace(*values) for values in fields]


def _row_of(clip: Clip) -> ManifestRow:
    """What the manifest has of a clip before any stage."""
    return ManifestRow(
        clip_id=clip.clip_id,
        dataset=clip.dataset,
        subject=clip.subject,
        clip=clip.name,
        kind=clip.kind,
        status="failed",
        emotion=clip.emotion,
        aus=None if clip.aus is None else str(clip.aus),
        fps=clip.fps,
        source=str(clip.source),
    )
