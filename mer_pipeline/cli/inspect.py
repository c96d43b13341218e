"""`mer inspect RAW|CACHE`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import counts_line, say, say_json, say_table, say_warning
from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mer_pipeline.cache.overview import CachedSet
    from mer_pipeline.datasets import Annotations
    from mer_pipeline.datasets.clip import Problem

ClipId = Annotated[str | None, typer.Option(help="A clip of a cache, for --image or --crops.", show_default=False)]
Crops = Annotated[
    Path | None,
    typer.Option(
        help="A folder for the crops of a cache, or of --clip, as PNG files; they show faces.", show_default=False
    ),
]
Table = Annotated[
    Path | None, typer.Option("--csv", help="Also write the problems here, a row each.", show_default=False)
]
_COLUMNS = ("sheet", "row", "clip", "field", "value", "reason")
Sheet = Annotated[
    Path | None, typer.Option(help="A PNG file for the contact sheet of --clip; shows a face.", show_default=False)
]


def inspect(
    raw: Annotated[
        Path, typer.Argument(help="The dataset's folder as it was handed out, or a cache.", metavar="RAW|CACHE")
    ],
    dataset: flags.Dataset = "auto",
    corrections: flags.Corrected = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is any problem.")] = False,
    as_json: flags.Json = False,
    table: Table = None,
    clip: ClipId = None,
    image: Sheet = None,
    crops: Crops = None,
) -> None:
    """Read a dataset's annotations: clips, subjects, classes, Action Units, and every problem. Decodes no frame.

    Of a preprocessed cache it says what is in it; --clip and --image draw what the stages made of one clip.
    """
    if clip is not None or image is not None or crops is not None:
        _draw(raw, clip, image, crops)
        return
    from mer_pipeline.cache.overview import cached_sets, is_cache

    if is_cache(raw):
        _print_cache(raw, cached_sets(raw), as_json)
        return
    from mer_pipeline.datasets import read_dataset

    found = read_dataset(raw, dataset, corrections)
    if table is not None:
        _write_problems(table, found.problems)
    if as_json:
        say_json(_document(found))
    else:
        _print(found)
    if strict and found.problems:
        raise typer.Exit(1)


def _draw(cache: Path, clip: str | None, image: Path | None, crops: Path | None) -> None:
    if crops is not None:
        from mer_pipeline.stages.crop_export import export_crops

        say(f"{export_crops(cache, crops, clip)} crops, and crops.csv, in {crops}")
        if image is None:
            return
    from mer_pipeline.reports import write_contact_sheet

    if clip is None or image is None:
        missing = "--clip ID" if clip is None else "--image OUT.png, or --crops FOLDER"
        raise MerError("--clip and --image belong together", fix=f"add {missing}")
    write_contact_sheet(cache, clip, image)
    say(f"contact sheet: {image}")


def _print_cache(cache: Path, sets: Sequence[CachedSet], as_json: bool) -> None:
    if as_json:
        say_json({"cache": str(cache), "sets": [one.as_json() for one in sets]})
        return
    for one in sets:
        say((one.dataset, "bold"), f" (preprocessed): {one.ok} of {one.clips} clips of {one.subjects} subjects")
        say(f"emotions: {counts_line(one.emotions)}")
        say(f"crops (clips at each side in pixels): {counts_line(one.sizes)}; faces by: {counts_line(one.detectors)}; "
            f"motion: {counts_line(one.motions)}")  # fmt: skip
        say(f"key frames spotted in {one.spotted} clips; head drift left in {one.unregistered}; "
            f"{one.warned} with a warning")  # fmt: skip
        for reason, clips in one.failures.items():
            say_warning(f"{clips} failed at {reason}")
    say(f"see one clip: mer inspect {cache} --clip ID --image OUT.png; all crops: --crops FOLDER")


def _write_problems(path: Path, problems: Sequence[Problem]) -> None:
    from mer_pipeline.cache import csv_bytes, write_atomically

    write_atomically(path, csv_bytes(_COLUMNS, ([getattr(each, name) for name in _COLUMNS] for each in problems)))


def _document(found: Annotations) -> dict[str, Any]:
    from mer_pipeline.datasets import compare_counts, differences

    return {
        "dataset": found.dataset,
        "recognised_by": found.recognised_by,
        "clips": len(found.clips),
        "usable": sum(clip.fault is None for clip in found.clips),
        "macro": len(found.macro),
        "subjects": len(found.subjects),
        "emotions": found.emotions,
        "fps": found.rates,
        "aus": found.au_counts,
        "aus_outside": found.outside_counts,
        "aus_flags": found.au_flags,
        "published": [asdict(count) for count in compare_counts(found)],
        "corrections": [asdict(correction) for correction in found.corrections],
        "warnings": [*found.warnings, *differences(compare_counts(found))],
        "problems": [asdict(problem) for problem in found.problems],
    }


def _print(found: Annotations) -> None:
    from mer_pipeline.datasets import compare_counts

    usable = sum(clip.fault is None for clip in found.clips)
    say((found.dataset, "bold"), f" (recognised by {found.recognised_by})")
    say(f"{len(found.clips)} clips of {len(found.subjects)} subjects, {usable} of them usable")
    say(f"frames a second (clips at each): {counts_line(found.rates)}")
    say(f"emotions: {counts_line(found.emotions)}")
    say(f"Action Units (clips with each): {counts_line(found.au_counts)}")
    if found.outside_counts:
        say(f"outside the 21 of the vector: {counts_line(found.outside_counts)}")
    if found.au_flags:
        say(f"flagged: {counts_line(found.au_flags)}")
    counts = [
        (c.protocol, c.dataset, c.name, c.here, c.published, "differs" if c.differs else "")
        for c in compare_counts(found)
    ]
    if counts:
        say_table("published counts", ("label set", "dataset", "count", "here", "published", ""), counts)
    if found.corrections:
        outcomes = [
            (c.clip, c.field, c.old, c.new, "applied" if c.applied else f"refused: {c.refusal}", c.reason, c.source)
            for c in found.corrections
        ]
        say_table("corrections", ("clip", "field", "old", "new", "outcome", "reason", "source"), outcomes)
    for warning in found.warnings:
        say_warning(warning)
    if differing := sum(bool(mark) for *_, mark in counts):
        say_warning(f"{differing} of {len(counts)} counts in this table are not the published ones: is the set whole?")
    _print_problems(found.problems)


def _print_problems(problems: Sequence[Problem]) -> None:
    """One line each, below the sheet that it is of: a table of them would be as narrow as the terminal."""
    if not problems:
        say("no problems in the rows")
        return
    say((f"{len(problems)} problem{'s' * (len(problems) > 1)}", "bold"))
    sheet = None
    for problem in problems:
        if problem.sheet != sheet:
            sheet = problem.sheet
            say(f"{sheet}:")
        where = ", ".join(filter(None, (f"row {problem.row}" if problem.row else "", problem.clip))) or "the set"
        say(f"  {where}: {problem.field} {problem.value!r}: {problem.reason}")
