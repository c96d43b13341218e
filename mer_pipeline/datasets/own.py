"""A user's own data: a folder of clips and a `clips.csv`; no code.

Columns: clip, subject, emotion, onset, apex, offset, aus, fps; all but clip may be absent. A clip is the path of a
video or a frame folder below the folder. Onset, apex and offset are the numbers in the frames' file names; in a video,
frames count from 0, as everywhere in what `mer` prints. The set is called after the folder. Clips without a subject
count as one person, so that nobody can stand on both sides of a fold unseen. Emotions may be of the user's own naming.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations, Problem
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.rows import Row, read_rows

LAYOUT = Layout(
    name="own",
    title="own data",
    fps=None,
    sheet=r"clips\.",
    sheet_example="clips.csv",
    roots=(".",),
    clips="*",
    frames_example="anna/smile1/0001.png or anna/smile1.mp4",
)
COLUMNS = {
    "clip": ("clip", "filename", "file"),
    "subject": ("subject",),
    "emotion": ("emotion", "label"),
    "onset": ("onset", "onset frame"),
    "apex": ("apex", "apex frame"),
    "offset": ("offset", "offset frame"),
    "aus": ("aus", "au", "action units"),
    "fps": ("fps",),
}
NOBODY = "unknown"


def read(raw: Path, corrections: Corrections, taken: frozenset[str] = frozenset()) -> Annotations:
    """Read `clips.csv` and find every clip.

    Args:
        raw: The folder.
        corrections: None are known of a user's own data.
        taken: Names of the published sets, which mean something to protocols.

    Raises:
        MerError: `clips.csv` is absent or has no column for the clip.
    """
    sheet = LAYOUT.need_sheet(raw)
    table = AnnotationsBuilder(LAYOUT, corrections, name=own_name(raw, taken))
    rows = read_rows(sheet, COLUMNS, required=("clip",))
    named = rows.columns >= {"subject"}
    if not named:
        table.warnings.append("no column subject: all clips count as one person, so no subject can be held out")
        rows = type(rows)(tuple(_with_subject(row) for row in rows.rows), rows.columns, rows.problems)
    for row in table.take(rows):
        subject = re.sub(r"\.0$", "", row["subject"])
        source, fps = raw / row["clip"], _fps(table, row)
        place = ClipLocation(subject, _name(row["clip"]), source, fps=fps, first_number=0, sparse=True, own_labels=True)
        table.add(row, place)
    return table.finish(f"the sheet {sheet.name}")


def own_name(raw: Path, taken: frozenset[str] = frozenset()) -> str:
    """The name of a user's set: that of its folder, made safe for paths and ids.

    >>> own_name(Path("/data/My Clips (2024)")), own_name(Path("/data/casme2"), frozenset({"casme2"}))
    ('my-clips-2024', 'own-casme2')
    """
    name = re.sub(r"[^a-z0-9_]+", "-", raw.resolve().name.casefold()).strip("-") or "own"
    return f"own-{name}" if name in taken else name


def _with_subject(row: Row) -> Row:
    return Row(row.sheet, row.number, {**row.cells, "subject": NOBODY if row["clip"] else ""})


def _name(clip: str) -> str:
    """A clip's path as a name: unique, since the whole path is kept."""
    return re.sub(r"[/\\]+", "-", clip.strip("./\\")) or clip


def _fps(table: AnnotationsBuilder, row: Row) -> float | None:
    text = row["fps"]
    if not text:
        return None
    try:
        fps = float(text)
    except ValueError:
        fps = math.nan
    if math.isfinite(fps) and 0 < fps <= 100_000:
        return fps
    table.problems.append(Problem(row["clip"], "fps", text, "no frame rate; read as absent", row.sheet, row.number))
    return None
