"""`mer inspect RAW`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_pipeline.cli.common import Corrected, Dataset, Json, counts_line, say, say_json, say_table, say_warning
from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    from mer_pipeline.datasets import Annotations

ClipId = Annotated[str | None, typer.Option(help="A clip of a cache, to be drawn with --image.", show_default=False)]
Sheet = Annotated[
    Path | None, typer.Option(help="A PNG file for the contact sheet of --clip; shows a face.", show_default=False)
]


def inspect(
    raw: Annotated[Path, typer.Argument(help="The dataset's folder as it was handed out; a cache with --image.")],
    dataset: Dataset = "auto",
    corrections: Corrected = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is any problem.")] = False,
    as_json: Json = False,
    clip: ClipId = None,
    image: Sheet = None,
) -> None:
    """Read a dataset's annotations: clips, subjects, classes, Action Units, and every problem. Decodes no frame.

    Of a preprocessed cache, --clip and --image draw what the stages made of one clip.
    """
    if clip is not None or image is not None:
        _draw(raw, clip, image)
        return
    from mer_pipeline.datasets import read_dataset

    found = read_dataset(raw, dataset, corrections)
    if as_json:
        say_json(_document(found))
    else:
        _print(found)
    if strict and found.problems:
        raise typer.Exit(1)


def _draw(cache: Path, clip: str | None, image: Path | None) -> None:
    from mer_pipeline.reports import write_contact_sheet

    if clip is None or image is None:
        missing = "--clip ID" if clip is None else "--image OUT.png"
        raise MerError("--clip and --image belong together", fix=f"add {missing}")
    write_contact_sheet(cache, clip, image)
    say(f"contact sheet: {image}")


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
    from mer_pipeline.datasets import compare_counts, differences

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
    for warning in (*found.warnings, *differences(compare_counts(found))):
        say_warning(warning)
    if found.problems:
        rows = [(p.sheet, p.row, p.clip, p.field, p.value, p.reason) for p in found.problems]
        say_table(
            f"{len(rows)} problem{'s' * (len(rows) > 1)}", ("sheet", "row", "clip", "field", "value", "reason"), rows
        )
    else:
        say("no problems")
