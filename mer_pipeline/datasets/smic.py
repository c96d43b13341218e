"""SMIC-HS: 16 subjects, 164 clips, 100 fps; no sheet: folders say subject and class, a clip is onset to offset.

There are no apexes, so they are spotted, and no Action Units. Problems name a folder where other sets name a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.layout import Layout, Tree, subject_id
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.rows import Row, Rows
from mer_pipeline.errors import MerError
from mer_pipeline.labels import canonical_emotion

LAYOUT = Layout(
    name="smic",
    title="SMIC-HS",
    fps=100.0,
    sheet="",
    sheet_example="",
    roots=("HS", "SMIC_all_raw/HS", "SMIC_all_cropped/HS", "SMIC/HS", "."),
    clips=("[sS][0-9]*/micro/*/*_*",),
    frames_example="HS/s01/micro/negative/s01_ne_01/image090823.bmp",
)
COLUMNS = {name: (name,) for name in ("subject", "clip", "onset", "apex", "offset", "aus", "emotion")}
_CODE = re.compile(r"s\d+_(ne|po|sur)_\d+", re.IGNORECASE)
_VIDEOS = (".avi", ".mp4")


class _Reader(Reader):
    """Folders in place of a sheet."""

    def rows(self, table: AnnotationsBuilder) -> Rows:
        """A row a clip, from the names of its folders; `Row.sheet` is the path of the clip."""
        if self.layout.find_root(table.raw) is None:
            raise MerError("no clips", where=table.raw, fix=f"expected {self.layout.expected}")
        return Rows(tuple(_row(table, *clip) for clip in _clips(table.root)), frozenset(self.columns))


def _row(table: AnnotationsBuilder, subject: str, label: str, source: Path) -> Row:
    name = source.stem if source.suffix.lower() in _VIDEOS else source.name
    cells = {**dict.fromkeys(COLUMNS, ""), "subject": subject, "clip": name, "emotion": label}
    try:
        found = table.numbers(ClipLocation(subject, name, source))
        cells["onset"] = str(found[0])
        if source.is_dir():
            cells["offset"] = str(found[-1])
    except MerError:
        pass  # reported where the clip is added
    return Row(source.relative_to(table.raw).as_posix(), None, cells)


def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation:
    """`s01/micro/negative/s01_ne_01`, whose name says its class a second time."""
    code = _CODE.fullmatch(row["clip"])
    clip_id = table.clip_id(row["subject"], row["clip"])
    try:
        if code is not None and canonical_emotion(code[1]) != canonical_emotion(row["emotion"]):
            table.report(row, "emotion", f"the clip is called {row['clip']}; the folder counts", clip_id)
    except MerError:
        pass  # an unknown emotion is reported where the clip is added
    return ClipLocation(row["subject"], row["clip"], table.raw / row.sheet, sparse=True)


def _clips(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Subject, class folder and path of every clip, sorted."""
    tree = Tree()
    for person in tree.names(root):
        micro = tree.child(root / person, "micro")
        if micro is None or not re.fullmatch(r"s\d+", person, re.IGNORECASE):
            continue
        for label in tree.names(micro):
            for clip in tree.names(micro / label):
                source = micro / label / clip
                if not clip.startswith(".") and (source.suffix.lower() in _VIDEOS or not source.is_file()):
                    yield subject_id(person, 2), label, source


READER = _Reader(LAYOUT, COLUMNS, locate)
