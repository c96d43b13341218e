"""The command line: one module a command. Each parses, calls one library function and prints."""

from __future__ import annotations

import ast
import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from mer_pipeline.errors import MerError
from mer_pipeline.version import __version__

# Threads that wait shall sleep: where other work runs on the same cores, spinning ones starve each other (a training
# step on two busy cores: 0.74 s spinning, 0.49 s asleep). OpenMP reads this when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Of every command the module has its name, and the function in it too.
COMMANDS = (
    "inspect",
    "preprocess",
    "train",
    "compare",
    "ablate",
    "report",
    "evaluate",
    "predict",
    "spot",
    "serve",
    "export",
    "models",
    "synth",
    "demo",
    "setup",
    "doctor",
)
_STYLE: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": "rich"}


class _Command(TyperCommand):
    """A command whose module is imported when it is called: the help of `mer` and other commands do not wait for it."""

    def __init__(self, name: str) -> None:
        source = ast.parse((Path(__file__).parent / f"{name}.py").read_bytes())
        function = next(part for part in source.body if isinstance(part, ast.FunctionDef) and part.name == name)
        super().__init__(name, help=ast.get_docstring(function), rich_markup_mode="rich")

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the arguments of the real command."""
        one = typer.Typer(**_STYLE)
        one.command(self.name)(getattr(importlib.import_module(f"{__name__}.{self.name}"), str(self.name)))
        return typer.main.get_command(one).make_context(info_name, args, parent, **extra)


class _Commands(TyperGroup):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: _Command(name) for name in COMMANDS}


app = typer.Typer(
    name="mer",
    help="Micro-expression recognition, from a raw dataset or any video to an answer.",
    no_args_is_help=True,
    cls=_Commands,
    **_STYLE,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mer {__version__}")
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
        _end(error)
    except OSError as error:
        # Every function of a path may raise this, also one that only asks whether there is a file.
        if error.errno != errno.ENAMETOOLONG:
            raise
        _end(MerError("longer than a path may be", where=error.filename, fix="check the path"))


def _end(error: MerError) -> NoReturn:
    from mer_pipeline.cli.common import say_error

    say_error(error)
    sys.exit(1)
