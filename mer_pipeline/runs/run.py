"""A run folder: training writes it; comparison, reports and prediction read it.

    RUN/run.json                 what was run: recipe, data, versions, hardware, command, commit
    RUN/predictions.csv          one row a clip, selection and AU source, joined by clip_id
    RUN/metrics.json             scores of the pooled predictions; written last
    RUN/controls.csv             what the controls predict of every clip
    RUN/folds/<fold>/            weights.safetensors, card.json, result.json (predictions and history; written last),
                                 inner.json where subjects inside the training fold chose the epoch
    RUN/final/                   weights.safetensors and card.json of the network trained on all subjects
    RUN/tensorboard/<fold>/      event files, where they were asked for

While a fold or the final network is trained, its folder also has `lock` and `under-way.json`; `failed.json` says why
the last try ended (see `claim`).

With several seeds, RUN/seed-<n>/ is a run folder each, and RUN/metrics.json has their mean.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch

from mer_pipeline.cache import create_atomically, is_temporary, remove_leftovers, write_atomically
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.networks.heads import present_head
from mer_pipeline.networks.registry import present_name
from mer_pipeline.reading import digest_of, json_bytes, read_bytes, read_json, well_formed
from mer_pipeline.runs.card import Card, Prediction, write_json
from mer_pipeline.runs.facts import Facts
from mer_pipeline.runs.folders import fold_folders
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.results import FoldResult, History
from mer_pipeline.runs.weights import load_network, save_network

T = TypeVar("T")

# What a recipe meant before it said so.
_OLDER = {
    "au_start": "even",
    "au_weights": "none",
    "angle_weight_decay": 0.0,
    "padding": "border",
    "select": "last",
    "prior": "none",
    "start": "",
}

_FACTS, _METRICS, _RESULT, _INNER = "run.json", "metrics.json", "result.json", "inner.json"
_PREDICTIONS, _CONTROLS = "predictions.csv", "controls.csv"


@dataclass(frozen=True)
class Run:
    """A finished run; `Run.create` gives one that is under way. A file is read, and checked, when it is first needed.

    Attributes:
        folder: Where it lies.
        under_way: Whether it may be unfinished: what training writes to.

    Raises:
        MerError: The folder holds no run, or one that is not finished; on reading, a file that is damaged.
    """

    folder: Path
    under_way: bool = field(default=False, kw_only=True, repr=False, compare=False)

    @os_errors()
    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if self.under_way or (self.folder / _METRICS).is_file():
            return
        begun = (self.folder / _FACTS).is_file()
        raise MerError(
            "this run is not finished" if begun else "not a run folder",
            where=self.folder,
            fix="finish it with the same mer train command" if begun else "give the folder that mer train wrote",
        )

    def __fspath__(self) -> str:
        """Its folder: a run may stand wherever a path may."""
        return str(self.folder)

    @classmethod
    def create(cls, folder: Path, facts: Facts) -> Run:
        """Begin a run, or go on with the one that the folder holds.

        Args:
            folder: Created with mode 0700.
            facts: What is run; of a folder that exists, the part that makes it this run must be equal.

        Raises:
            MerError: The folder holds something else.
        """
        path = folder / _FACTS
        if folder.exists() and (not folder.is_dir() or not _is_run_or_empty(folder)):
            raise MerError("exists and is not a run folder", where=folder, fix="choose another --out")
        if not path.is_file() and create_atomically(path, json_bytes(facts.as_json())):
            return cls(folder, under_way=True)
        before = _with_present_name(read_json(path))
        # An older version did not record its folds; each of them is compared when it is read.
        known = {key: value for key, value in facts.identity().items() if key in before or key != "split"}
        if differing := [key for key, value in known.items() if before.get(key) != value]:
            what = " and ".join(differing)
            raise MerError(f"this folder holds a run with another {what}", where=folder, fix="choose another --out")
        remove_leftovers(folder)
        return cls(folder, under_way=True)

    def check(self) -> Run:
        """Read everything, so that nothing that uses this run meets a damaged file later.

        Raises:
            MerError: Something is absent or damaged, or does not fit the rest.
        """
        folds = self.trainings[0].folder / "folds"
        if self.facts and len(self.folds) != self.metrics.fold_count:
            raise MerError(
                f"holds {len(self.folds)} finished folds of {self.metrics.fold_count}", where=folds, fix="train again"
            )
        tested = frozenset[str]().union(*(fold.clips for fold in self.folds))
        if homeless := {p.clip_id for p in self.predictions} - tested:
            raise MerError(f"no fold held out {min(homeless)}", where=folds, fix="train again")
        if len({p.clip_id for p in self.predictions}) < len(self.predictions):
            raise MerError("a clip is counted twice", where=folds, fix="train again in a new folder")
        return self

    # What a finished run holds.

    @cached_property
    def facts(self) -> Facts:
        """What was run: `run.json`."""
        return self._read(_FACTS, Facts.from_json)

    @cached_property
    def metrics(self) -> Metrics:
        """What it came to: `metrics.json`."""
        return self._read(_METRICS, Metrics.from_json)

    @cached_property
    def trainings(self) -> tuple[Run, ...]:
        """One run a seed; this run itself where there is one seed."""
        return tuple(Run(self.seed_folder(seed.number)) for seed in self.metrics.seeds) or (self,)

    @cached_property
    def folds(self) -> tuple[FoldResult, ...]:
        """The folds in the order of their folders; of the first seed, as those of others are in `trainings`."""
        folder = self.trainings[0].folder / "folds"
        return tuple(_fold_result(path) for path in sorted(folder.glob(f"*/{_RESULT}")))

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """The predictions that no test clip had a say in, one a clip; of the first seed, as `folds`."""
        rows = _rows(self.trainings[0].folder / _PREDICTIONS)
        judged = (self.metrics.honest_selection, self.metrics.aus)
        with well_formed(self.trainings[0].folder / _PREDICTIONS):
            chosen = [row for row in rows if (row["selection"], row["aus"]) == judged]
            if not chosen:
                raise ValueError(f"holds no prediction of the selection {judged[0]} with Action Units {judged[1]}")
            return tuple(_prediction(row, self.metrics.classes) for row in chosen)

    @cached_property
    def control_predictions(self) -> Mapping[str, Mapping[str, str]]:
        """Control -> clip_id -> class that it predicts; of the first seed."""
        path = self.trainings[0].folder / _CONTROLS
        found: dict[str, dict[str, str]] = defaultdict(dict)
        rows = _rows(path)
        with well_formed(path):
            for row in rows:
                found[row["control"]][row["clip_id"]] = row["predicted"]
        return dict(found)

    # Where the parts lie.

    def fold_folder(self, held_out: str) -> Path:
        """The folder of a fold; of a run with several seeds, of the first."""
        run = (self if self.under_way else self.trainings[0]).folder
        present, *older = fold_folders(run, held_out)
        for folder in older:
            if (folder / _RESULT).is_file() and _fold_result(folder / _RESULT).held_out == held_out:
                return folder
        return present

    def seed_folder(self, seed: int) -> Path:
        """The run folder of one of several seeds."""
        return self.folder / f"seed-{seed}"

    def checkpoint(self, held_out: str | None) -> Path:
        """Where the training of a fold is kept while it is under way; None for the final network."""
        return (self.folder / "final" if held_out is None else self.fold_folder(held_out)) / "under-way.safetensors"

    def tensorboard(self, held_out: str) -> Path:
        """The folder of a fold's event files."""
        return self.folder / "tensorboard" / self.fold_folder(held_out).name

    # What training writes, and asks for when it goes on.

    def fold_result(self, held_out: str, split: str, test: Collection[str]) -> FoldResult | None:
        """A fold that was finished before; None where there is none, or where its files are damaged.

        Args:
            held_out: Its name.
            split: Digest of the clips that it is trained and tested on.
            test: The ids of its test clips, by which the fold of an older version is known.

        Raises:
            MerError: It was trained or tested on others.
        """
        path = self.fold_folder(held_out) / _RESULT
        if not path.is_file():
            return None
        try:
            load_network(path.parent)
            found = _fold_result(path)
        except MerError:
            return None  # trained again
        if found.clips != frozenset(test) or found.split not in ("", split):
            raise MerError(
                f"fold {held_out} was trained or tested on other clips", where=path, fix="choose another --out"
            )
        return found

    def write_fold(self, result: FoldResult, state: dict[str, torch.Tensor], card: Card) -> None:
        """Write a fold; its result last, so that a result means a finished fold."""
        save_network(result.folder, state, card)
        write_json(result.folder / _RESULT, result.as_json())

    def chosen_epoch(self, held_out: str) -> int | None:
        """The epoch of a fold, from 1, that was chosen before inside its training clips."""
        path = self.fold_folder(held_out) / _INNER
        if not path.is_file():
            return None
        try:
            return _read_as(path, lambda values: int(values["chosen_epoch"]))
        except MerError:
            return None  # chosen again

    def write_chosen_epoch(
        self, held_out: str, epoch: int, subjects: Iterable[str], histories: Sequence[History]
    ) -> None:
        """Write which epoch was chosen for a fold, and by whom; the trainings that chose are then no longer kept."""
        values = {
            "chosen_epoch": epoch,
            "subjects": sorted(subjects),
            "histories": [one.as_json() for one in histories],
        }
        write_json(self.fold_folder(held_out) / _INNER, values)
        for number in range(1, len(histories) + 1):
            self._inner_file(held_out, number).unlink(missing_ok=True)

    def inner_history(self, held_out: str, number: int) -> History | None:
        """A training inside a fold that was finished before, while others that choose its epoch are not."""
        path = self._inner_file(held_out, number)
        try:
            return _read_as(path, History.from_json) if path.is_file() else None
        except MerError:
            return None  # trained again

    def write_inner_history(self, held_out: str, number: int, history: History) -> None:
        """Write a finished training inside a fold."""
        write_json(self._inner_file(held_out, number), history.as_json())

    def _inner_file(self, held_out: str, number: int) -> Path:
        return self.fold_folder(held_out) / f"inner-{number}.json"

    @property
    def has_final(self) -> bool:
        """Whether the network for prediction is finished, and whole."""
        if not (self.folder / "final" / "card.json").is_file():  # written after the weights
            return False
        try:
            load_network(self.folder / "final")
        except MerError:
            return False
        return True

    def write_final(self, state: dict[str, torch.Tensor], card: Card) -> None:
        """Write the network for prediction."""
        save_network(self.folder / "final", state, card)

    def write_predictions(self, predictions: Iterable[Prediction], classes: Sequence[str]) -> None:
        """Write what the networks predicted of their test clips."""
        header = ["clip_id", "fold", "selection", "aus", "truth", "predicted", *(f"p_{name}" for name in classes)]
        rows = ([p.clip_id, p.fold, p.selection, p.aus, p.truth, p.predicted, *p.probabilities] for p in predictions)
        _write_rows(self.folder / _PREDICTIONS, header, rows)

    def write_controls(self, guesses: Mapping[str, Mapping[str, str]]) -> None:
        """Write what the controls predicted: control -> clip_id -> class."""
        rows = ((clip, name, guess) for name, of_clips in guesses.items() for clip, guess in of_clips.items())
        _write_rows(self.folder / _CONTROLS, ["clip_id", "control", "predicted"], rows)

    def finish(self, metrics: Metrics) -> Run:
        """Write the scores; the finished run."""
        tables = [path for name in (_PREDICTIONS, _CONTROLS) if (path := self.folder / name).is_file()]
        files = {path.name: digest_of(path.read_bytes()) for path in tables}
        write_json(self.folder / _METRICS, {**metrics.as_json(), "files": files})
        return Run(self.folder)

    def _read(self, name: str, of: Callable[[Mapping[str, Any]], T]) -> T:
        return _read_as(self.folder / name, of)


def _read_as(path: Path, of: Callable[[Mapping[str, Any]], T]) -> T:
    values = read_json(path)
    with well_formed(path):
        return of(values)


def _with_present_name(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run whose network or head may be called by an earlier name, with what an older version did."""
    recipe = facts.get("recipe")
    if not isinstance(recipe, dict) or "network" not in recipe:
        return facts
    options = dict(recipe.get("options") or {})
    if "head" in options:
        options["head"] = present_head(str(options["head"]))
    elif "au_input" in options:
        options["head"] = "literal"
    recipe = {**_OLDER, **recipe, "options": options}
    return {**facts, "recipe": {**recipe, "network": present_name(str(recipe["network"]))}}


def _is_run_or_empty(folder: Path) -> bool:
    """Whether a run may be here; another process may be creating it, and has only begun to write."""
    entries = list(folder.iterdir())
    return folder / _FACTS in entries or all(is_temporary(path) for path in entries)


def _fold_result(path: Path) -> FoldResult:
    return _read_as(path, lambda values: FoldResult.from_json(values, folder=path.parent))


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table of a run, which its metrics have a digest of."""
    known = read_json(path.with_name(_METRICS)).get("files", {})
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        raise MerError("absent or unreadable", where=path, fix="train again") from None
    with well_formed(path):
        if known.get(path.name, digest_of(content)) != digest_of(content):
            raise ValueError("its digest differs from the one in metrics.json")
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row of another length than its header")
        return rows


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    write_atomically(path, text.getvalue().encode())


def _prediction(row: Mapping[str, str], classes: Sequence[str]) -> Prediction:
    probabilities = [float(row[f"p_{name}"]) for name in classes]
    if not all(0 <= p <= 1 for p in probabilities):
        raise ValueError(f"the probabilities of {row['clip_id']} are not in 0..1")
    for name in (row["truth"], row["predicted"]):
        classes.index(name)
    return Prediction(
        clip_id=row["clip_id"],
        fold=row["fold"],
        selection=row["selection"],
        aus=row["aus"],
        truth=row["truth"],
        predicted=row["predicted"],
        probabilities=probabilities,
    )
