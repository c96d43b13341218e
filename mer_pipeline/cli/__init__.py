"""The command line: one module a command. Each parses, calls one library function and prints."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import mer_pipeline
from mer_pipeline.cli.ablate import ablate
from mer_pipeline.cli.common import say_error
from mer_pipeline.cli.compare import compare
from mer_pipeline.cli.demo import demo
from mer_pipeline.cli.doctor import doctor
from mer_pipeline.cli.export import export
from mer_pipeline.cli.inspect import inspect
from mer_pipeline.cli.models import models
from mer_pipeline.cli.predict import predict
from mer_pipeline.cli.preprocess import preprocess
from mer_pipeline.cli.report import report
from mer_pipeline.cli.serve import serve
from mer_pipeline.cli.spot import spot
from mer_pipeline.cli.synth import synth
from mer_pipeline.cli.train import train
from mer_pipeline.errors import MerError

# Threads that wait shall sleep: where other work runs on the same cores, spinning ones starve each other (a training
# step on two busy cores: 0.74 s spinning, 0.49 s asleep). OpenMP reads this when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = typer.Typer(
    name="mer",
    help="Micro-expression recognition, from a raw dataset or any video to an answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)

for command in (
    inspect,
    preprocess,
    train,
    compare,
    ablate,
    report,
    predict,
    spot,
    serve,
    export,
    models,
    synth,
    demo,
    doctor,
):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mer {mer_pipeline.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Micro-expression recognition, from a raw dataset or any video to an answer."""


def main() -> None:
    """Run the command line; what a user can mend is one line on standard error and exit code 1."""
    try:
        app()
    except MerError as error:
        say_error(error)
        sys.exit(1)
