"""How far a run or an ablation is: read from its folders, without touching them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.reading import JsonObject, read_json, well_formed
from mer_pipeline.runs.claim import read_failure, read_under_way
from mer_pipeline.runs.facts import Facts
from mer_pipeline.runs.folders import fold_folders

FINAL = "final network"


@dataclass(frozen=True)
class Piece:
    """A fold, or the network for prediction, of one training.

    Attributes:
        fold: Who is held out, or `final network`.
        seed: Of the training.
        row: Of the ablation; empty in a run.
        state: `done`, `running`, `failed` or `waiting`.
        seconds: How long it took, or has been running for; None where that is not known.
        epoch, epochs: Of one that runs.
        process: `pid on host` of one that runs.
        error: Of one that failed, in one line.
    """

    fold: str
    seed: int
    row: str
    state: str
    seconds: float | None = None
    epoch: int = 0
    epochs: int = 0
    process: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.fold}, seed {self.seed}" + (f", row {self.row}" if self.row else "")


@dataclass(frozen=True)
class Status:
    """How far a run or an ablation is.

    Attributes:
        folder: Where it lies.
        finished: Whether its scores are written.
        pieces: All folds and networks for prediction.
    """

    folder: str
    finished: bool
    pieces: tuple[Piece, ...]

    def of(self, state: str) -> list[Piece]:
        """The pieces in a state."""
        return [piece for piece in self.pieces if piece.state == state]

    @property
    def fold_s(self) -> float | None:
        """Median time of the measured folds; of those that run, where none is done; None where nothing is known."""
        taken = [piece.seconds for piece in self.of("done") if piece.seconds and piece.fold != FINAL]
        running = [piece for piece in self.of("running") if piece.seconds and piece.epoch]
        taken = taken or [(piece.seconds or 0) * piece.epochs / piece.epoch for piece in running]
        return statistics.median(taken) if taken else None

    @property
    def seconds_left(self) -> float | None:
        """With as many processes as run now, or with one."""
        if self.finished or self.fold_s is None:
            return 0.0 if self.finished else None
        running = self.of("running")
        begun = sum(1 - piece.epoch / max(1, piece.epochs) for piece in running)
        return self.fold_s * (len(self.of("waiting")) + len(self.of("failed")) + begun) / max(1, len(running))

    def as_json(self) -> JsonObject:
        """What `mer status --json` prints."""
        counts = {state: len(self.of(state)) for state in ("done", "running", "failed", "waiting")}
        times = {"fold_seconds": self.fold_s, "seconds_left": self.seconds_left}
        pieces = {state: [asdict(piece) for piece in self.of(state)] for state in ("running", "failed", "waiting")}
        known: JsonObject = {"folder": self.folder, "finished": self.finished, "pieces": len(self.pieces)}
        return {**known, "counts": counts, **times, **pieces}


@os_errors()
def read_status(folder: str | Path) -> Status:
    """How far a run or an ablation is.

    Args:
        folder: What `mer train` or `mer ablate` writes to.

    Raises:
        MerError: There is none.
    """
    folder = Path(folder)
    if (folder / "ablation.json").is_file():
        values = read_json(folder / "ablation.json")
        rows, end = [str(row) for row in values.get("wanted", ())], "rows" in values
    else:
        rows, end = [""], (folder / "metrics.json").is_file()
    begun = {row: _facts(folder / row) for row in rows if (folder / row / "run.json").is_file()}
    if not begun:
        raise MerError("no training has begun here", where=folder, fix="give the --out of mer train or mer ablate")
    usual = next(iter(begun.values()))
    pieces = [piece for row in rows for piece in _pieces(folder / row, row, begun.get(row, usual))]
    return Status(str(folder), end, tuple(pieces))


def _facts(folder: Path) -> Facts:
    with well_formed(folder / "run.json"):
        return Facts.from_json(read_json(folder / "run.json"))


def _pieces(folder: Path, row: str, facts: Facts) -> Iterator[Piece]:
    first = facts.seed
    for seed in range(first, first + facts.seeds):
        own = folder / f"seed-{seed}" if facts.seeds > 1 else folder
        for fold in facts.folds or [path.name for path in sorted((own / "folds").glob("*"))]:
            places = fold_folders(own, fold)
            place = next((path for path in places if path.is_dir()), places[0])
            yield _piece(place, "result.json", fold, seed, row)
        yield _piece(own / "final", "card.json", FINAL, seed, row)


def _piece(folder: Path, result: str, fold: str, seed: int, row: str) -> Piece:
    if (now := read_under_way(folder)) is not None:
        process = f"{now.pid} on {now.host}"
        return Piece(fold, seed, row, "running", round(time.time() - now.began, 1), now.done, now.of, process)
    if (folder / result).is_file():
        try:
            return Piece(fold, seed, row, "done", read_json(folder / result).get("seconds") or None)
        except MerError as error:
            return Piece(fold, seed, row, "failed", error=str(error))
    why = read_failure(folder)
    return Piece(fold, seed, row, "waiting") if why is None else Piece(fold, seed, row, "failed", error=why)
