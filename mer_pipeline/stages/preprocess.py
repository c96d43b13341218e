"""The chain over a whole dataset: every stage of every clip, computed once and kept in the cache.

`CACHE/<dataset>/manifest.parquet` gets one row a clip with its status and, if it failed, why; `dataset.json` the
parameters and versions; `CACHE/objects` the artefacts.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import mer_pipeline
from mer_pipeline.cache import Artefact, Store, key_of, private_folder, write_atomically
from mer_pipeline.datasets import Annotations, Clip
from mer_pipeline.datasets.clip import Kind
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.progress import Progress, silent
from mer_pipeline.stages import align as align_stage
from mer_pipeline.stages import crop as crop_stage
from mer_pipeline.stages import detect as detect_stage
from mer_pipeline.stages import keyframes as keyframes_stage
from mer_pipeline.stages import motion as motion_stage
from mer_pipeline.stages.manifest import write_manifest
from mer_pipeline.video import Footage, fingerprint, open_footage

# The chain of each kind of clip; a flow image enters it at the last stage.
STAGES: dict[Kind, tuple[str, ...]] = {"frames": ("keyframes", "detect", "align", "crop"), "flow": ("motion",)}


@dataclass(frozen=True)
class Parameters:
    """What the stages can be told.

    Attributes:
        size: Side of the crops in pixels.
    """

    size: int = crop_stage.DEFAULT_SIZE

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 1024:
            raise MerError(f"size {self.size} is outside 16..1024", fix="give --size in pixels")


@dataclass
class Summary:
    """What a run over a dataset did; `as_json` is its printed shape."""

    dataset: str
    clips: int
    ok: int = 0
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    decoded_frames: int = 0
    damaged: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {**asdict(self), "failed": len(self.failures)}


def preprocess(
    annotations: Annotations, cache: Path, parameters: Parameters | None = None, *, progress: Progress = silent
) -> Summary:
    """Run the stages over every clip of a dataset; a clip that fails is listed and stops nobody.

    Args:
        annotations: What a reader found.
        cache: The cache folder; created with mode 0700.
        parameters: What the stages can be told.
        progress: Told after every clip.

    Raises:
        WriteError: The cache cannot be written.
    """
    started = time.monotonic()
    parameters = parameters or Parameters()
    store = Store(private_folder(cache) / "objects")
    folder = private_folder(cache / annotations.dataset)
    summary = Summary(annotations.dataset, len(annotations.clips), stages=_no_counts(annotations))
    rows = []
    with _Chain(store, parameters, summary) as chain:
        for done, clip in enumerate(annotations.clips, 1):
            rows.append(chain.run(clip))
            progress("preprocess", done, len(annotations.clips), clip.clip_id)
    summary.ok = sum(row["status"] == "ok" for row in rows)
    summary.damaged = [str(path) for path in store.damaged]
    summary.seconds = round(time.monotonic() - started, 3)
    write_manifest(folder / "manifest.parquet", rows)
    write_atomically(folder / "dataset.json", json.dumps(_facts(annotations, parameters), indent=2).encode())
    return summary


class _Chain:
    """The stages of one clip after another, with the face finder that they share."""

    def __init__(self, store: Store, parameters: Parameters, summary: Summary) -> None:
        self._store, self._parameters, self._summary = store, parameters, summary
        self._stack = ExitStack()
        self._mesh: detect_stage.FaceMesh | None = None

    def __enter__(self) -> _Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, clip: Clip) -> dict[str, Any]:
        """The manifest row of a clip."""
        row: dict[str, Any] = {
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
        try:
            if clip.fault is not None:
                raise MerError(clip.fault)
            for facts in self._flow_stages(clip) if clip.kind == "flow" else self._frame_stages(clip):
                row |= facts
            return row | {"status": "ok"}
        except WriteError:
            raise
        except _StageError as error:
            stage, reason = error.stage, str(error.cause)
            self._summary.stages[stage]["failed"] += 1
        except MerError as error:
            stage, reason = "annotate", str(error)
        self._summary.failures.append({"clip": clip.clip_id, "stage": stage, "reason": reason})
        return row | {"stage": stage, "reason": reason}

    def _flow_stages(self, clip: Clip) -> Iterator[dict[str, Any]]:
        """A flow image enters the chain at its last stage."""
        key, found = self._cached(
            "motion",
            motion_stage.VERSION,
            {"image": fingerprint(clip.source)},
            lambda: Artefact({"flow": motion_stage.read_flow_image(clip.source)}),
        )
        yield {"motion_key": key, "size": found.arrays["flow"].shape[-1]}

    def _frame_stages(self, clip: Clip) -> Iterator[dict[str, Any]]:
        """Run the stages in order; each yields what the manifest keeps of it."""
        frames = _Frames(open_footage(clip.source))
        try:
            yield from self._stages(clip, frames)
        finally:
            self._summary.decoded_frames += frames.footage.decoded

    def _stages(self, clip: Clip, frames: _Frames) -> Iterator[dict[str, Any]]:
        footage = frames.footage
        annotated = (clip.onset_frame, clip.apex_frame, clip.offset_frame)
        key, found = self._cached(
            "keyframes",
            keyframes_stage.VERSION,
            {"source": footage.fingerprint(), "annotated": annotated, "fps": clip.fps},
            lambda: _keyframes(footage, clip, self._face_mesh),
        )
        keyframes = keyframes_stage.KeyFrames(**found.facts)
        yield {**found.facts, "frames": len(footage)}

        key, found = self._cached(
            "detect", detect_stage.VERSION, key, lambda: _detect(self._face_mesh(), frames, keyframes, clip)
        )
        landmarks = detect_stage.Landmarks(found.arrays["points_xy"])
        yield {"faces": found.facts["faces"]}

        key, found = self._cached("align", align_stage.VERSION, key, lambda: _align(frames, keyframes, landmarks))
        aligned = [
            align_stage.AlignedFace(*fields)
            for fields in zip(
                keyframes.needed,
                found.arrays["to_unit"],
                found.facts["drift_px"],
                found.facts["registered"],
                strict=True,
            )
        ]
        yield {"drift_px": max(found.facts["drift_px"]), "registered": all(found.facts["registered"])}

        size = self._parameters.size
        key, _ = self._cached(
            "crop",
            crop_stage.VERSION,
            {"align": key, "size": size},
            lambda: Artefact({"crops": crop_stage.crop(frames.needed(keyframes), aligned, size)}),
        )
        yield {"crop_key": key, "size": size}

    def _cached(self, stage: str, version: int, inputs: Any, compute: Callable[[], Artefact]) -> tuple[str, Artefact]:
        key = key_of(stage, version, inputs, None)
        found = self._store.get(stage, key)
        if found is not None:
            self._summary.stages[stage]["cached"] += 1
            return key, found
        try:
            found = compute()
        except WriteError:
            raise
        except MerError as error:
            raise _StageError(stage, error) from None
        self._store.put(stage, key, found)
        self._summary.stages[stage]["computed"] += 1
        return key, found

    def _face_mesh(self) -> detect_stage.FaceMesh:
        if self._mesh is None:  # a run that finds everything cached never loads the models
            self._mesh = self._stack.enter_context(detect_stage.FaceMesh())
        return self._mesh


class _StageError(Exception):
    def __init__(self, stage: str, cause: MerError) -> None:
        self.stage, self.cause = stage, cause


class _Frames:
    """The needed frames of one clip, decoded once and only when a stage asks."""

    def __init__(self, footage: Footage) -> None:
        self.footage = footage
        self._images: dict[int, npt.NDArray[np.uint8]] = {}

    def needed(self, keyframes: keyframes_stage.KeyFrames) -> dict[int, npt.NDArray[np.uint8]]:
        if not self._images:
            self._images = dict(self.footage.read(keyframes.needed))
        return self._images


def _keyframes(footage: Footage, clip: Clip, face_mesh: Callable[[], detect_stage.FaceMesh]) -> Artefact:
    found = keyframes_stage.find_keyframes(
        footage,
        face_mesh,
        onset_frame=clip.onset_frame,
        apex_frame=clip.apex_frame,
        offset_frame=clip.offset_frame,
        fps=clip.fps,
    )
    return Artefact(facts=asdict(found))


def _detect(mesh: detect_stage.FaceMesh, frames: _Frames, keyframes: keyframes_stage.KeyFrames, clip: Clip) -> Artefact:
    faces = mesh(frames.needed(keyframes)[keyframes.onset_frame])
    if not faces:
        raise MerError(
            f"no face found in frame {keyframes.onset_frame}", where=clip.source, fix="check that the face is visible"
        )
    return Artefact({"points_xy": faces[0].points_xy}, {"faces": len(faces)})


def _align(frames: _Frames, keyframes: keyframes_stage.KeyFrames, landmarks: detect_stage.Landmarks) -> Artefact:
    aligned = align_stage.align(frames.needed(keyframes), keyframes.onset_frame, landmarks)
    return Artefact(
        {"to_unit": np.stack([face.to_unit for face in aligned])},
        {"drift_px": [face.drift_px for face in aligned], "registered": [face.registered for face in aligned]},
    )


def _no_counts(annotations: Annotations) -> dict[str, dict[str, int]]:
    kinds = {clip.kind for clip in annotations.clips}
    stages = [stage for kind, chain in STAGES.items() if kind in kinds for stage in chain]
    return {stage: {"computed": 0, "cached": 0, "failed": 0} for stage in stages}


def _facts(annotations: Annotations, parameters: Parameters) -> dict[str, Any]:
    return {
        "dataset": annotations.dataset,
        "clips": len(annotations.clips),
        "parameters": asdict(parameters),
        "stages": {
            "keyframes": keyframes_stage.VERSION,
            "detect": detect_stage.VERSION,
            "align": align_stage.VERSION,
            "crop": crop_stage.VERSION,
            "motion": motion_stage.VERSION,
        },
        "versions": {
            "mer": mer_pipeline.__version__,
            "python": platform.python_version(),
            "mediapipe": importlib.metadata.version("mediapipe"),
            "opencv": importlib.metadata.version("opencv-contrib-python"),
        },
    }
