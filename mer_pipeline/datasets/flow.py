"""Flow images: `labels.csv` and an image a clip, its channels u, v and strain; they enter at the motion stage.

Clips keep the set, the subject and the name that they have in the set they were computed from, so that the same clip
never stands twice, and protocols with their exclusions and published counts hold for each part.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout, subject_id
from mer_pipeline.datasets.rows import Row, read_rows
from mer_pipeline.errors import MerError

LAYOUT = Layout(
    name="megc2019_flow",
    title="flow images",
    fps=None,
    sheet=r"labels\.",
    sheet_example="labels.csv",
    roots=("images",),
    clips="*.png",
    frames_example="images/casme2_sub01_EP02_01f.png",
)
COLUMNS = {
    "dataset": ("dataset",),
    "subject": ("subject",),
    "clip": ("clip",),
    "emotion": ("emotion",),
    "image": ("image",),
}
# As the sets' own readers write their subjects; others are padded to two digits.
_WIDTHS: Mapping[str, int] = {"samm": 3, "casme3": 3}
_NOTHING = {"onset": "", "apex": "", "offset": "", "aus": ""}


def read(raw: Path, corrections: Corrections) -> Annotations:
    """Read the labels.

    Raises:
        MerError: `labels.csv` is absent or lacks a column.
    """
    sheet = LAYOUT.need_sheet(raw)
    table = AnnotationsBuilder(LAYOUT, corrections)
    for row in table.take(read_rows(sheet, COLUMNS, required=COLUMNS)):
        dataset = row["dataset"].casefold().replace("/", "-") or LAYOUT.name
        subject = subject_id(row["subject"], _WIDTHS.get(dataset, 2))
        place = ClipLocation(subject, row["clip"], raw / row["image"], dataset=dataset, kind="flow", sparse=True)
        table.add(Row(row.sheet, row.number, {**row.cells, **_NOTHING}), place)
    return table.finish(f"the sheet {sheet.name}")


def recognise(raw: Path) -> str | None:
    """`labels.csv` is a common name, so its header must fit as well."""
    sheet = LAYOUT.find_sheet(raw)
    try:
        return None if sheet is None or not read_rows(sheet, COLUMNS, required=COLUMNS) else f"the sheet {sheet.name}"
    except MerError:
        return None
