"""`manifest.parquet`: one row a clip of a preprocessed dataset."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mer_pipeline.cache import write_atomically
from mer_pipeline.errors import MerError

# Nullable types throughout: a clip that failed early has no frames and no crop.
COLUMNS = {
    "clip_id": "string",
    "dataset": "string",
    "subject": "string",
    "clip": "string",
    "kind": "string",
    "status": "string",
    "stage": "string",
    "reason": "string",
    "emotion": "string",
    "aus": "string",
    "onset_frame": "Int64",
    "apex_frame": "Int64",
    "offset_frame": "Int64",
    "onset_source": "string",
    "apex_source": "string",
    "frames": "Int64",
    "fps": "Float64",
    "detector": "string",
    "faces": "Int64",
    "gap_frames": "string",
    "registration": "string",
    "drift_px": "Float64",
    "registered": "boolean",
    "size": "Int64",
    "motion": "string",
    "detect_key": "string",
    "align_key": "string",
    "crop_key": "string",
    "motion_key": "string",
    "warnings": "string",
    "source": "string",
}


def write_manifest(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows; columns that a row lacks are null."""
    table = pd.DataFrame.from_records(
        [{name: row.get(name) for name in COLUMNS} for row in rows], columns=list(COLUMNS)
    )
    buffer = io.BytesIO()
    table.astype(COLUMNS).to_parquet(buffer, index=False)
    write_atomically(path, buffer.getvalue())


def read_manifests(cache: Path) -> pd.DataFrame:
    """The manifests of all datasets in a cache, one below the other.

    Raises:
        MerError: There is none, or one cannot be read.
    """
    paths = sorted(cache.glob("*/manifest.parquet"))
    if not paths:
        what = "no preprocessed dataset in this folder" if cache.is_dir() else "no such folder"
        raise MerError(what, where=cache, fix="make one with: mer preprocess RAW --out CACHE")
    tables = []
    for path in paths:
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise MerError("not a readable manifest", where=path, fix="run mer preprocess again") from error
        if set(COLUMNS) - set(table.columns):
            raise MerError("a manifest of another version", where=path, fix="run mer preprocess again")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
