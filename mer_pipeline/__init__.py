"""Micro-expression recognition, from a raw dataset or any video to an answer.

Every name of `__all__` is imported when it is first used, so that `import mer_pipeline` costs nothing:

    import mer_pipeline as mer

    annotations = mer.read_dataset("raw/CASME2")
    mer.preprocess(annotations, "cache")
    mer.train(mer.load_clips("cache"), mer.load_recipe("facesleuth-tiny"), "runs/first")
    with mer.Predictor("runs/first") as predictor:
        result = predictor("clip.avi")

Paths are given as `str` or `pathlib.Path`. What a user can mend is raised as `MerError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mer_pipeline.version import __version__

if TYPE_CHECKING:
    from mer_pipeline.datasets import Annotations, Clip, read_dataset
    from mer_pipeline.errors import MerError
    from mer_pipeline.evaluation.compare import compare
    from mer_pipeline.figures.clip_sheet import write_contact_sheet
    from mer_pipeline.figures.prediction_files import PredictionFiles
    from mer_pipeline.inference.export import export
    from mer_pipeline.inference.external import evaluate
    from mer_pipeline.inference.predictor import Predictor
    from mer_pipeline.inference.result import ClipResult, Expression, write_csv
    from mer_pipeline.inputs.clip_set import ClipSet, load_clips
    from mer_pipeline.recipe import Recipe, load_recipe
    from mer_pipeline.reports.page import write_report
    from mer_pipeline.runs.run import Run
    from mer_pipeline.spotting.result import Spotting
    from mer_pipeline.spotting.video import spot_video as spot
    from mer_pipeline.stages.parameters import Parameters
    from mer_pipeline.stages.preprocess import preprocess
    from mer_pipeline.synth.dataset import synthesise
    from mer_pipeline.synth.options import Options
    from mer_pipeline.training.session import Plan
    from mer_pipeline.training.train import train

# Name of the door -> module that holds it, and its name there where that is another.
_ROOMS = {
    "Annotations": "datasets",
    "Clip": "datasets",
    "ClipResult": "inference.result",
    "ClipSet": "inputs.clip_set",
    "Expression": "inference.result",
    "MerError": "errors",
    "Options": "synth.options",
    "Parameters": "stages.parameters",
    "Plan": "training.session",
    "PredictionFiles": "figures.prediction_files",
    "Predictor": "inference.predictor",
    "Recipe": "recipe",
    "Run": "runs.run",
    "Spotting": "spotting.video",
    "compare": "evaluation.compare",
    "evaluate": "inference.external",
    "export": "inference.export",
    "load_clips": "inputs.clip_set",
    "load_recipe": "recipe",
    "preprocess": "stages.preprocess",
    "read_dataset": "datasets",
    "spot": "spotting.video:spot_video",
    "synthesise": "synth.dataset",
    "train": "training.train",
    "write_contact_sheet": "figures.clip_sheet",
    "write_csv": "inference.result",
    "write_report": "reports.page",
}

__all__ = [
    "Annotations",
    "Clip",
    "ClipResult",
    "ClipSet",
    "Expression",
    "MerError",
    "Options",
    "Parameters",
    "Plan",
    "PredictionFiles",
    "Predictor",
    "Recipe",
    "Run",
    "Spotting",
    "__version__",
    "compare",
    "evaluate",
    "export",
    "load_clips",
    "load_recipe",
    "preprocess",
    "read_dataset",
    "spot",
    "synthesise",
    "train",
    "write_contact_sheet",
    "write_csv",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a name of the door when it is first used (PEP 562)."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room, _, there = _ROOMS[name].partition(":")
    found = getattr(importlib.import_module(f"{__name__}.{room}"), there or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The names of the door and what has been imported."""
    return sorted({*globals(), *__all__})
