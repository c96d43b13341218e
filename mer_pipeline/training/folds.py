"""Who is held out: folds from scikit-learn, by `dataset/subject`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import LeaveOneGroupOut

from mer_pipeline.errors import MerError


@dataclass(frozen=True)
class Fold:
    """One split.

    Attributes:
        held_out: The group that is tested, such as `casme2/01`.
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
    names = np.asarray(groups)
    splits = LeaveOneGroupOut().split(names, groups=names)
    return [Fold(str(names[test[0]]), tuple(train.tolist()), tuple(test.tolist())) for train, test in splits]
