"""SMIC-E: the recordings around the clips of SMIC, by a fast, an ordinary and an infrared camera (HS, VIS, NIR).

A workbook with a sheet a camera and up to three expressions a row; numbers are those in the frames' file names. The
cameras filmed the same people at the same time, so that all of them are one set: clips of VIS and NIR begin with that
word. A camera whose recordings are not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mer_pipeline.cells import is_blank
from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, numbered, subject_id
from mer_pipeline.datasets.reader import Reader, SheetPart
from mer_pipeline.datasets.rows import Row
from mer_pipeline.errors import MerError

_CAMERAS = {"HS": 100.0, "VIS": 25.0, "NIR": 25.0}
_FILE = r"SMIC.*E.*annotation.*"
LAYOUT = Layout(
    name="smic-long",
    title="SMIC-E",
    fps=100.0,
    sheet=_FILE,
    sheet_example="SMIC-HS-E_annotation.xlsx",
    roots=tuple(f"{name}_long/SMIC_{name}_E" for name in _CAMERAS),
    clips=("s[0-9]*/s[0-9]*_*",),
    frames_example="HS_long/SMIC_HS_E/s20/s20_ne_01/image17581039.jpg",
)
COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("OnsetF",),
    "apex": ("ApexF",),
    "offset": ("OffsetF",),
    **{f"{end}{at}": (f"{end.capitalize()}{at}F",) for at in (2, 3) for end in ("onset", "offset")},
    "first": ("FirstF",),
    "last": ("LastF",),
    **{f"total{at}": (f"TotalMF{at}",) for at in (1, 2, 3)},
    "length": ("TotalVL",),
    "emotion": ("Emotion",),
}


def amend(row: Row, table: AnnotationsBuilder) -> Iterable[Row]:
    """A row an expression; lengths and ends are checked."""
    folder = LAYOUT.roots[list(_CAMERAS).index(row["part"])]
    top = table.tree.descend(table.raw, *((name,) for name in folder.split("/")))
    if top is None and any((table.raw / root).is_dir() for root in LAYOUT.roots):
        table.habits[f"{{}} rows of {row['part']} were left out: {folder} is not there"] += 1
        return
    subject, name = subject_id(row["subject"], 2), row["clip"]
    path = table.tree.descend(top, numbered("s", subject), (name,)) or table.raw / folder / f"s{subject}" / name
    clip = name if row["part"] == "HS" else f"{row['part']}_{name}"
    whole = row.having(subject=subject, source=str(path), clip=clip)
    _check_ends(whole, table)
    for at in (1, 2, 3):
        ends = ("onset", "offset") if at == 1 else (f"onset{at}", f"offset{at}")
        cells = {end: row[end] for end in ends}
        if at > 1 and all(is_blank(text) or text == "0" for text in cells.values()):
            continue
        onset, offset, total = (*cells.values(), row[f"total{at}"])
        own = whole.having(
            onset=onset, offset=offset, apex=row["apex"] if at == 1 else "", clip=clip if at == 1 else f"{clip}-{at}"
        )
        if all(part.isdecimal() for part in (onset, offset, total)) and int(offset) - int(onset) + 1 != int(total):
            reason = f"from onset to offset there are {int(offset) - int(onset) + 1} frames"
            table.report(row, f"total{at}", reason, table.clip_id(subject, own["clip"]))
        yield own


def _check_ends(row: Row, table: AnnotationsBuilder) -> None:
    """Compare the first and last frame, and how many there are, with the files."""
    clip = table.clip_id(row["subject"], row["clip"])
    try:
        found = table.numbers(_location(row))
    except MerError:
        return  # reported where the clip is added
    for column, there in (("first", found[0]), ("last", found[-1]), ("length", len(found))):
        if row[column].isdecimal() and int(row[column]) != there:
            table.report(row, column, f"the files say {there}", clip)


def _location(row: Row) -> ClipLocation:
    return ClipLocation(
        row["subject"], row["clip"], Path(row["source"]), fps=_CAMERAS[row["part"]], sparse=True, cut=True
    )


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:  # noqa: ARG001 - `amend` has found it
    """`HS_long/SMIC_HS_E/s20/s20_ne_01`."""
    return _location(row)


PARTS = tuple(SheetPart(name, _FILE, title=name) for name in _CAMERAS)
READER = Reader(LAYOUT, COLUMNS, locate, ("subject", "clip", "onset", "offset", "emotion"), PARTS, amend)
