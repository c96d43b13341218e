"""`mer evaluate --dataset CACHE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import check_folder, progress_bar, say, say_json, say_note, say_table


def evaluate(
    dataset: Annotated[Path, typer.Option(help="What mer preprocess wrote: labelled clips.", show_default=False)],
    model: Annotated[
        str, typer.Option(help="A run folder, one of its folds, a weights file, latest, or shipped.")
    ] = "shipped",
    page: Annotated[Path | None, typer.Option("--html", help="Also write a page (.html).")] = None,
    device: flags.Device = "auto",
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
) -> None:
    """Test a trained model on labelled clips that it was not trained on."""
    check_folder(dataset)
    from mer_pipeline.inference.external import evaluate as run

    if page is not None:  # before the work, which a wrong name must not lose
        from mer_pipeline.reports.page import html_page, write_evaluation

        html_page(page)
    with progress_bar(quiet, resume="") as progress:
        found = run(dataset, model, device=device, progress=progress)
    if page is not None:
        write_evaluation(found, page)
    if as_json:
        say_json(found.as_json())
        return
    overall = found.scores.overall
    low, high = found.intervals["uf1"]
    rows = [("all", overall), *((name, each.overall) for name, each in found.by_dataset.items())]
    say_table(
        f"{found.model} on {found.dataset}",
        ("", "clips", "UF1", "UAR", "accuracy"),
        [(name, one.clips, f"{one.uf1:.3f}", f"{one.uar:.3f}", f"{one.accuracy:.3f}") for name, one in rows],
    )
    say(f"UF1 {overall.uf1:.3f}, 95 % interval over {found.subjects} subjects {low:.3f} to {high:.3f}")
    if found.aus:
        say_table(
            "Action Units",
            ("AU", "clips", "F1", "AUC", "F1 if always named"),
            [
                (number, one.clips, f"{one.f1:.2f}", f"{one.auc:.2f}", f"{one.constant_f1:.2f}")
                for number, one in found.aus.items()
            ],
        )
    for note in found.notes:
        say_note(note)
    if page is not None:
        say(f"wrote {page}")
