"""The chain of stages for one clip after another, each stage computed once and kept in the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_pipeline.cache import Artefact, Store, key_of
from mer_pipeline.datasets import Clip
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces import align as align_stage
from mer_pipeline.faces import crop as crop_stage
from mer_pipeline.faces import landmarks as detect_stage
from mer_pipeline.faces.follow import follow, having, spans
from mer_pipeline.stages import flow as motion_stage
from mer_pipeline.stages import keyframes as keyframes_stage
from mer_pipeline.stages.outcome import ClipOutcome
from mer_pipeline.stages.parameters import Parameters
from mer_pipeline.video import Footage, fingerprint, open_footage


class Chain:
    """The stages of one clip after another, with the face finder that they share; use it as a context manager."""

    def __init__(self, store: Store, parameters: Parameters) -> None:
        self._store, self._parameters = store, parameters
        self._stack = ExitStack()
        self._finder: detect_stage.FaceFinder | None = None
        self._only_cached = False

    def __enter__(self) -> Chain:
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

    def run(self, clip: Clip) -> ClipOutcome:
        """Run the stages over a clip.

        Raises:
            WriteError: The cache cannot be written.
        """
        outcome = ClipOutcome(_facts_of(clip))
        try:
            if clip.fault is not None:
                raise MerError(clip.fault)
            for facts in _Run(self, clip, outcome).stages():
                outcome.row |= facts
            outcome.row["status"] = "ok"
        except WriteError:
            raise
        except _StageError as error:
            outcome.stages[error.stage] = "failed"
            self._fail(clip, outcome, error.stage, str(error.cause))
        except MerError as error:
            self._fail(clip, outcome, "annotate", str(error))
        outcome.row["warnings"] = "; ".join(outcome.warnings) or None
        outcome.damaged = [str(path) for path in self._store.damaged]
        self._store.damaged.clear()
        return outcome

    def _fail(self, clip: Clip, outcome: ClipOutcome, stage: str, reason: str) -> None:
        outcome.failure = {"clip": clip.clip_id, "stage": stage, "reason": reason}
        outcome.row |= {"stage": stage, "reason": reason}

    @property
    def parameters(self) -> Parameters:
        """What the stages were told."""
        return self._parameters

    def take(
        self, outcome: ClipOutcome, stage: str, version: int, inputs: Any, compute: Callable[[], Artefact]
    ) -> tuple[str, Artefact]:
        """The key and the artefact of a stage, from the cache or computed and put there."""
        key = key_of(stage, version, inputs, None)
        found = self._store.get(stage, key)
        if found is not None:
            outcome.stages[stage] = "cached"
            return key, found
        if self._only_cached:
            raise _NotCachedError
        started, decoding = time.perf_counter(), outcome.seconds.get("decode", 0.0)
        try:
            found = compute()
        except WriteError:
            raise
        except MerError as error:
            raise _StageError(stage, error) from None
        finally:
            decoding = outcome.seconds.get("decode", 0.0) - decoding
            outcome.spent(stage, time.perf_counter() - started - decoding)
        self._store.put(stage, key, found)
        outcome.stages[stage] = "computed"
        return key, found

    def finder(self) -> detect_stage.FaceFinder:
        """The face finder; a run that finds everything cached never loads the models."""
        if self._finder is None:
            self._finder = self._stack.enter_context(self._parameters.detector.open())
        return self._finder


class _Run:
    """The stages of one clip."""

    def __init__(self, chain: Chain, clip: Clip, outcome: ClipOutcome) -> None:
        self._chain, self._clip, self._outcome = chain, clip, outcome
        self._parameters = chain.parameters
        self._images: dict[int, npt.NDArray[np.uint8]] = {}

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

    def _take(self, stage: str, version: int, inputs: Any, compute: Callable[[], Artefact]) -> tuple[str, Artefact]:
        return self._chain.take(self._outcome, stage, version, inputs, compute)

    def _flow_image(self) -> Iterator[dict[str, Any]]:
        source = self._clip.source
        key, found = self._take(
            "motion",
            motion_stage.VERSION,
            {"image": fingerprint(source)},
            lambda: Artefact({"flow": motion_stage.read_flow_image(source)}),
        )
        yield {"motion_key": key, "size": found.arrays["flow"].shape[-1]}

    def _frames(self, footage: Footage) -> Iterator[dict[str, Any]]:
        keyframes, key, facts = self._keyframes(footage)
        yield facts
        detector = self._parameters.detector
        key, found = self._take(
            "detect",
            detect_stage.VERSION,
            {"keyframes": key, "frames": keyframes.needed, "detector": detector.identity},
            lambda: self._detect(footage, keyframes),
        )
        self._outcome.warnings.extend(found.facts["warnings"])
        gap_frames = found.facts["gap_frames"]
        yield {"detector": detector.name, "detect_key": key, "faces": found.facts["faces"]}
        yield {"gap_frames": spans(gap_frames) or None}

        at_onset = keyframes.needed.index(keyframes.onset_frame)
        landmarks = detect_stage.Landmarks(found.arrays["points_xy"][at_onset], found.facts["scheme"])
        registration = self._parameters.registration
        key, found = self._take(
            "align",
            align_stage.VERSION,
            {"detect": key, "registration": registration},
            lambda: self._align(footage, keyframes, landmarks),
        )
        yield {
            "align_key": key,
            "registration": registration,
            "drift_px": max(found.facts["drift_px"]),
            "registered": all(found.facts["registered"]),
        }
        yield from self._pictures(footage, keyframes, key, found)

    def _keyframes(self, footage: Footage) -> tuple[keyframes_stage.KeyFrames, str, dict[str, Any]]:
        clip = self._clip
        annotated = (clip.onset_frame, clip.apex_frame, clip.offset_frame)
        # Only a search for key frames looks for a face.
        spots = clip.onset_frame is None or clip.apex_frame is None
        key, found = self._take(
            "keyframes",
            keyframes_stage.VERSION,
            {
                "source": footage.fingerprint(),
                "annotated": annotated,
                "fps": clip.fps,
                "detector": self._parameters.detector.identity if spots else None,
            },
            lambda: Artefact(
                facts=asdict(
                    keyframes_stage.find_keyframes(
                        footage,
                        self._chain.finder,
                        onset_frame=clip.onset_frame,
                        apex_frame=clip.apex_frame,
                        offset_frame=clip.offset_frame,
                        fps=clip.fps,
                    )
                )
            ),
        )
        keyframes = replace(keyframes_stage.KeyFrames(**found.facts), sequence=self._parameters.frames)
        return keyframes, key, {**found.facts, "frames": len(footage)}

    def _pictures(
        self, footage: Footage, keyframes: keyframes_stage.KeyFrames, align_key: str, aligned: Artefact
    ) -> Iterator[dict[str, Any]]:
        """The last stages: crops, and the motion between two of them."""
        size, method = self._parameters.size, self._parameters.motion
        key, found = self._take(
            "crop",
            crop_stage.VERSION,
            {"align": align_key, "size": size},
            lambda: Artefact(
                {"crops": crop_stage.crop(self._decoded(footage, keyframes), _faces(keyframes, aligned), size)},
                {"frames": keyframes.needed},
            ),
        )
        yield {"crop_key": key, "size": size}
        if method == "none":
            return
        crops = dict(zip(keyframes.needed, found.arrays["crops"], strict=True))
        key, _ = self._take(
            "motion",
            motion_stage.VERSION,
            {"crop": key, "method": method, "sequence": keyframes.sequence},
            lambda: self._motion(keyframes, crops, method),
        )
        yield {"motion_key": key, "motion": method}

    def _decoded(self, footage: Footage, keyframes: keyframes_stage.KeyFrames) -> dict[int, npt.NDArray[np.uint8]]:
        """The needed frames, decoded once and only when a stage asks."""
        if not self._images:
            started = time.perf_counter()
            try:
                self._images = dict(footage.read(keyframes.needed))
            finally:
                self._outcome.spent("decode", time.perf_counter() - started)
        return self._images

    def _detect(self, footage: Footage, keyframes: keyframes_stage.KeyFrames) -> Artefact:
        images, finder = self._decoded(footage, keyframes), self._chain.finder()
        face = follow({frame: finder(image) for frame, image in images.items()})
        face = having(face, {"onset": keyframes.onset_frame, "apex": keyframes.apex_frame}, footage.path)
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

    def _align(
        self, footage: Footage, keyframes: keyframes_stage.KeyFrames, landmarks: detect_stage.Landmarks
    ) -> Artefact:
        aligned = align_stage.align(
            self._decoded(footage, keyframes),
            keyframes.onset_frame,
            landmarks,
            registration=self._parameters.registration,
        )
        return Artefact(
            {"to_unit": np.stack([face.to_unit for face in aligned])},
            {"drift_px": [face.drift_px for face in aligned], "registered": [face.registered for face in aligned]},
        )

    def _motion(
        self, keyframes: keyframes_stage.KeyFrames, crops: dict[int, npt.NDArray[np.uint8]], method: motion_stage.Method
    ) -> Artefact:
        """Flow from the onset to the apex, and to every frame of the sequence where one was asked for."""
        onset = crops[keyframes.onset_frame]
        wanted = {keyframes.apex_frame, *keyframes.frames_of_sequence}
        flows = {frame: motion_stage.motion(onset, crops[frame], method) for frame in sorted(wanted)}
        arrays = {"flow": flows[keyframes.apex_frame]}
        if keyframes.sequence:
            arrays["flow_sequence"] = np.stack([flows[frame] for frame in keyframes.frames_of_sequence])
        return Artefact(arrays)


class _StageError(Exception):
    def __init__(self, stage: str, cause: MerError) -> None:
        self.stage, self.cause = stage, cause


class _NotCachedError(Exception):
    """A stage would have to be computed."""


def _faces(keyframes: keyframes_stage.KeyFrames, aligned: Artefact) -> list[align_stage.AlignedFace]:
    facts = aligned.facts
    fields = zip(keyframes.needed, aligned.arrays["to_unit"], facts["drift_px"], facts["registered"], strict=True)
    return [align_stage.AlignedFace(*values) for values in fields]


def _facts_of(clip: Clip) -> dict[str, Any]:
    """What the manifest says of a clip before any stage."""
    return {
        "clip_id": clip.clip_id,
        "dataset": clip.dataset,
        "subject": clip.subject,
        "clip": clip.name,
        "kind": clip.kind,
        "status": "failed",
        "emotion": clip.emotion,
        "aus": None if clip.aus is None else str(clip.aus),
        "fps": clip.fps,
        "source": str(clip.source),
    }
