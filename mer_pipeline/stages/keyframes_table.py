"""The key frames that were spotted, as a table that a person corrects and gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mer_pipeline.cache import csv_bytes, write_atomically
from mer_pipeline.cache.manifest import ManifestRow
from mer_pipeline.video.frame_files import list_frames

KEYFRAMES = "keyframes.csv"
COLUMNS = ("clip", "subject", "emotion", "onset", "apex", "offset", "aus", "fps", "flags")


def write_keyframes(path: Path, rows: Sequence[ManifestRow], spotted: Mapping[str, Sequence[str]]) -> None:
    """Write the spotted clips in the columns of `clips.csv`, with what is doubtful of each.

    Frames are the numbers in the file names, or indices from 0 in a video, as `clips.csv` has them.

    Raises:
        WriteError: It cannot be written.
    """
    table = []
    for row in rows:
        if row.clip_id in spotted:
            frames = [_number(row, frame) for frame in (row.onset_frame, row.apex_frame, row.offset_frame)]
            known = (_path(row), row.subject, row.emotion, *frames, row.aus, row.fps)
            table.append([*known, "; ".join(spotted[row.clip_id])])
    write_atomically(path, csv_bytes(COLUMNS, table))


def _path(row: ManifestRow) -> str:
    """The clip as `clips.csv` names it, below the raw folder: its name has dashes for slashes."""
    parts = Path(row.source or "").parts
    below = ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    return next((path for path in below if path.replace("/", "-") == row.clip), row.clip)


def _number(row: ManifestRow, frame: int | None) -> int | None:
    """What a person calls a frame."""
    source = Path(row.source or "")
    if frame is None or not source.is_dir():
        return frame
    return sorted(list_frames(source))[frame]
