"""What commands share: option types, progress bars, and how results and errors are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mer_pipeline import progress as reports
from mer_pipeline.choices import IMAGE_SUFFIXES
from mer_pipeline.engines import Engine, engine_of
from mer_pipeline.errors import MerError, os_errors, printable
from mer_pipeline.faces.detectors import DEFAULT, Detector, choose_detector

if TYPE_CHECKING:  # rich is imported when something is printed
    from rich.console import Console
    from rich.progress import TaskID

    from mer_pipeline.spotting.everyone import FaceChoice


@cache
def _out() -> Console:
    from rich.console import Console

    # Wide enough for tables also where output goes to a file, whose width rich would take as 80.
    return Console(soft_wrap=True, markup=False, emoji=False, highlight=False)


@cache
def _err() -> Console:
    from rich.console import Console

    return Console(stderr=True, markup=False, emoji=False, highlight=False)


def chosen_engine(name: str, jobs: int | None, options: Sequence[str] | None) -> Engine:
    """The engine that a user chose.

    Raises:
        MerError: See `engine_of`.
    """
    from mer_pipeline.recipe import parse_settings

    return engine_of(name, jobs, parse_settings(options or [], "--engine-option partition=gpu"))


def chosen_face(text: str) -> FaceChoice:
    """What `--face` says."""
    return int(text) if text.isdecimal() else "all" if text == "all" else "largest"


def check_folder(*folders: Path, fix: str = "make one with: mer preprocess RAW --out CACHE") -> None:
    """Refuse folders that are not there before anything is imported that would read it.

    Raises:
        MerError: It is absent.
    """
    for folder in folders:
        if not folder.is_dir():
            raise MerError("no such folder", where=folder, fix=fix)


@os_errors()
def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path]) -> None:
    """Refuse an output that would replace an input or another output, before any work is done.

    Args:
        outputs: By option, such as `--csv`; None where it is not given.
        inputs: Files and folders that are read.

    Raises:
        typer.BadParameter: Two of them are one file, under whatever names.
    """

    def identity(path: Path) -> object:
        return (path.stat().st_dev, path.stat().st_ino) if path.exists() else path.resolve()

    taken = {identity(path): "it is read as an input" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and identity(path.parent) in taken:
            raise typer.BadParameter(f"{path} would be replaced: a frame of the input", param_hint=option)
        if (of := taken.get(identity(path))) is not None:
            raise typer.BadParameter(f"{path} would be replaced: {of}; give another name", param_hint=option)
        taken[identity(path)] = f"{option} is written there"


def card_detector(name: str | None, predictor: Path | None, face_model: Path | None) -> Detector | None:
    """The detector that a user chose; None leaves the choice to the network's card.

    Raises:
        MerError: What it needs is absent.
    """
    if name is None and predictor is not None:
        raise MerError("--predictor belongs to a detector", fix="name it too: --detector dlib")
    if name is None and face_model is None:
        return None
    return choose_detector(name or DEFAULT, predictor, face_model=face_model)


def say_error(error: MerError) -> None:
    """Print an error as one line."""
    _line(_err(), ("error:", "bold red"), f" {error}")


def say_warning(text: str) -> None:
    """Print a warning as one line on standard error."""
    _line(_err(), ("warning:", "yellow"), f" {text}")


def say_note(text: str) -> None:
    """Print a line about the work, which is no part of the result, on standard error."""
    _line(_err(), (text, "dim"))


def say(*parts: str | tuple[str, str]) -> None:
    """Print a line of the result, of texts and of (text, style); nothing in them is taken for markup."""
    _line(_out(), *parts)


def _line(console: Console, *parts: str | tuple[str, str]) -> None:
    from rich.text import Text

    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    console.print(Text.assemble(*((printable(text), style) for text, style in pairs)), soft_wrap=True)


def say_json(values: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(values, indent=2))


def say_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; cells are shown as they are."""
    from rich.table import Table

    table = Table(title=printable(title), title_justify="left")
    for at, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=at == 0)
    for row in rows:
        table.add_row(*(printable("" if cell is None else str(cell)) for cell in row))
    _out().print(table)


def counts_line(counts: Mapping[str, int]) -> str:
    """Counts as one line: `happiness 32, surprise 25`."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


@contextmanager
def progress_bar(quiet: bool, resume: str = "the same command goes on from here") -> Iterator[reports.Progress]:
    """Draw progress on standard error; an interruption becomes a line on how to `resume`, and exit code 130."""
    try:
        if quiet:
            yield reports.silent
            return
        from rich import progress as bar

        columns = (
            bar.TextColumn("{task.description}", markup=False),
            bar.BarColumn(),
            bar.MofNCompleteColumn(),
            bar.TimeElapsedColumn(),
            bar.TextColumn("left"),
            bar.TimeRemainingColumn(),
            bar.TextColumn("{task.fields[detail]}", style="dim", markup=False),
        )
        bars = bar.Progress(*columns, console=_err())
        tasks: dict[str, TaskID] = {}

        def report(task: str, done: int, total: int, detail: str = "") -> None:
            if not tasks:
                bars.start()
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total, detail="")
            bars.update(tasks[task], completed=done, total=total, detail=printable(detail))

        try:
            yield report
        finally:
            if tasks:  # what fails before anything was done leaves no empty line above its error
                bars.stop()
    except KeyboardInterrupt:
        _line(_err(), "; ".join(filter(None, ("interrupted", resume))))
        raise typer.Exit(130) from None
