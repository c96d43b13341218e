"""What `mer predict` prints of its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mer_pipeline.cli.common import say, say_error, say_json, say_note, say_table, say_warning
from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    from mer_pipeline.inference import ClipResult, Expression, Predictor, Unclassified


def say_model(loaded: Predictor, quiet: bool) -> None:
    """Which model answers, and how well it finds Action Units."""
    for said in (loaded.model.name, loaded.card.au_words):
        if said and not quiet:
            say_note(said)


def say_results(results: list[ClipResult], written: list[Path], as_json: bool) -> None:
    """Print the results; report what could not be read, and exit with 1 where there was any."""
    if as_json:
        say_json([result.as_json() for result in results])
    else:
        _print(results, written)
    failed = [result for result in results if result.error]
    for result in failed:
        say_error(MerError(result.error or ""))
    if failed:
        raise typer.Exit(1)


def _print(results: list[ClipResult], written: list[Path]) -> None:
    from mer_pipeline.spotting.result import events_in_words

    rows = [row for result in results for row in _rows(result)]
    if rows:
        say_table("", ("clip", "onset, apex, offset", "kind", "emotion", "Action Units"), rows)
    for result in results:
        if not result.error and not result.expressions:
            say(f"{result.name}: no micro-expression found")
        if result.events:
            say(f"{result.name}: no expressions: {events_in_words(result.events)}")
    warned: dict[str, list[str]] = {}
    for result in results:
        for warning in result.warnings:
            warned.setdefault(warning, []).append(result.name)
    for warning, names in warned.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        say_warning(f"{names[0]}{others}: {warning}")
    for path in written:
        say(f"wrote {path}")


def _kind(found: Expression | Unclassified) -> str:
    """Its kind, how long it lasts, and what makes it doubtful."""
    lasts = "" if found.offset_s is None or found.onset_s is None else f" {found.offset_s - found.onset_s:.2f} s"
    flags = [flag for flag in found.flags if flag != "not spotted"]
    return f"{found.kind or 'not known'}{lasts}{' (' + ', '.join(flags) + ')' if flags else ''}"


def _rows(result: ClipResult) -> list[tuple[object, ...]]:
    rows: list[tuple[Expression | Unclassified, str, str]] = []
    for found in result.expressions:
        if found.verdict == "no micro-expression":
            why = "nothing was spotted" if "not spotted" in found.flags else f"{found.emotion} {found.probability:.2f}"
            rows.append((found, f"no expression: {why}", ""))
            continue
        doubt = "uncertain: " if found.verdict == "uncertain" else ""
        likely = ", ".join(f"{number} ({p:.2f})" for number, p in found.likely_aus())
        likely = likely or ("none above 0.5" if found.aus else "not estimated")
        likely += f"; given {found.aus_given}" if found.aus_given else ""
        others = f" or {', '.join(found.likely[1:])}" if found.verdict == "uncertain" and found.likely[1:] else ""
        rows.append((found, f"{doubt}{found.emotion} {found.probability:.2f}{others}", likely))
    rows += [(rest, f"{rest.kind}-expression, not judged", "") for rest in result.unclassified]
    rows.sort(key=lambda row: row[0].onset_frame)
    name = Path(result.name).name
    return [
        (
            name,
            f"{at.onset_frame}, {at.apex_frame}, {'not given' if at.offset_frame is None else at.offset_frame}",
            _kind(at),
            *texts,
        )
        for at, *texts in rows
    ]
