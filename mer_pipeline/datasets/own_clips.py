"""A user's own data: a folder of clips and a `clips.csv`; no code.

Columns: clip, subject, emotion, onset, apex, offset, aus, fps; all but clip may be absent. A clip is the path of a
video or a frame folder below the folder; where a film has several expressions, a column `clip name` names each, and
`type` says which are macro-expressions. Onset, apex and offset are the numbers in the frames' file names; in a video,
frames count from 0, as everywhere in what `mer` prints. The set is called after the folder. Clips without a subject
count as one person, so that no person stands on both sides of a fold unseen. Emotions may be of the user's own naming.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row, Rows

LAYOUT = Layout(
    name="own",
    title="own data",
    fps=None,
    sheet=r"clips\.",
    sheet_example="clips.csv",
    roots=(".",),
    clips=("*",),
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
    "name": ("clip name",),
    "type": ("type", "expression type"),
}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class OwnReader(Reader):
    """A user's own data.

    Attributes:
        taken: Names of the published sets, which mean something to label sets.
    """

    layout: Layout = LAYOUT
    columns: Mapping[str, Sequence[str]] = field(default_factory=lambda: COLUMNS)
    locate: Callable[[Row, AnnotationsBuilder], ClipLocation | None] = field(default_factory=lambda: locate)
    required: tuple[str, ...] = ("clip",)
    taken: frozenset[str] = frozenset()

    def set_name(self, raw: Path) -> str:
        """The folder's name, as `own_name` makes it."""
        return own_name(raw, self.taken)

    def rows(self, table: AnnotationsBuilder) -> Rows:
        """The rows of `clips.csv`; without a column for the subject, all clips count as one person."""
        found = super().rows(table)
        if "subject" in found.columns:
            return found
        table.warnings.append("no column subject: all clips count as one person, so no subject can be held out")
        rows = (replace(row, cells={**row.cells, "subject": UNKNOWN if row["clip"] else ""}) for row in found.rows)
        return replace(found, rows=tuple(rows))


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation | None:
    """The path that the row names, below the folder; one outside it is left out, as it may be of anybody."""
    parts = re.split(r"[/\\]", row["clip"])
    if ".." in parts or Path(row["clip"]).is_absolute():
        table.report(row, "clip", "lies outside the folder; left out")
        return None
    subject, fps = re.sub(r"\.0$", "", row["subject"]), _fps(table, row)
    source = table.raw / row["clip"]
    # A column of this name may say anything else in a table of somebody's own, so only the one word counts.
    macro = row["type"].casefold().startswith("macro")
    return ClipLocation(
        subject, row["name"] or clip_name(row["clip"]), source, fps=fps, first_number=0, macro=macro, sparse=True,
        own_labels=True,
    )  # fmt: skip


def own_name(raw: Path, taken: frozenset[str] = frozenset()) -> str:
    """The name of a user's set: that of its folder, made safe for paths and ids.

    >>> own_name(Path("/data/My Clips (2024)")), own_name(Path("/data/casme2"), frozenset({"casme2"}))
    ('my-clips-2024', 'own-casme2')
    """
    name = re.sub(r"[^a-z0-9_]+", "-", raw.resolve().name.casefold()).strip("-") or "own"
    return f"own-{name}" if name in taken else name


def clip_name(clip: str) -> str:
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
    table.report(row, "fps", "no frame rate; read as absent", row["clip"])
    return None
