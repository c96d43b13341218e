"""Tables of Action Units by frame that another tool wrote, as what a control may learn from.

OpenFace has a column `AU01_r` for the intensity of AU 1 (0 to 5), py-feat a column `AU01` (0 to 1). Frames in which
OpenFace failed (`success` 0) are left out, and of several faces the first is taken. Other columns are left alone.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mer_pipeline.errors import MerError
from mer_pipeline.reading import read_text

_UNIT = re.compile(r"AU(\d{2})(_r)?")


def read_au_tables(folder: Path, clip_ids: Sequence[str]) -> dict[int, npt.NDArray[np.float32]]:
    """What the tables of clips say, in numbers.

    Args:
        folder: With `CLIP.csv`, or `SUBJECT/CLIP.csv`, or `DATASET/SUBJECT/CLIP.csv` for each clip.
        clip_ids: `dataset/subject/clip`.

    Returns:
        Row of a clip that has a table -> (2 * units,): how far each unit rises above the first frame, and its mean. The
        units are those that all tables have.

    Raises:
        MerError: The folder has a table of no clip, two clips share one, or a table cannot be read or has no unit.
    """
    names = Counter(clip_id.rpartition("/")[2] for clip_id in clip_ids)
    tables = {row: path for row, clip_id in enumerate(clip_ids) if (path := _table(folder, clip_id)) is not None}
    if not tables:
        raise MerError("no table of any clip", where=folder, fix=f"name them like {names.most_common(1)[0][0]}.csv")
    shared = next((path for path, count in Counter(tables.values()).items() if count > 1), None)
    if shared is not None:
        raise MerError("several clips have this name", where=shared, fix="put tables into folders by subject")
    units = {row: _units(path) for row, path in tables.items()}
    common = sorted(set.intersection(*(set(one) for one in units.values())))
    if not common:
        raise MerError("the tables have no Action Unit in common", where=folder, fix="let one tool write them all")
    return {
        row: np.array([part for unit in common for part in _peak_and_mean(one[unit])], np.float32)
        for row, one in units.items()
    }


def au_tables_note(folder: Path | None, clip_ids: Sequence[str]) -> list[str]:
    """How many clips have a table, for the user; nothing where there is no folder."""
    if folder is None:
        return []
    count = sum(_table(folder, clip_id) is not None for clip_id in clip_ids)
    return [f"{count} of {len(clip_ids)} clips have a table of another tool's Action Units in {folder}"]


def _table(folder: Path, clip_id: str) -> Path | None:
    dataset, subject, clip = clip_id.split("/", 2)
    names = Path(dataset, subject, clip), Path(subject, clip), Path(clip)
    places = (folder / name.with_name(f"{name.name}.csv") for name in names)
    return next((place for place in places if place.is_file()), None)


def _units(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows that are longer than the header
            table = pd.read_csv(io.StringIO(read_text(path)), index_col=False, skipinitialspace=True)
    except (ValueError, pd.errors.ParserWarning) as error:
        raise MerError(f"not a table ({error})", where=path, fix="write it again by the other tool") from None
    table = table.rename(columns=lambda name: str(name).strip())
    if "success" in table:
        table = table[table["success"] != 0]
    if "face_id" in table and len(table):
        table = table[table["face_id"] == table["face_id"].iloc[0]]
    found = {match[1]: name for name in table.columns if (match := _UNIT.fullmatch(name)) is not None}
    values: dict[str, npt.NDArray[np.float64]] = {
        str(unit): pd.to_numeric(table[name], "coerce").to_numpy(np.float64) for unit, name in found.items()
    }
    if not values or not all(np.isfinite(one).any() for one in values.values()):
        raise MerError(
            "no column of an Action Unit with numbers", where=path, fix="name them AU01_r (OpenFace) or AU01 (py-feat)"
        )
    return values


def _peak_and_mean(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return float(known.max() - known[0]), float(known.mean())
