"""Crops of preprocessed clips as pictures, for other programs and for a look at all of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mer_pipeline.cache import Store, csv_bytes, private_folder, write_atomically
from mer_pipeline.cache.clips import artefact_of, find_row
from mer_pipeline.cache.manifest import ManifestRow, read_manifests, rows_of
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.stages.flow_export import file_name

TABLE = "crops.csv"
COLUMNS = ("clip_id", "emotion", "frame", "key_frame", "image")


@os_errors()
def export_crops(cache: str | Path, folder: str | Path, clip_id: str | None = None) -> int:
    """Write every crop of a cache as a PNG file with mode 0600, and a table that names them.

    Args:
        cache: What `mer preprocess` wrote.
        folder: Created with mode 0700; pictures of an earlier export stay unless they have the same name.
        clip_id: Of one clip, or as much of its end as names one; None for all that went well.

    Returns:
        How many pictures were written.

    Raises:
        MerError: There is no cache, no such clip, no crop in it, or an artefact is absent or damaged.
        WriteError: The folder cannot be written.
    """
    cache, folder = Path(cache), Path(folder)
    rows = rows_of(read_manifests(cache)) if clip_id is None else [find_row(cache, clip_id)]
    cropped = [row for row in rows if row.status == "ok" and row.kind == "frames"]
    if not cropped:
        raise MerError("no crops: its clips failed or are flow images", where=clip_id or cache, fix="see mer inspect")
    store, table = Store(cache / "objects"), list[tuple[object, ...]]()
    private_folder(folder)
    for row in cropped:
        found = artefact_of(store, row, "crop")
        for frame, picture in zip(found.frames, found.arrays["crops"], strict=True):
            point = _key_frame(row, frame)
            name = f"{file_name(row)}+{frame:05d}{point and '-' + point}.png"
            png = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1]
            write_atomically(folder / name, png.tobytes())
            table.append((row.clip_id, row.emotion or "", frame, point, name))
    write_atomically(folder / TABLE, csv_bytes(COLUMNS, table))
    return len(table)


def _key_frame(row: ManifestRow, frame: int) -> str:
    """`onset`, `apex`, `offset`, or nothing."""
    points = {row.offset_frame: "offset", row.apex_frame: "apex", row.onset_frame: "onset"}
    return points.get(frame, "")
