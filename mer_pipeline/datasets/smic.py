"""SMIC-HS: 16 subjects, 164 clips, 100 fps; no sheet: folders say subject and class, a clip is onset to offset.

There are no apexes, so they are spotted, and no Action Units. Problems name a folder where other sets name a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.clip import Annotations, Problem
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout, Tree, subject_id
from mer_pipeline.datasets.rows import Row
from mer_pipeline.errors import MerError
from mer_pipeline.labels import canonical_emotion

LAYOUT = Layout(
    name="smic",
    title="SMIC-HS",
    fps=100.0,
    sheet="",
    sheet_example="",
    roots=("HS", "SMIC_all_raw/HS", "SMIC_all_cropped/HS", "SMIC/HS", "."),
    clips="[sS][0-9]*/micro/*/*_*",
    frames_example="HS/s01/micro/negative/s01_ne_01/image090823.bmp",
)
_CODE = re.compile(r"s\d+_(ne|po|sur)_\d+", re.IGNORECASE)
_VIDEOS = (".avi", ".mp4")


def read(raw: Path, corrections: Corrections) -> Annotations:
    """Read subject, class and clip from the folders' names.

    Raises:
        MerError: There is no folder with clips.
    """
    root = LAYOUT.find_root(raw)
    if root is None:
        raise MerError("no clips", where=raw, fix=f"expected {LAYOUT.expected}")
    table = AnnotationsBuilder(LAYOUT, corrections)
    for subject, label, source in _clips(root):
        name = source.stem if source.suffix.lower() in _VIDEOS else source.name
        where = source.relative_to(raw).as_posix()
        place = ClipLocation(subject, name, source, sparse=True)
        numbers: dict[str, str] = {"onset": "", "apex": "", "offset": ""}
        try:
            found = table.numbers(place)
            numbers["onset"] = str(found[0])
            if source.is_dir():
                numbers["offset"] = str(found[-1])
        except MerError:
            pass  # `add` reports it
        _check_code(table, where, label, f"{LAYOUT.name}/{subject}/{name}", name)
        table.add(Row(where, None, {**numbers, "emotion": label, "aus": ""}), place)
    return table.finish(f"clips like {LAYOUT.frames_example}")


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


def _check_code(table: AnnotationsBuilder, where: str, label: str, clip_id: str, name: str) -> None:
    """The clip's name says its class a second time."""
    code = _CODE.fullmatch(name)
    try:
        emotion = canonical_emotion(label)
    except MerError:
        return  # reported where the row is read
    if code is not None and canonical_emotion(code[1]) != emotion:
        reason = f"the clip is called {name}; the folder counts"
        table.problems.append(Problem(clip_id, "emotion", label, reason, where))
