"""Flow images: `labels.csv` and an image a clip, its channels u, v and strain; they enter at the motion stage.

A column `aus` may name their Action Units.

Clips keep the set, the subject and the name that they have in the set they were computed from, so that the same clip
never stands twice, and label sets with their exclusions and published counts hold for each part.
"""

from __future__ import annotations

from collections.abc import Mapping

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row

LAYOUT = Layout(
    name="megc2019_flow",
    title="flow images",
    fps=None,
    sheet=r"labels\.",
    sheet_example="labels.csv",
    roots=("images",),
    clips=("*.png",),
    frames_example="images/casme2_sub01_EP02_01f.png",
)
COLUMNS = {
    "dataset": ("dataset",),
    "subject": ("subject",),
    "clip": ("clip",),
    "emotion": ("emotion",),
    "image": ("image",),
    "aus": ("aus", "au", "action units"),
}
_REQUIRED = ("dataset", "subject", "clip", "emotion", "image")
# As the sets' own readers write their subjects; others are padded to two digits.
_WIDTHS: Mapping[str, int] = {"samm": 3, "casme3": 3}


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """The image of the column `image`, and the set and subject that the clip comes from."""
    dataset = row["dataset"].casefold().replace("/", "-") or LAYOUT.name
    subject = subject_id(row["subject"], _WIDTHS.get(dataset, 2))
    return ClipLocation(subject, row["clip"], table.raw / row["image"], dataset=dataset, kind="flow", sparse=True)


# `labels.csv` is a common name.
READER = Reader(LAYOUT, COLUMNS, locate, required=_REQUIRED, common=True)
