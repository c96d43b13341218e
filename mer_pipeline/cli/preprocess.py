"""`mer preprocess RAW --out CACHE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mer_pipeline.choices import DEFAULT_SIZE, SPOTTED, Method, Registration
from mer_pipeline.cli import flags
from mer_pipeline.cli.common import chosen_engine, progress_bar, say, say_json, say_table, say_warning
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import DEFAULT, choose_detector

if TYPE_CHECKING:
    from mer_pipeline.datasets import Annotations
    from mer_pipeline.stages.preprocess import Summary

FlowImages = Annotated[
    Path | None, typer.Option(help="Also write the motion here as 28x28 flow images, like published ones.")
]


def preprocess(
    raw: flags.RawFolder,
    out: Annotated[Path, typer.Option(help="The cache folder; several datasets may share one.")],
    dataset: flags.Dataset = "auto",
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side of the face crops in pixels.")] = DEFAULT_SIZE,
    detector: flags.DetectorName = None,
    predictor: flags.PredictorFile = None,
    face_model: flags.FaceModelFile = None,
    registration: Annotated[
        Registration, typer.Option(help="Remove the head's drift since the onset, or not.")
    ] = "stable",
    motion: Annotated[Method, typer.Option(help="Optical flow from onset to apex, and its strain.")] = "none",
    flow_images: FlowImages = None,
    frames: Annotated[int, typer.Option(min=0, help="Also crop so many frames from onset to offset.")] = 0,
    spotted: Annotated[
        bool,
        typer.Option(
            "--spotted", help="Also crop with onset and apex spotted, so that a run is scored with both; slow."
        ),
    ] = False,
    jobs: flags.Jobs = None,
    engine: flags.EngineName = "local",
    engine_option: flags.EngineOptions = None,
    corrections: flags.Corrected = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any clip fails.")] = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
) -> None:
    """Find key frames and faces, align and crop them; every stage is cached, so a second run computes nothing."""
    from mer_pipeline.stages.preprocess import Parameters
    from mer_pipeline.stages.preprocess import preprocess as run_stages

    if flow_images is not None and motion == "none":
        raise MerError("--flow-images needs motion", fix="add --motion tvl1 or --motion dis")
    chosen = choose_detector(detector or DEFAULT, predictor, face_model=face_model)
    parameters = Parameters(size, chosen, registration, motion, frames)
    processes, annotations = chosen_engine(engine, jobs, engine_option), _read(raw, out, dataset, corrections)
    with progress_bar(quiet) as progress:
        summary = run_stages(
            annotations, out, parameters, engine=processes, flow_images=flow_images,
            keep_landmarks=detector != DEFAULT, progress=progress,
        )  # fmt: skip
        as_new = None
        if spotted:
            unknown = annotations.without_key_frames()
            as_new = run_stages(unknown, out / SPOTTED, parameters, engine=processes, progress=progress)
    for note in summary.notes:
        say_warning(note)
    damaged = [f"{path}: was damaged; set aside and computed again" for path in summary.damaged]
    for text in (*damaged, *(f"{warning['clip']}: {warning['text']}" for warning in summary.warnings)):
        say_warning(text)
    if as_json:
        say_json({**summary.as_json(), **({"spotted": as_new.as_json()} if as_new else {})})
    else:
        _print(summary, out, flow_images)
        if as_new:
            _print(as_new, out / SPOTTED, None)
    if summary.ok == 0 or (strict and summary.failures):
        raise typer.Exit(1)


def _read(raw: Path, out: Path, dataset: str, corrections: bool) -> Annotations:
    """The dataset, which a new cache must not lie inside."""
    from mer_pipeline.cache.overview import is_cache
    from mer_pipeline.datasets import read_dataset

    if out.resolve().is_relative_to(raw.resolve()) and not is_cache(out):
        raise MerError("lies inside the dataset, which should stay as it was handed out", where=out,
                       fix=f"choose a folder beside it, such as {raw.resolve().parent / 'cache'}")  # fmt: skip
    return read_dataset(raw, dataset, corrections)


def _print(summary: Summary, out: Path, flow_images: Path | None) -> None:
    from mer_pipeline.stages.keyframes_table import KEYFRAMES

    rows = [(name, *counts.values()) for name, counts in summary.stages.items()]
    say_table(
        f"{summary.dataset}: {summary.ok} of {summary.clips} clips", ("stage", "computed", "cached", "failed"), rows
    )
    if summary.failures:
        failures = [tuple(failure.values()) for failure in summary.failures]
        say_table(f"{len(failures)} failed", ("clip", "stage", "reason"), failures)
    if summary.spotted:
        forced = sum("not spotted" in flags for flags in summary.spotted.values())
        doubtful = sum(bool(flags) for flags in summary.spotted.values()) - forced
        say(
            f"key frames were spotted in {len(summary.spotted)} clips: in {forced} of them nothing stood out and the "
            f"strongest motion was taken, {doubtful} more are doubtful; they are in "
            f"{out / summary.dataset / KEYFRAMES}, to be corrected and given back as clips.csv"
        )
    if summary.timings:
        say("seconds: " + ", ".join(f"{what} {seconds:.1f}" for what, seconds in summary.timings.items()))
    if flow_images is not None:
        say(f"{summary.flow_images} flow images in {flow_images}")
    say(f"{summary.decoded_frames} frames decoded, {summary.seconds:.1f} s; cache: {out}")
