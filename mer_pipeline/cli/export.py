"""`mer export RUN`."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import say, say_json


class Format(str, Enum):
    """What a network can be written as."""

    onnx = "onnx"


def export(
    run: Annotated[Path, typer.Argument(help="A run folder (its final network), a fold, or a weights file.")],
    kind: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.onnx,
    out: Annotated[Path | None, typer.Option(help="The file; by default RUN/model.onnx.", show_default=False)] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Compare on crops of this cache, not on random pictures.", show_default=False)
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Write a trained network as one file for other programs, and check that it gives the same probabilities."""
    from mer_pipeline.inference.load import check_model

    check_model(run)
    from mer_pipeline.inference.export import export as write  # it imports torch

    folder = run if run.is_dir() else run.parent
    written = write(run, out or folder / f"model.{kind.value}", cache)
    if as_json:
        say_json(asdict(written))
        return
    say(f"{written.path}: {written.mebibytes} MiB, takes {', '.join(f'{k} {v}' for k, v in written.inputs.items())}")
    say(f"largest difference to torch on {written.compared}: {written.difference:.1e}")
