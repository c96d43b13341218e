"""`mer annotate FOLDER`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import say
from mer_pipeline.faces.detectors import DEFAULT, choose_detector


def annotate(
    folder: Annotated[Path, typer.Argument(help="The films: videos or folders of frames, in it or in folders of it.")],
    coder: Annotated[
        str, typer.Option(help="Who marks; the page asks where it is not given.", show_default=False)
    ] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8001,
    candidates: Annotated[
        bool, typer.Option("--candidates/--no-candidates", help="Spot expressions to accept, reject or correct.")
    ] = True,
    fps: flags.Fps = None,
    detector: flags.DetectorName = None,
    predictor: flags.PredictorFile = None,
    face_model: flags.FaceModelFile = None,
) -> None:
    """Mark expressions in films, in a page on this machine: onset, apex, offset, Action Units, emotion.

    Every change is kept at once: in FOLDER/clips.csv, which makes the folder a dataset for mer inspect, preprocess
    and train, and in FOLDER/annotations/CODER, with an .eaf file a film for ELAN. All of it goes by the keyboard: ? in
    the page shows the keys. Several coders may work on one folder, and the page shows how well two of them agree.
    """
    from mer_pipeline.apps.annotate.page import annotate as run

    chosen = choose_detector(detector or DEFAULT, predictor, face_model=face_model) if candidates else None
    run(
        folder, coder=coder, port=port, fps=fps, detector=chosen,
        on_ready=lambda address: say(f"{address}   (Ctrl-C ends it)"),
    )  # fmt: skip
