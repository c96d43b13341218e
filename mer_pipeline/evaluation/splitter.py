"""What a protocol is: a splitter with scikit-learn's interface, whose words help, errors and reports use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:  # the command line reads the words of protocols at its start, and these take seconds to import
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]


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


class Protocol(ABC):
    """A way to hold clips out.

    Attributes:
        usage: What is written after `--protocol`, such as `kfold:N`.
        help: What is held out, in a few words.
        label: Its name in a line of results, such as `LOSO`; empty for what was written after `--protocol`.
        sentence: How reports go on after "N folds, "; empty for "split by" and what was written.
        units: The Action Units over which it averages binary F1; none where it does not.
    """

    usage: ClassVar[str]
    help: ClassVar[str]
    label: ClassVar[str] = ""
    sentence: ClassVar[str] = ""
    units: ClassVar[tuple[int, ...]] = ()

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> Protocol | None:
        """The protocol that was written after `--protocol`; None where it is another."""

    @abstractmethod
    def folds(self, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
        """The folds of some clips.

        Args:
            clip_ids: (n,) `dataset/subject/clip`.
            groups: (n,) `dataset/subject`.

        Raises:
            MerError: These clips cannot be split so.
        """

    def dealt(self, training: int) -> Protocol:
        """The protocol of one of several trainings, from 0; another where subjects can be parted in several ways."""
        del training
        return self

    def split(
        self, X: Sequence[str], y: object = None, groups: Sequence[str] | None = None
    ) -> Iterator[tuple[Rows, Rows]]:
        """The folds for scikit-learn: row numbers of training and of test clips.

        Args:
            X: (n,) clip ids.
            y: Not used.
            groups: (n,) `dataset/subject`; None to take them from the clip ids.
        """
        import numpy as np

        for fold in self.folds(X, groups if groups is not None else groups_of(X)):
            yield np.array(fold.train, np.int64), np.array(fold.test, np.int64)

    def get_n_splits(self, X: Sequence[str], y: object = None, groups: Sequence[str] | None = None) -> int:
        """How many folds there are, for scikit-learn."""
        return sum(1 for _ in self.split(X, y, groups))


def groups_of(clip_ids: Sequence[str]) -> list[str]:
    """`dataset/subject` of every clip."""
    return [clip.rpartition("/")[0] for clip in clip_ids]


def leave_out(names: Sequence[str]) -> list[Fold]:
    """One fold a name, which holds out its rows."""
    import numpy as np
    from sklearn.model_selection import LeaveOneGroupOut

    array = np.asarray(names)
    splits = LeaveOneGroupOut().split(array, groups=array)
    return [Fold(str(array[test[0]]), tuple(train.tolist()), tuple(test.tolist())) for train, test in splits]
