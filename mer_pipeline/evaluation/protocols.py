"""Who is held out: folds from scikit-learn by `dataset/subject`, and the guard against leaks between their sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from mer_pipeline.errors import MerError

_DEFAULT_FOLDS = 5
_SPLITS = ("train", "test")


@dataclass(frozen=True)
class Fold:
    """One split.

    Attributes:
        held_out: What is tested, such as the subject `casme2/01`.
        train, test: Row numbers into the clip set, ascending.
    """

    held_out: str
    train: tuple[int, ...]
    test: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.train or not self.test or set(self.train) & set(self.test):
            raise ValueError(f"{self.held_out}: train and test must be non-empty and disjoint")

    @property
    def folder(self) -> str:
        """The fold's name as a folder."""
        return self.held_out.replace("/", "-")


def folds_of(protocol: str, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
    """The folds of a protocol.

    Args:
        protocol: `loso`, `lodo`, `kfold`, `kfold:N`, or a .csv file with a fixed split (see `fixed`).
        clip_ids: `dataset/subject/clip` of every clip.
        groups: `dataset/subject` of every clip.

    Raises:
        MerError: An unknown protocol, or one that these clips cannot be split by.
    """
    name, _, count = protocol.partition(":")
    if protocol.endswith(".csv"):
        return [fixed(Path(protocol), clip_ids, groups)]
    if protocol == "loso":
        return loso(groups)
    if protocol == "lodo":
        return lodo(groups)
    if name == "kfold" and (not count or count.isdecimal()):
        return kfold(groups, int(count or _DEFAULT_FOLDS))
    raise MerError(f"unknown protocol {protocol!r}", fix="choose loso, lodo, kfold:N or a .csv file with a split")


def loso(groups: Sequence[str]) -> list[Fold]:
    """Leave one subject out: one fold a subject.

    Args:
        groups: `dataset/subject` of every clip.

    Raises:
        MerError: There is only one subject.

    >>> [fold.held_out for fold in loso(["a/1", "a/2", "a/1"])]
    ['a/1', 'a/2']
    """
    if len(set(groups)) < 2:
        raise MerError("leave-one-subject-out needs at least two subjects", fix="preprocess more clips")
    return _leave_out(groups)


def lodo(groups: Sequence[str]) -> list[Fold]:
    """Leave one dataset out: one fold a dataset.

    >>> [(fold.held_out, fold.test) for fold in lodo(["a/1", "b/1", "a/2"])]
    [('a', (0, 2)), ('b', (1,))]
    """
    datasets = [group.split("/")[0] for group in groups]
    if len(set(datasets)) < 2:
        raise MerError(
            "leave-one-dataset-out needs at least two datasets", fix="preprocess another set into the same cache"
        )
    return _leave_out(datasets)


def kfold(groups: Sequence[str], count: int) -> list[Fold]:
    """Subjects in `count` parts of about as many clips each; one fold a part.

    >>> [fold.held_out for fold in kfold(["a/1", "a/2", "a/3", "a/4"], 2)]
    ['fold-1', 'fold-2']
    """
    subjects = len(set(groups))
    if not 2 <= count <= subjects:
        raise MerError(f"{subjects} subjects cannot be split into {count} folds", fix="choose 2 folds or more, fewer")
    splits = GroupKFold(count).split(groups, groups=groups)
    return [Fold(f"fold-{n}", tuple(train.tolist()), tuple(test.tolist())) for n, (train, test) in enumerate(splits, 1)]


def fixed(path: Path, clip_ids: Sequence[str], groups: Sequence[str]) -> Fold:
    """One split that a table names.

    Args:
        path: A .csv file with the columns `split` (`train` or `test`) and `clip` (`dataset/subject/clip`) or `subject`
            (`dataset/subject`). Clips that it does not name take no part.
        clip_ids: `dataset/subject/clip` of every clip.
        groups: `dataset/subject` of every clip.

    Raises:
        MerError: The table is unreadable, names something that is not there, or leaves a side empty.
    """
    try:
        table = pd.read_csv(path, dtype="string")
    except (OSError, ValueError):
        raise MerError("not a readable table", where=path, fix="give a .csv with the columns clip and split") from None
    column = next((name for name in ("clip", "subject") if name in table.columns), None)
    if column is None or "split" not in table.columns:
        raise MerError("lacks a column", where=path, fix="it needs the columns split, and clip or subject")
    of_clip = list(clip_ids if column == "clip" else groups)
    sides: dict[str, set[str]] = {side: set(table.loc[table["split"] == side, column].dropna()) for side in _SPLITS}
    if wrong := sorted(set(table["split"].fillna("")) - set(_SPLITS)):
        raise MerError(f"split {wrong[0]!r} is unknown", where=path, fix="write train or test")
    if unknown := sorted((sides["train"] | sides["test"]) - set(of_clip)):
        raise MerError(f"the cache has no {column} {unknown[0]!r}", where=path, fix="write ids as mer prints them")
    if both := sorted(sides["train"] & sides["test"]):
        raise MerError(f"{both[0]} is on both sides", where=path, fix="name it once")
    train, test = (tuple(row for row, name in enumerate(of_clip) if name in sides[side]) for side in _SPLITS)
    if not train or not test:
        raise MerError("leaves a side empty", where=path, fix="name clips for train and for test")
    return Fold(path.stem, train, test)


def inner_split(groups: Sequence[str], train: Sequence[int]) -> tuple[list[int], list[int]]:
    """Part the training clips of a fold by subject: four fifths to train on, one fifth to choose the epoch by.

    Returns:
        Row numbers of both parts, ascending.

    Raises:
        MerError: There are not two training subjects.
    """
    own = [groups[row] for row in train]
    if len(set(own)) < 2:
        raise MerError("choosing the epoch inside a fold needs two training subjects", fix="use --select last")
    learn, choose = next(iter(GroupKFold(min(5, len(set(own)))).split(own, groups=own)))
    return [train[at] for at in learn], [train[at] for at in choose]


def guard(folds: Iterable[Fold], clip_ids: Sequence[str], groups: Sequence[str], images: torch.Tensor) -> None:
    """Refuse folds that let anything of a test clip into training.

    Args:
        folds: What is going to be trained.
        clip_ids: `dataset/subject/clip` of every clip.
        groups: `dataset/subject` of every clip.
        images: (n, F, ...) what the network looks at; one with equal content is the same picture whatever its clip is
            called, except an even one, as flow is where nothing moved.

    Raises:
        MerError: A subject, a clip or a picture is on both sides of a fold.
    """
    prints = [
        {
            hashlib.blake2b(picture.numpy().tobytes(), digest_size=16).digest()
            for picture in clip.contiguous()
            if picture.min() != picture.max()
        }
        for clip in images
    ]
    for fold in folds:
        seen = {picture: row for row in fold.train for picture in prints[row]}
        subjects, clips = {groups[row] for row in fold.train}, {clip_ids[row] for row in fold.train}
        for row in fold.test:
            where = f"fold {fold.held_out}"
            if groups[row] in subjects:
                raise MerError(f"leak: subject {groups[row]} is on both sides", where=where, fix="split by subject")
            if clip_ids[row] in clips:
                raise MerError(f"leak: clip {clip_ids[row]} is on both sides", where=where, fix="split by subject")
            same = next((seen[picture] for picture in prints[row] if picture in seen), None)
            if same is not None:
                raise MerError(
                    f"leak: {clip_ids[row]} and {clip_ids[same]} hold the same picture, on both sides",
                    where=where,
                    fix="remove one of them from the data",
                )


def _leave_out(names: Sequence[str]) -> list[Fold]:
    array = np.asarray(names)
    splits = LeaveOneGroupOut().split(array, groups=array)
    return [Fold(str(array[test[0]]), tuple(train.tolist()), tuple(test.tolist())) for train, test in splits]
