"""`manifest.parquet`: one row a clip of a preprocessed dataset."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from mer_pipeline.cache import write_atomically
from mer_pipeline.errors import MerError
from mer_pipeline.reading import Checked, read_bytes, well_formed


@dataclass(frozen=True)
class ManifestRow(Checked):
    """What the manifest has of one clip; None for what is not known, as of a clip that failed early.

    Attributes:
        clip_id: `dataset/subject/clip`.
        dataset, subject, clip: Its parts.
        kind: `frames`, or `flow` for a published flow image.
        status: `ok` or `failed`; then `stage` is where, and `reason` why.
        emotion, aus: As annotated.
        onset_frame, apex_frame, offset_frame: 0-based; `onset_source` and `apex_source` are `annotated` or `spotted`.
        frames, fps: Of the recording.
        detector, faces, gap_frames: What found the face, how many faces there are, and where the face is lost.
        registration, drift_px, registered: How the head's drift was removed, its length, and whether that succeeded.
        size, motion: Side of the crops in pixels, and the method of flow.
        detect_key, align_key, crop_key, motion_key: Of the artefacts.
        warnings: Joined by "; ".
        source: The file or folder.
    """

    clip_id: str
    dataset: str
    subject: str
    clip: str
    kind: str
    status: str
    stage: str | None = None
    reason: str | None = None
    emotion: str | None = None
    aus: str | None = None
    onset_frame: int | None = None
    apex_frame: int | None = None
    offset_frame: int | None = None
    onset_source: str | None = None
    apex_source: str | None = None
    frames: int | None = None
    fps: float | None = None
    detector: str | None = None
    faces: int | None = None
    gap_frames: str | None = None
    registration: str | None = None
    drift_px: float | None = None
    registered: bool | None = None
    size: int | None = None
    motion: str | None = None
    detect_key: str | None = None
    align_key: str | None = None
    crop_key: str | None = None
    motion_key: str | None = None
    warnings: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = (self.onset_frame, self.apex_frame, self.offset_frame, self.frames, self.faces, self.drift_px)
        if (
            any(number is not None and number < 0 for number in numbers)
            or not 1 <= (1 if self.size is None else self.size) <= 4096
        ):
            raise ValueError("a number that is outside its range")
        if self.status not in ("ok", "failed") or self.kind not in ("frames", "flow"):
            raise ValueError(f"status {self.status!r} or kind {self.kind!r} is unknown")
        if any(key and not key.isalnum() for key in (self.detect_key, self.align_key, self.crop_key, self.motion_key)):
            raise ValueError("a key that is none")

    def key(self, stage: str) -> str | None:
        """The key of what a stage made of the clip."""
        return {"detect": self.detect_key, "align": self.align_key, "crop": self.crop_key, "motion": self.motion_key}[
            stage
        ]


# Nullable types throughout: a clip that failed early has no frames and no crop.
_TYPES = {"str": "string", "int": "Int64", "float": "Float64", "bool": "boolean"}
COLUMNS = {each.name: _TYPES[str(each.type).split(" ")[0]] for each in fields(ManifestRow)}


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write the rows."""
    table = pd.DataFrame.from_records([asdict(row) for row in rows], columns=list(COLUMNS))
    buffer = io.BytesIO()
    # A file name need not be text; parquet has no other.
    table["source"] = [
        None if row.source is None else row.source.encode("utf-8", "backslashreplace").decode() for row in rows
    ]
    table.astype(COLUMNS).to_parquet(buffer, index=False, write_page_checksum=True)
    write_atomically(path, buffer.getvalue())


def rows_of(table: pd.DataFrame) -> list[ManifestRow]:
    """The rows of a table that `read_manifests` gave, or of a part of it."""
    columns = [[None if pd.isna(value) else value for value in table[name].tolist()] for name in COLUMNS]
    return [ManifestRow(*values) for values in zip(*columns, strict=True)]


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
            table = pd.read_parquet(io.BytesIO(read_bytes(path)), page_checksum_verification=True)
        except MerError:
            raise
        except Exception:  # whatever a damaged file leads to
            raise MerError("not a readable manifest", where=path, fix="run mer preprocess again") from None
        if set(COLUMNS) - set(table.columns):
            raise MerError("a manifest of another version", where=path, fix="run mer preprocess again")
        with well_formed(path, "run mer preprocess again"):
            rows_of(table)
            if table["clip_id"].duplicated().any():
                raise ValueError("a clip stands in it twice")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
