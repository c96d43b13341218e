"""`mer predict CLIP... --model RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli.common import Device, Json, Quiet, progress_bar, say_error, say_json, say_table, say_warning
from mer_pipeline.errors import MerError


def predict(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Video files or folders of frames.")],
    model: Annotated[Path, typer.Option(help="A run folder, one of its folds, or a weights file.")],
    onset: Annotated[
        int | None, typer.Option(min=0, help="Onset frame, counted from 0; spotted where not given.")
    ] = None,
    apex: Annotated[
        int | None, typer.Option(min=0, help="Apex frame, counted from 0; spotted where not given.")
    ] = None,
    fps: Annotated[float | None, typer.Option(min=1, help="Frames a second, for folders of frames.")] = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find face, onset, apex and offset in a clip, and tell its Action Units and emotion."""
    from mer_pipeline.inference import ClipResult, Predictor

    results = []
    with Predictor(model, device) as predictor, progress_bar(quiet, resume="") as progress:
        for done, clip in enumerate(clips, 1):
            try:
                results.append(predictor(clip, onset_frame=onset, apex_frame=apex, fps=fps))
            except MerError as error:
                results.append(ClipResult(str(clip), error=str(error)))
            progress("predict", done, len(clips), clip.name)
    if as_json:
        say_json([result.as_json() for result in results])
    else:
        rows = [_row(result, at) for result in results for at in range(len(result.expressions))]
        if rows:
            say_table("", ("clip", "onset", "apex", "offset", "emotion", "probability", "Action Units"), rows)
        for result in results:
            for warning in result.warnings:
                say_warning(f"{result.clip}: {warning}")
    failed = [result for result in results if result.error]
    for result in failed:
        say_error(MerError(result.error or ""))
    if failed:
        raise typer.Exit(1)


def _row(result: object, at: int) -> tuple[object, ...]:
    from mer_pipeline.inference import ClipResult

    assert isinstance(result, ClipResult)
    found = result.expressions[at]
    likely = sorted(((p, number) for number, p in found.aus.items() if p >= 0.5), reverse=True)
    return (
        Path(result.clip).name,
        found.onset_frame,
        found.apex_frame,
        found.offset_frame,
        found.emotion,
        f"{found.probabilities[found.emotion]:.2f}",
        ", ".join(f"{number} ({p:.2f})" for p, number in likely) or "none above 0.5",
    )
