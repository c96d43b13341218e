"""`mer predict FOLDER --csv --report`: many clips in one go."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipeline.cli.common import progress_bar
from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    from mer_pipeline.inference import ClipResult, Predictor


def clips_of(given: list[Path]) -> list[Path]:
    """The clips that are given: a folder of videos is all of them; what is absent is reported as a clip."""
    from mer_pipeline.video import find_clips

    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            found += find_clips(path)
        except MerError:
            if len(given) == 1:
                raise
            found.append(path)
    return found


def predict_batch(
    clips: list[Path],
    predict: Callable[..., list[ClipResult]],
    loaded: Predictor,
    options: dict[str, Any],
    *,
    table: Path | None,
    report: Path | None,
    quiet: bool,
) -> list[ClipResult]:
    """Predict clips and write their table and page; an interrupted batch goes on where it was."""
    from mer_pipeline.inference import write_csv
    from mer_pipeline.reports.batch import Batch
    from mer_pipeline.reports.batch_page import write_batch
    from mer_pipeline.reports.page import html_page

    beside = report if report is not None else table
    assert beside is not None
    if report is not None:
        html_page(report)
    detector = loaded.model.parameters.detector.identity
    settings = {**options, "card": loaded.card.as_json(), "detector": list(detector), "pictures": report is not None}
    batch, started = Batch(beside, settings, draws=report is not None), time.monotonic()
    with progress_bar(quiet) as progress:
        entries = batch.run(clips, predict, progress)
    results = [result for entry in entries for result in entry.results]
    if table is not None:
        write_csv(table, results)
    if report is not None:
        write_batch(report, entries, batch, table=table, seconds=time.monotonic() - started)
    batch.finish()
    return results
