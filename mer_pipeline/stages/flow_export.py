"""Motion of preprocessed clips as a folder of flow images, which every reader of published flow images can take.

The folder has the layout of the images that STSTNet's authors published: `labels.csv` (dataset, subject, clip, emotion,
image) and `images/`, 28x28 PNG. `mer preprocess FOLDER` reads it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from mer_pipeline.cache import Store, csv_bytes, private_folder, write_atomically
from mer_pipeline.cache.clips import artefact_of
from mer_pipeline.cache.manifest import ManifestRow
from mer_pipeline.stages.flow import flow_image

COLUMNS = ("dataset", "subject", "clip", "emotion", "image")


def export_flow_images(rows: Sequence[ManifestRow], store: Store, folder: Path) -> int:
    """Write the flow image of every clip that has motion, and the table that names them.

    Args:
        rows: Rows of the manifest; those without motion from frames are passed over.
        store: Where the artefacts lie.
        folder: Created with mode 0700; images of an earlier export stay unless they have the same name.

    Returns:
        How many images were written.

    Raises:
        MerError: An artefact is absent or damaged.
        WriteError: The folder cannot be written.
    """
    private_folder(folder / "images")
    kept = [row for row in rows if row.status == "ok" and row.kind == "frames" and row.motion_key]
    table = []
    for row in kept:
        flow = artefact_of(store, row, "motion").arrays["flow"]
        name = f"{file_name(row)}.png"
        picture = np.ascontiguousarray(flow_image(flow)[..., ::-1])
        write_atomically(folder / "images" / name, cv2.imencode(".png", picture)[1].tobytes())
        table.append([row.dataset, row.subject, row.clip, row.emotion or "", f"images/{name}"])
    write_atomically(folder / "labels.csv", csv_bytes(COLUMNS, table))
    return len(kept)


def file_name(row: ManifestRow) -> str:
    """A clip's id as a name of files, without an ending; no two clips share one."""
    # Ids may hold any character; quoted, none of them holds a plus.
    return "+".join(quote(part, safe=" ") for part in (row.dataset, row.subject, row.clip))
