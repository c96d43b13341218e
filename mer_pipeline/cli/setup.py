"""`mer setup`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import say, say_json


def setup(
    wheel: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.whl", help="The wheel of mediapipe 0.10.21, where there is no network."),
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Get the models that find faces, once; from an installed mediapipe 0.10.21, a wheel, or through pip (35 MB)."""
    from mer_pipeline.faces.face_mesh.install import install

    installed = install(wheel)
    if as_json:
        say_json(asdict(installed))
        return
    say(f"the models that find faces {'are now' if installed.made else 'were already'} in {installed.folder}")
    say(f"from {installed.source}")
