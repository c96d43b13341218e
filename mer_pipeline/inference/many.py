"""Clips predicted by other processes; each loads the model once."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_pipeline.engines import Engine, Work, cores
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference.predictor import Predictor
from mer_pipeline.inference.result import ClipResult
from mer_pipeline.progress import Progress, silent


@dataclass(frozen=True)
class Settings:
    """What a `Predictor` is made of; see there."""

    model: str | None
    device: str
    aus: str
    confidence: float | None
    detector: Detector | None


@dataclass(frozen=True)
class _Task:
    settings: Settings
    clip: Path
    options: Mapping[str, Any]


class PredictedAhead:
    """Called with one clip after another as `Predictor.people` is, while other processes are at the following ones.

    Args:
        engine: What shares the clips out.
        settings: Of the predictor.
        clips: All of them, in the order in which they will be asked for; some may be left out.
        options: What the predictor is called with.
    """

    def __init__(self, engine: Engine, settings: Settings, clips: Sequence[Path], options: Mapping[str, Any]) -> None:
        tasks = [_Task(settings, clip.absolute() if engine.elsewhere else clip, options) for clip in clips]
        threads = max(1, cores() // engine.workers(len(tasks)))
        work = Work(_predict, Path.cwd(), functools.partial(_begin, threads), ordered=True)
        self._running: Iterator[tuple[int, list[ClipResult]]] = engine.run(work, tasks)
        self._clips = list(clips)

    def __call__(self, clip: str | Path, *, progress: Progress = silent) -> list[ClipResult]:
        """The results of a clip, as `Predictor.people` gives them; one that cannot be predicted says why in `error`.

        Raises:
            MerError: A process was ended from outside, or the engine cannot be used.
        """
        del progress  # of a clip: it is in another process
        for number, results in self._running:
            if self._clips[number] == Path(clip):
                return results
        raise ValueError(f"{clip} is not among the clips, or not in their order")


def _begin(threads: int, number: int) -> None:
    del number
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read by torch when it is imported


def _predict(task: _Task) -> list[ClipResult]:
    predictor = _predictor(task.settings)
    try:
        return predictor.people(task.clip, **task.options)
    except WriteError:
        raise
    except MerError as error:
        return [ClipResult(str(task.clip), error=str(error))]


@functools.lru_cache(maxsize=1)
def _predictor(settings: Settings) -> Predictor:
    """Of this process; its face models are closed with it."""
    return Predictor(
        settings.model, settings.device, aus=settings.aus, confidence=settings.confidence, detector=settings.detector
    ).__enter__()
