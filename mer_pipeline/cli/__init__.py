"""The command line: one module a command. Each parses, calls one library function and prints."""

from __future__ import annotations

import ast
import importlib
import io
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from mer_pipeline.errors import MerError, os_errors
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
    "status",
    "report",
    "evaluate",
    "predict",
    "spot",
    "serve",
    "annotate",
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

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`mer help train` is `mer train --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)


app = typer.Typer(
    name="mer",
    help="Micro-expression recognition, from a raw dataset or any video to an answer.",
    no_args_is_help=True,
    cls=_Commands,
    **{**_STYLE, "add_completion": True},
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name need not be text in the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    interrupted = threading.Event()
    before = _on_interrupt(interrupted)
    try:
        with os_errors():
            try:
                app()
            finally:
                sys.stdout.flush()
    except MerError as error:
        _end(error)
    except MemoryError:
        _end(MerError("not enough memory", fix="close other programs, or give it less at once"))
    except BaseException as error:
        # While a library is imported, an interruption may come out as any error.
        if not interrupted.is_set() or isinstance(error, SystemExit):
            raise
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _on_interrupt(interrupted: threading.Event) -> Any:
    """Note a Ctrl-C, beside what Python makes of it; the handler that was there before."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def note(number: int, frame: Any) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    return signal.signal(signal.SIGINT, note)


def _end(error: MerError) -> NoReturn:
    from mer_pipeline.cli.common import say_error

    say_error(error)
    try:
        sys.stdout.flush()
    except OSError:  # Python would try once more at its end, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
