"""`mer serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import card_detector, say, say_warning
from mer_pipeline.cli.predict import Aus, Confidence, Model


def serve(
    model: Model = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own open it to all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    limit: Annotated[int, typer.Option(min=1, help="Largest upload in MiB.")] = 500,
    keep: Annotated[
        Path | None, typer.Option(help="Keep uploads in this folder; else they are deleted.", show_default=False)
    ] = None,
    aus: Aus = "predicted",
    confidence: Confidence = None,
    detector: flags.CardDetector = None,
    predictor: flags.PredictorFile = None,
    face_model: flags.FaceModelFile = None,
    device: flags.Device = "auto",
) -> None:
    """Serve a page on this machine: drop a clip, see timeline, pictures and table, download the JSON."""
    from mer_pipeline.apps.web import serve as run
    from mer_pipeline.inference import Predictor

    chosen = card_detector(detector, predictor, face_model)
    loaded = Predictor(model, device, aus=aus, confidence=confidence, detector=chosen)
    if host not in ("127.0.0.1", "localhost", "::1"):
        say_warning(
            f"{host}: every machine that reaches this address can send clips and see results; there is no password"
        )
    run(
        lambda: loaded, host=host, port=port, most_mib=limit, keep=keep,
        on_ready=lambda address: say(f"{address}   (Ctrl-C ends it)"),
    )  # fmt: skip
