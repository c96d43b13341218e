"""A table with a row for each frame and face, written while the film is read, in memory that does not grow with it.

Measurements are kept in a temporary file of fixed-width records until the film is over: what is a blink or an
expression is known only seconds later. Names are OpenFace's (Baltrusaitis et al., FG 2018) where the meaning is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Matrix
from mer_pipeline.cache.atomic import file_written_whole
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.spotting.patterns import REGION_NAMES, region_means
from mer_pipeline.spotting.result import Event, Spotting
from mer_pipeline.spotting.tracking import Place, Tracked

if TYPE_CHECKING:
    import pandas as pd

_SEEN = ("confidence", "face_score", "eye_opening", "gaze", "pose_Rx", "pose_Ry", "pose_Rz")
_PLACE = ("face_x", "face_y", "face_width")
_MOTION = tuple(f"motion_{name}_{axis}" for name in REGION_NAMES for axis in "xy")
_RECORD = np.dtype(
    [("key", "i4"), ("frame", "i4"), ("segment", "i4"), ("success", "i1"), ("timestamp", "f8")]
    + [(name, "f4") for name in (*_SEEN, *_PLACE)]
    + [("motion", "f4", len(_MOTION))]
)
_CHUNK = 4096  # records
# Rest is the median of a second, and of so many of them to both sides.
_BLOCK_S, _AROUND = 1.0, 2
_DIGITS = 4


@dataclass(frozen=True)
class FaceFrames:
    """What became known of one face after its frames were read.

    Attributes:
        key: As `FrameTable.add` was given it.
        person: Its number; None where the largest face was followed.
        events: Of them, blinks are in the table.
        expressions: Onset, offset and kind of each.
        aus: Frame -> number -> probability of each Action Unit, where a model read it.
    """

    key: int
    person: int | None
    events: Sequence[Event]
    expressions: Sequence[tuple[int, int, str]]
    aus: Mapping[int, Mapping[int, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Spotting) -> FaceFrames:
        """Of a face that was spotted."""
        spans = [(each.onset_frame, each.offset_frame, each.kind) for each in found.intervals]
        return cls(found.where.key, found.person, found.events, spans)


class FrameTable:
    """Collects what is measured in every frame.

    Args:
        path: A .csv or .parquet file, which is there when `write` has ended well, and only then.

    Raises:
        MerError: The name has another ending.

    Attributes:
        faces: What became known of the faces whose rows are wanted: to be filled before `write`.
    """

    def __init__(self, path: Path) -> None:
        self.faces: list[FaceFrames] = []
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise MerError("the name must end in .csv or .parquet", where=path, fix=f"try {path.with_suffix('.csv')}")
        self._path = path
        # Of no name: nothing is left of it, whatever happens.
        self._records = tempfile.TemporaryFile()  # noqa: SIM115
        self._waiting: list[npt.NDArray[Any]] = []
        self._rests: dict[tuple[int, int], dict[int, Matrix]] = {}  # by key and segment, by second
        self._second: dict[int, tuple[tuple[int, int], list[Matrix]]] = {}  # by key: the one that gathers

    def add(self, key: int, index: int, seconds: float, face: Tracked | None) -> None:
        """Take in a face of a frame."""
        record = np.zeros((), _RECORD)
        record["key"], record["frame"], record["timestamp"] = key, index, seconds
        if face is None:
            for name in (*_SEEN, *_PLACE, "motion"):
                record[name] = 0 if name == "confidence" else np.nan
        else:
            seen, place = face.seen, Place.of(face.to_unit)
            roll = -np.arctan2(face.to_unit[1, 0], face.to_unit[0, 0])
            values = (face.alike, seen.score, seen.opening, seen.gaze, seen.pitch, seen.yaw, roll, *place)
            for name, value in zip((*_SEEN, *_PLACE), values, strict=True):
                record[name] = value
            motion = region_means(face.motion_px, face.trust).ravel()
            record["success"], record["motion"], record["segment"] = 1, motion, face.segment
            self._gather(key, face.segment, int(seconds / _BLOCK_S), motion)
        self._waiting.append(record)
        if len(self._waiting) == _CHUNK:
            self._flush()

    @os_errors()
    def write(self, *, with_aus: bool = False) -> int:
        """Write the table, once; how many rows it has.

        Raises:
            WriteError: The file cannot be written.
        """
        self._flush()
        known, rows = {face.key: face for face in self.faces}, 0
        with file_written_whole(self._path) as file:
            sheet = _Parquet(file) if self._path.suffix.lower() == ".parquet" else _Csv(file)
            for chunk in self._chunks():
                table = self._table(chunk[np.isin(chunk["key"], list(known))], known, with_aus)
                sheet.add(table)
                rows += len(table)
            sheet.close()
        self._records.close()
        return rows

    def _gather(self, key: int, segment: int, block: int, motion: Matrix) -> None:
        """Take a motion into the rest of its second."""
        began, rows = self._second.get(key, ((-1, -1), []))
        if began != (segment, block):
            self._close_second(key)
            rows = []
            self._second[key] = (segment, block), rows
        rows.append(motion)

    def _close_second(self, key: int) -> None:
        (segment, block), rows = self._second.pop(key, ((-1, -1), []))
        if rows:
            self._rests.setdefault((key, segment), {})[block] = np.median(rows, 0)

    @os_errors()
    def _flush(self) -> None:
        if self._waiting:
            self._records.write(np.array(self._waiting, _RECORD).tobytes())
            self._waiting = []

    def _chunks(self) -> Iterator[npt.NDArray[Any]]:
        """All records, some at a time; first none, for the names of the columns."""
        for key in list(self._second):
            self._close_second(key)
        yield np.empty(0, _RECORD)
        self._records.seek(0)
        while content := self._records.read(_CHUNK * _RECORD.itemsize):
            yield np.frombuffer(content, _RECORD)

    def _rest(self, key: int, segment: int, seconds: npt.NDArray[np.float64]) -> Matrix:
        """(frames, motions) where the skin is at rest."""
        known = self._rests[key, segment]
        blocks = np.arange(min(known), max(known) + 1)
        around = [[known[at] for at in range(block - _AROUND, block + _AROUND + 1) if at in known] for block in blocks]
        rests = np.array([np.median(each, 0) for each in around if each])
        times = np.array([block + 0.5 for block, each in zip(blocks, around, strict=True) if each]) * _BLOCK_S
        return np.stack([np.interp(seconds, times, course) for course in rests.T], -1)

    def _table(self, records: npt.NDArray[Any], faces: Mapping[int, FaceFrames], with_aus: bool) -> pd.DataFrame:
        import pandas as pd

        frames, keys = records["frame"], records["key"]
        blink, kind = np.zeros(len(records), np.int8), np.full(len(records), "", object)
        ids, motion = np.zeros(len(records), np.int32), records["motion"].astype(np.float64)
        aus = np.full((len(records), len(AU_NUMBERS)), np.nan)
        for key in np.unique(keys):
            face, own = faces[int(key)], keys == key
            ids[own] = face.person or 0
            blink[own] = _within(frames[own], [(e.first_frame, e.last_frame) for e in face.events if e.kind == "blink"])
            for name in ("macro", "micro"):
                spans = [(onset, offset) for onset, offset, of in face.expressions if of == name]
                kind[np.flatnonzero(own)[_within(frames[own], spans)]] = name
            for segment in np.unique(records["segment"][own & (records["success"] == 1)]):
                rows = own & (records["segment"] == segment) & (records["success"] == 1)
                motion[rows] -= self._rest(int(key), int(segment), records["timestamp"][rows])
            for row in np.flatnonzero(own) if face.aus else ():
                read = face.aus.get(int(frames[row]), {})
                aus[row] = [read.get(number, np.nan) for number in AU_NUMBERS]
        columns: dict[str, Any] = {"frame": frames, "face_id": ids, "timestamp": records["timestamp"]}
        columns |= {"confidence": records["confidence"], "success": records["success"]}
        columns |= {name: records[name] for name in ("face_score", *_PLACE, *_SEEN[4:], *_SEEN[2:4])}
        columns |= {"blink": blink, "expression": pd.array(kind, "string")}
        columns |= {name: motion[:, at] for at, name in enumerate(_MOTION)}
        if with_aus:
            columns |= {f"AU{number:02d}_p": aus[:, at] for at, number in enumerate(AU_NUMBERS)}
        table = pd.DataFrame(columns)
        measured = [name for name in columns if table[name].dtype.kind == "f"]
        table[measured] = table[measured].astype(np.float64).round(_DIGITS)
        return table


def _within(frames: npt.NDArray[np.int32], spans: Sequence[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Whether each frame lies in a span; both ends are in."""
    starts, ends = (np.sort([span[at] for span in spans]) for at in (0, 1))
    return np.asarray(np.searchsorted(starts, frames, "right") > np.searchsorted(ends, frames, "left"))


class _Csv:
    """Rows as text."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._begun = file, False

    def add(self, table: pd.DataFrame) -> None:
        """Write rows; the names of the columns before the first."""
        table.to_csv(self._file, index=False, header=not self._begun, mode="wb", lineterminator="\n")
        self._begun = True

    def close(self) -> None:
        """Nothing is left to do."""


class _Parquet:
    """Rows as groups of a Parquet file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: Any = None

    def add(self, table: pd.DataFrame) -> None:
        """Write rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = pa.Table.from_pandas(table, preserve_index=False)
        self._writer = self._writer or pq.ParquetWriter(self._file, rows.schema)
        self._writer.write_table(rows)

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()
