"""A user's own data: a folder of clips and a `clips.csv`; no code.

Columns: clip, subject, emotion, onset, apex, offset, aus, fps; all but clip may be absent. A clip is the path, below
the folder, of a frame folder or of a video, whose ending may be left out; where a film has several expressions, a
column `clip name` names each, and `type` says which are macro-expressions. Onset, apex and offset are the numbers in
the frames' file names; in a video, frames count from 0, as everywhere in what `mer` prints. The set is called after the
folder. Clips without a subject count as one person, so that no person stands on both sides of a fold unseen. Emotions
may be of the user's own naming.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mer_pipeline.choices import FILM_SUFFIXES
from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations
from mer_pipeline.datasets.corrections import Corrections
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
_NAMED = 5  # of the videos that no row names


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

    def read(self, raw: Path, corrections: Corrections) -> Annotations:
        """Read the rows and find every clip; videos that no row names are said in a warning."""
        found = super().read(raw, corrections)
        left = _unlisted(raw, {clip.source for clip in (*found.clips, *found.macro)})
        if not left:
            return found
        names = ", ".join(left[:_NAMED]) + (", ..." if len(left) > _NAMED else "")
        number = "1 video is" if len(left) == 1 else f"{len(left)} videos are"
        return replace(found, warnings=(*found.warnings, f"{number} in no row of the table and left out: {names}"))


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation | None:
    """The path that the row names, below the folder; one outside it is left out, as it may be of anybody."""
    parts = re.split(r"[/\\]", row["clip"])
    if ".." in parts or Path(row["clip"]).is_absolute():
        table.report(row, "clip", "lies outside the folder; left out")
        return None
    subject, fps = re.sub(r"\.0$", "", row["subject"]), _fps(table, row)
    source = _with_ending(table.raw / row["clip"], row, table)
    # A column of this name may say anything else in a table of somebody's own, so only the one word counts.
    macro = row["type"].casefold().startswith("macro")
    return ClipLocation(
        subject, row["name"] or clip_name(row["clip"]), source, fps=fps, first_number=0, macro=macro, sparse=True,
        own_labels=True,
    )  # fmt: skip


def _with_ending(source: Path, row: Row, table: AnnotationsBuilder) -> Path:
    """The video that a row names without its ending, where there is just one."""
    names = table.tree.names(source.parent)
    if source.name in names:
        return source
    films = [name for name in names if Path(name).stem == source.name and _is_film(name)]
    if len(films) > 1:
        table.report(row, "clip", f"may be {' or '.join(films)}: add the ending")
    return source.with_name(films[0]) if len(films) == 1 else source


def _unlisted(raw: Path, listed: set[Path]) -> list[str]:
    """The videos below a folder that are none of these, by their path from there; folders of frames are not entered."""
    left = []
    for folder, below, files in os.walk(raw):
        at = Path(folder)
        below[:] = sorted(name for name in below if not name.startswith(".") and at / name not in listed)
        left += [(at / name).relative_to(raw).as_posix() for name in sorted(files) if at / name not in listed]
    return [name for name in left if _is_film(name)]


def _is_film(name: str) -> bool:
    return not Path(name).name.startswith(".") and Path(name).suffix.lower() in FILM_SUFFIXES


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
