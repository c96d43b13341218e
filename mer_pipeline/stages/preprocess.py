"""The chain over a whole dataset: every stage of every clip, computed once and kept in the cache.

`CACHE/<dataset>/manifest.parquet` gets one row a clip with its status and, if it failed, why; `dataset.json` the
parameters and versions; `CACHE/objects` the artefacts.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2

from mer_pipeline.cache import Store, private_folder, remove_leftovers, write_atomically
from mer_pipeline.cache.chain import read_chain
from mer_pipeline.cache.manifest import ManifestRow, read_manifests, write_manifest
from mer_pipeline.datasets import Annotations, Clip
from mer_pipeline.engines import Engine, Local, cores
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.faces.detectors import DEFAULT, FORMER, Detector
from mer_pipeline.progress import Progress, silent
from mer_pipeline.reading import JsonObject, json_bytes
from mer_pipeline.stages.flow_export import export_flow_images
from mer_pipeline.stages.keyframes_table import KEYFRAMES, write_keyframes
from mer_pipeline.stages.outcome import ClipOutcome
from mer_pipeline.stages.parameters import Parameters
from mer_pipeline.stages.pipeline import Pipeline
from mer_pipeline.stages.workers import run_clips
from mer_pipeline.version import __version__

__all__ = ["Parameters", "Summary", "preprocess"]

# A worker loads libraries and models for two to three seconds, in which one process does so many annotated clips; how
# many of these a clip without key frames, or its flow by TV-L1, is worth.
_CLIPS_A_WORKER = 24
_SPOTTING, _TVL1 = 12, 3


@dataclass
class Summary:
    """What a run over a dataset did; `as_json` is its printed shape.

    Attributes:
        dataset, clips, ok: Name of the set, how many clips it has, how many went well.
        stages: How many clips each stage `computed`, found `cached`, `failed` on.
        failures: Clip, stage and reason of every clip that failed.
        warnings: Clip and text of what the user should know of clips that went well.
        notes: What the user should know of the whole set.
        decoded_frames: How many frames were decoded.
        timings: Seconds spent in each stage by itself and in `start`, `decode` and `write`, over all processes.
        damaged: Files of the cache that were found damaged and set aside.
        flow_images: How many flow images were written; None where none were asked for.
        spotted: Clips whose key frames were spotted, and what is to be known of each; see `Interval.flags`.
        jobs: How many processes worked.
        seconds: From start to end.
    """

    dataset: str
    clips: int
    ok: int = 0
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    decoded_frames: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    flow_images: int | None = None
    spotted: dict[str, list[str]] = field(default_factory=dict)
    jobs: int = 1
    seconds: float = 0.0

    def as_json(self) -> JsonObject:
        """The summary as JSON values."""
        return {**asdict(self), "failed": len(self.failures)}

    def add(self, outcome: ClipOutcome) -> None:
        """Count what became of a clip."""
        self.ok += outcome.failure is None
        for stage, did in outcome.stages.items():
            self.stages[stage][did] += 1
        if outcome.failure is not None:
            self.failures.append(outcome.failure)
        self.warnings += [{"clip": outcome.row.clip_id, "text": text} for text in outcome.warnings]
        self.decoded_frames += outcome.decoded_frames
        for what, seconds in outcome.seconds.items():
            self.timings[what] = self.timings.get(what, 0.0) + seconds
        self.damaged += outcome.damaged
        if outcome.spotted is not None and outcome.failure is None:
            self.spotted[outcome.row.clip_id] = list(outcome.spotted)


@os_errors()
def preprocess(
    annotations: Annotations,
    cache: str | Path,
    parameters: Parameters | None = None,
    *,
    jobs: int = 1,
    engine: Engine | None = None,
    flow_images: str | Path | None = None,
    keep_landmarks: bool = True,
    progress: Progress = silent,
) -> Summary:
    """Run the stages over every clip of a dataset; a clip that fails is listed and stops no other.

    Args:
        annotations: What a reader found.
        cache: The cache folder; created with mode 0700.
        parameters: What the stages are given.
        jobs: How many processes may work. Few clips are done by this one alone, and so is looking at what is cached.
        engine: What shares the clips out, in the place of `jobs` processes of this machine.
        flow_images: A folder for the motion of every clip as published flow images show it; needs a method of motion.
        keep_landmarks: Where the default detector is chosen and an older cache has what MediaPipe 0.10.21 found in all
            clips, leave it at that; False finds the faces anew.
        progress: Called after every clip: those that are cached first, then the others in order.

    Raises:
        WriteError: The cache cannot be written.
        MerError: There is no clip, a worker process was ended from outside, or what the detector needs is absent.
        ValueError: Flow images without motion.
    """
    if not annotations.clips:
        raise _without_clips(annotations)
    started, cache, parameters = time.monotonic(), Path(cache), parameters or Parameters()
    if flow_images is not None and parameters.motion == "none":
        raise ValueError("flow images need a method of motion")
    store, folder = Store(private_folder(cache) / "objects"), private_folder(cache / annotations.dataset)
    remove_leftovers(cache)
    summary = Summary(annotations.dataset, len(annotations.clips), stages=_no_counts(annotations, parameters))
    if parameters.detector == Detector() and _recorded_detector(folder) == (FORMER,):
        parameters, note = _with_former_landmarks(annotations, store, parameters, keep_landmarks)
        summary.notes.append(f"{annotations.dataset}: {note}")
    facts = _facts(annotations, parameters)
    outcomes: dict[str, ClipOutcome] = {}
    with (
        Pipeline(store, parameters) as pipeline,
        closing(_run(annotations.clips, pipeline, store, engine or Local(jobs), summary)) as running,
    ):
        for outcome in running:
            outcomes[outcome.row.clip_id] = outcome
            progress("preprocess", len(outcomes), len(annotations.clips), outcome.row.clip_id)
    rows = []
    for clip in annotations.clips:
        summary.add(outcomes[clip.clip_id])
        rows.append(outcomes[clip.clip_id].row)
    summary.damaged += [str(path) for path in store.damaged]
    summary.timings = {what: round(seconds, 3) for what, seconds in summary.timings.items()}
    _write_tables(folder, rows, facts, summary)
    if flow_images is not None:
        summary.flow_images = export_flow_images(rows, store, Path(flow_images))
    summary.seconds = round(time.monotonic() - started, 3)
    return summary


def _write_tables(folder: Path, rows: Sequence[ManifestRow], facts: dict[str, Any], summary: Summary) -> None:
    write_manifest(folder / "manifest.parquet", rows)
    write_atomically(folder / "dataset.json", json_bytes(facts))
    if summary.spotted:
        write_keyframes(folder / KEYFRAMES, rows, summary.spotted)


def _without_clips(annotations: Annotations) -> MerError:
    first = annotations.problems[0] if annotations.problems else None
    reason = f" (the first problem: {first.value!r}, {first.reason})" if first else ""
    return MerError(f"no row names a clip{reason}", where=annotations.dataset, fix="see mer inspect")


def _run(
    clips: tuple[Clip, ...], pipeline: Pipeline, store: Store, engine: Engine, summary: Summary
) -> Generator[ClipOutcome, None, None]:
    """The outcome of every clip, by one process or several."""
    jobs = engine.jobs or cores()
    if not engine.elsewhere and min(jobs, _worth(clips, pipeline.parameters)) <= 1:
        yield from map(pipeline.run, clips)
        return
    pending = []
    for clip in clips:
        found = pipeline.cached(clip)
        if found is None:
            pending.append(clip)
        else:
            yield found
    if engine.elsewhere:
        summary.jobs = min(engine.jobs or len(pending), len(pending))
    else:
        summary.jobs = max(1, min(jobs, len(pending), _worth(pending, pipeline.parameters)))
        engine = Local(summary.jobs)
    if summary.jobs <= 1 and not engine.elsewhere:
        yield from map(pipeline.run, pending)
    elif pending:
        with closing(run_clips(pending, store.root, pipeline.parameters, engine)) as running:
            yield from running


def _recorded_detector(folder: Path) -> tuple[Any, ...] | None:
    try:
        chain = read_chain(folder)
    except MerError:  # a damaged record is written anew
        return None
    return None if chain is None else chain.detector


def _with_former_landmarks(
    annotations: Annotations, store: Store, parameters: Parameters, wanted: bool
) -> tuple[Parameters, str]:
    """What the stages are given where MediaPipe 0.10.21 made the cache, and what the user should know of that.

    Its landmarks serve all clips or none: a network would be given two kinds of pictures. Clips that failed do not
    count.
    """
    kept = replace(parameters, detector=Detector(FORMER))
    table = read_manifests(store.root.parent)
    failed = set(table["clip_id"][table["status"] != "ok"])
    with Pipeline(store, kept) as pipeline:
        if wanted and all(
            clip.kind == "flow" or clip.clip_id in failed or pipeline.has_landmarks(clip) for clip in annotations.clips
        ):
            return kept, f"what MediaPipe 0.10.21 found is kept; --detector {DEFAULT} finds all faces anew"
    return parameters, f"all faces are found anew by {DEFAULT}; what MediaPipe 0.10.21 found stays in the cache"


def _worth(clips: Sequence[Clip], parameters: Parameters) -> int:
    """How many workers the clips keep busy for longer than these take to start."""
    spotted = sum(clip.kind == "frames" and None in (clip.onset_frame, clip.apex_frame) for clip in clips)
    tvl1 = len(clips) if parameters.motion == "tvl1" else 0
    return (len(clips) + _SPOTTING * spotted + _TVL1 * tvl1) // _CLIPS_A_WORKER


def _no_counts(annotations: Annotations, parameters: Parameters) -> dict[str, dict[str, int]]:
    kinds = dict.fromkeys(clip.kind for clip in annotations.clips)
    stages = dict.fromkeys(stage for kind in kinds for stage in parameters.stages(kind))
    return {stage: {"computed": 0, "cached": 0, "failed": 0} for stage in stages}


def _facts(annotations: Annotations, parameters: Parameters) -> dict[str, Any]:
    """What `dataset.json` has."""
    chain = parameters.chain.as_json()
    return {
        "dataset": annotations.dataset,
        "clips": len(annotations.clips),
        "synthetic": annotations.synthetic,
        "stages": chain.pop("stages"),
        "parameters": chain,
        "versions": {
            "mer": __version__,
            "python": platform.python_version(),
            "litert": importlib.metadata.version("ai-edge-litert"),
            "opencv": cv2.__version__,
        },
    }
