"""The page of a batch: one row an expression, with thumbnails, filters, and links to the sheets beside it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mer_pipeline.errors import os_errors
from mer_pipeline.facs import AU_NAMES
from mer_pipeline.inference.result import ClipResult, Expression, Unclassified
from mer_pipeline.reports.batch import Batch, DoneClip, Sight
from mer_pipeline.reports.page import html_page, write_page
from mer_pipeline.spotting.result import events_in_words

_NO_EXPRESSION = "no expression"


@dataclass(frozen=True)
class PageRow:
    """A row of the page.

    Attributes:
        clip: Its name below the folder that all clips share, and the person where several were followed.
        what: `micro`, `macro`, `no expression` or `failed`; filters go by it.
        emotion: With what makes it doubtful; blank where none was judged.
        verdict: Of the expression; blank where there is none.
        probability: Of the emotion; None where none was judged.
        frames: Onset, apex and offset.
        seconds: When it begins, and how long it lasts.
        aus: Number, name and probability of the likely Action Units.
        notes: Flags, warnings and errors.
        sight: Its pictures.
    """

    clip: str
    what: str
    emotion: str = ""
    verdict: str = ""
    probability: float | None = None
    frames: str = ""
    seconds: str = ""
    aus: tuple[tuple[str, str, float], ...] = ()
    notes: tuple[str, ...] = ()
    sight: Sight | None = None


@os_errors()
def write_batch(
    page: Path, entries: Sequence[DoneClip], batch: Batch, *, table: Path | None = None, seconds: float
) -> Path:
    """Write the page, with mode 0600.

    Raises:
        WriteError: The file cannot be written.
    """
    common = _common([each.clip for each in entries])
    rows = [row for entry in entries for row in _rows(entry, common)]
    results = [result for entry in entries for result in entry.results]
    script = files("mer_pipeline.reports").joinpath("templates/batch.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    kinds, emotions = Counter(row.what for row in rows), Counter(row.emotion for row in rows if row.emotion)
    folder = os.path.relpath(batch.folder, page.parent)
    context = {
        "title": f"{len(entries)} clips of {Path(common).name}",
        "sentence": _sentence(entries, kinds, seconds),
        "rows": rows,
        "script": script,
        "script_digest": digest,
        "folder": Path(folder).as_posix(),
        "kinds": kinds.most_common(),
        "emotions": emotions.most_common(),
        "verdicts": sorted({row.verdict for row in rows if row.verdict}),
        "units": sorted({(int(number), name) for row in rows for number, name, _ in row.aus}),
        "models": sorted({result.model for result in results if result.model}),
        "table": None if table is None else Path(os.path.relpath(table, page.parent)).as_posix(),
        "with_faces": any(row.sight for row in rows),
    }
    return write_page(html_page(page), "batch.html", context)


def _sentence(entries: Sequence[DoneClip], kinds: Counter[str], seconds: float) -> str:
    failed = f", {kinds['failed']} could not be read" if kinds["failed"] else ""
    return (
        f"{kinds['micro']} micro- and {kinds['macro']} macro-expressions in {len(entries)} clips{failed}; "
        f"{seconds / 60:.1f} minutes of work."
    )


def _common(clips: Sequence[str]) -> str:
    """The folder that all clips lie in."""
    return os.path.commonpath([os.path.dirname(os.path.abspath(clip)) for clip in clips]) if clips else ""  # noqa: PTH100, PTH120


def _rows(entry: DoneClip, common: str) -> Iterator[PageRow]:
    for result in entry.results:
        name = os.path.relpath(os.path.abspath(result.clip), common)  # noqa: PTH100
        name += "" if result.person is None else f", person {result.person}"
        if result.error:
            yield PageRow(name, "failed", notes=(result.error,))
            continue
        notes = tuple(result.warnings)
        both: list[Expression | Unclassified] = [*result.expressions, *result.unclassified]
        for found in sorted(both, key=lambda each: each.onset_frame):
            yield _row(name, entry, result, found, notes)
            notes = ()  # they are of the clip: once is enough
        if not both:
            events = events_in_words(result.events)
            yield PageRow(name, _NO_EXPRESSION, notes=(*([f"no expressions: {events}"] if events else []), *notes))


def _row(
    name: str, entry: DoneClip, result: ClipResult, found: Expression | Unclassified, notes: tuple[str, ...]
) -> PageRow:
    offset = "?" if found.offset_frame is None else found.offset_frame
    seconds = ""
    if found.onset_s is not None and found.offset_s is not None:
        seconds = f"at {found.onset_s:.2f} s, {found.offset_s - found.onset_s:.2f} s long"
    frames, what = f"{found.onset_frame}, {found.apex_frame}, {offset}", str(found.kind or "length unknown")
    notes = (*found.flags, *notes)
    if isinstance(found, Unclassified):
        return PageRow(name, what, frames=frames, seconds=seconds, notes=("found, not judged", *notes))
    if found.verdict == "no micro-expression":
        what = _NO_EXPRESSION
    aus = tuple((number, AU_NAMES[int(number)].lower(), p) for number, p in found.likely_aus())
    return PageRow(
        name, what, found.emotion, found.verdict, found.probability, frames, seconds, aus, notes,
        entry.sight(result, found),
    )  # fmt: skip
