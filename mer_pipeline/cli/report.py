"""`mer report RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import check_folder, say, say_json


def report(
    run: Annotated[Path, typer.Argument(help="A finished run, or the folder of mer ablate.", metavar="RUN|ABLATION")],
    out: Annotated[Path | None, typer.Option(help="The file; by default RUN/report.html.", show_default=False)] = None,
    with_faces: Annotated[
        bool, typer.Option("--with-faces", help="Show pictures of faces, which are personal data.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(help="The cache with the crops, for attention maps; the one of the training by default."),
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Write one HTML page of a run: score, controls, classes, curves, angles, attention, calibration, worst clips."""
    check_folder(run, fix="give the folder that mer train wrote")
    from mer_pipeline.reports import write_report

    page = write_report(run, out, with_faces=with_faces, cache=cache)
    if as_json:
        say_json({"report": str(page), "faces": with_faces})
        return
    say(f"report: {page}" + (" (shows faces: keep it as you keep the recordings)" if with_faces else ""))
