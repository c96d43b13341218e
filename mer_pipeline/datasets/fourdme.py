"""4DME: micro-expressions at 60 fps, grey frames; a sheet with a 0/1 column an Action Unit and an emotion.

A clip may have several emotions (`Surprise+Positive`), which are no class of a label set: they are kept, sorted, and
counted. `(k)` behind a unit says that it was there before and does not move: such units are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row
from mer_pipeline.errors import MerError
from mer_pipeline.facs import AU_NUMBERS, parse_aus

LAYOUT = Layout(
    name="4dme",
    title="4DME",
    fps=60.0,
    sheet=r"4DME.*Micro.*",
    sheet_example="4DME_Labelling_Micro_release v1.xlsx",
    roots=("gray_micro", "gray_micro_crop"),
    clips=("*/*",),
    frames_example="gray_micro/01/01_1/1.jpg",
)
EMOTIONS = ("Positive", "Negative", "Surprise", "Repression", "Others")
COLUMNS = {
    "subject": ("sub_ID",),
    "clip": ("fold_name",),
    "onset": ("Onset",),
    "apex": ("Apex",),
    "offset": ("Offset",),
    "aus": ("AUs",),
    "emotion": ("Emotion",),
    "total": ("Total",),
    "blink": ("eye blink",),
    **{name: (name,) for name in EMOTIONS},
    **{f"AU{number}": (f"AU{number}",) for number in AU_NUMBERS},
}
_STATIC = re.compile(r"[^+,]*\(k\)", re.IGNORECASE)
_SEVERAL = "{} clips have several emotions, which are no class of a label set"
_HELD = "{} clips have Action Units that are held, marked (k): these are left out"
_BLINKS = "{} clips are marked as having a blink"


def amend(row: Row, table: AnnotationsBuilder) -> Iterable[Row]:
    """Without what is held, with the emotions in one order, and checked against the columns of 0 and 1."""
    clip = table.clip_id(row["subject"], row["clip"])
    emotions = sorted(part.strip() for part in row["emotion"].split("+") if part.strip())
    aus = "+".join(part.strip() for part in re.split(r"[+,]", _STATIC.sub("", row["aus"])) if part.strip())
    table.habits[_SEVERAL] += len(emotions) > 1
    table.habits[_HELD] += aus != row["aus"] and "(k)" in row["aus"].casefold()
    table.habits[_BLINKS] += row["blink"] == "1"
    flagged = sorted(name for name in EMOTIONS if row[name] == "1")
    if any(row[name] for name in EMOTIONS) and [each.casefold() for each in flagged] != [
        e.casefold() for e in emotions
    ]:
        table.report(row, "emotion", f"its columns of 0 and 1 say {'+'.join(flagged) or 'none'}; the text counts", clip)
    if row["total"].isdecimal() and int(row["total"]) != len(flagged):
        table.report(row, "total", f"{len(flagged)} emotions are marked", clip)
    marked = {number for number in AU_NUMBERS if row[f"AU{number}"] == "1"}
    known = {number for number in AU_NUMBERS if row[f"AU{number}"]}
    with suppress(MerError):  # reported where the clip is added
        # What is held may be marked or not.
        least, most = parse_aus(aus).numbers & known, parse_aus(re.sub(r"\(k\)", "", row["aus"], flags=re.I)).numbers
        if not least <= marked <= most:
            text = "+".join(map(str, sorted(marked))) or "none"
            table.report(row, "aus", f"its columns of 0 and 1 say {text}; the text counts", clip)
    yield row.having(aus=aus, emotion="+".join(emotions))


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`gray_micro/01/01_1`, which may hold the clip alone."""
    subject, name = row["subject"], row["clip"]
    source = table.tree.descend(table.root, (subject,), (name,)) or table.root / subject / name
    return ClipLocation(subject, name, source, trimmed=True, own_labels="+" in row["emotion"])


READER = Reader(LAYOUT, COLUMNS, locate, amend=amend)
