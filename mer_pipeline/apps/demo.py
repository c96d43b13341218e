"""The whole chain on synthetic data: synth, preprocess, train, predict, report; what `mer demo` runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from mer_pipeline.datasets import read_dataset
from mer_pipeline.device import choose_device
from mer_pipeline.engines import cores
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import choose_detector
from mer_pipeline.inference import Predictor
from mer_pipeline.progress import Progress, silent
from mer_pipeline.reading import JsonObject
from mer_pipeline.reports import write_report
from mer_pipeline.runs.run import Run
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import synthesise
from mer_pipeline.training import Plan, load_clips, load_recipe, train

SUBJECTS, CLIPS, SEED = 6, 8, 0
# Small enough for two cores, large enough for the mouth to keep some thirty pixels.
CROP_SIZE = 96
MODEL = "facesleuth-tiny"


@dataclass(frozen=True)
class DemoRow:
    """One clip of the held-out subject: what was planted, and what was found without annotation. Frames are 0-based."""

    clip: str
    planted_emotion: str
    predicted_emotion: str
    planted_onset: int
    predicted_onset: int
    planted_apex: int
    predicted_apex: int


@dataclass(frozen=True)
class DemoResult:
    """The result of the demo.

    Attributes:
        run: The finished run.
        class_counts: Clips a class.
        held_out: The subject whose clips were predicted, by a network that never saw it.
        example: A clip to try next.
        rows: One row a clip of that subject.
        report: The HTML report of the run.
    """

    run: Run
    class_counts: dict[str, int]
    held_out: str
    example: Path
    rows: list[DemoRow]
    report: Path

    def as_json(self) -> JsonObject:
        """The result as JSON values."""
        return {
            "training": self.run.metrics.as_json(),
            "class_counts": self.class_counts,
            "held_out": self.held_out,
            "example": str(self.example),
            "rows": [asdict(row) for row in self.rows],
            "report": str(self.report),
        }


def run_demo(run: Path, *, device: str = "cpu", progress: Progress = silent) -> DemoResult:
    """Run the chain; what an earlier call finished is not done again.

    Args:
        run: The run folder; the synthetic data are written beside it, to `<run>-data`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        progress: Called after every step.

    Raises:
        MerError: A folder cannot be written, or holds something else.
    """
    choose_device(device), choose_detector()  # before anything is written
    if run.exists() and not (run / "run.json").is_file() and (not run.is_dir() or any(run.iterdir())):
        raise MerError("exists and is not a run folder", where=run, fix="choose another --out")
    data = run.with_name(f"{run.name}-data")
    raw, cache = data / "raw", data / "cache"
    if not (raw / "truth.parquet").is_file():
        synthesise(raw, subjects=SUBJECTS, clips=CLIPS, seed=SEED, progress=progress)
    annotations = read_dataset(raw)
    preprocess(annotations, cache, Parameters(size=CROP_SIZE), progress=progress)
    clips = load_clips(cache)
    recipe = load_recipe(MODEL, {"options.attention": "soa"})
    finished = train(clips, recipe, run, Plan(jobs=cores()), device=device, command="mer demo", progress=progress)
    truth = pd.read_parquet(raw / "truth.parquet")
    clips_held_out = truth[truth["subject"] == truth["subject"].iloc[-1]]
    held_out = f"{clips_held_out['dataset'].iloc[0]}/{clips_held_out['subject'].iloc[0]}"
    sources = {clip.clip_id: clip.source for clip in annotations.clips}
    rows = _predict(finished.fold_folder(held_out), clips_held_out, sources, device, progress)
    return DemoResult(
        run=finished,
        class_counts=clips.class_counts,
        held_out=held_out,
        example=sources[clips_held_out["clip_id"].iloc[0]],
        rows=rows,
        # The face is a public-domain portrait: no personal data are shown.
        report=write_report(run, with_faces=True, cache=cache),
    )


def _predict(
    fold: Path, truth: pd.DataFrame, sources: dict[str, Path], device: str, progress: Progress
) -> list[DemoRow]:
    rows = []
    with Predictor(fold, device) as predictor:
        for done, planted in enumerate(truth.to_dict("records"), 1):
            found = predictor(sources[planted["clip_id"]], fps=planted["fps"]).expressions
            if not found:
                raise MerError("no expression was found", where=planted["clip_id"], fix="report this fault")
            rows.append(
                DemoRow(
                    clip=planted["clip"],
                    planted_emotion=planted["emotion"],
                    predicted_emotion=found[0].emotion,
                    planted_onset=int(planted["onset_frame"]),
                    predicted_onset=found[0].onset_frame,
                    planted_apex=int(planted["apex_frame"]),
                    predicted_apex=found[0].apex_frame,
                )
            )
            progress("predict", done, len(truth), planted["clip"])
    return rows
