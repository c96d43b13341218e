"""Who is held out: the protocols, one class each.

A protocol is a splitter with scikit-learn's interface, `split(X, y, groups)` and `get_n_splits(X, y, groups)`: `X` has
clip ids, `groups` has subjects as `dataset/subject`. One more protocol is one more class with `@register`: its help and
errors in `--protocol` and the words of reports follow from it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mer_pipeline.choices import SELECTIONS
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.challenges import DfmeTests, SixDatasetsOut
from mer_pipeline.evaluation.splitter import Fold, Protocol, leave_out
from mer_pipeline.reading import read_text

__all__ = [
    "PROTOCOLS",
    "Fold",
    "Protocol",
    "check_selection",
    "folds_of",
    "inner_splits",
    "parse_protocol",
    "protocol_help",
    "protocol_label",
    "protocol_sentence",
    "register",
    "split_digest",
]
_SIDES = ("train", "test")


PROTOCOLS: list[type[Protocol]] = []


def register(protocol: type[Protocol]) -> type[Protocol]:
    """Class decorator: make a protocol known."""
    PROTOCOLS.append(protocol)
    return protocol


@register
class LeaveOneSubjectOut(Protocol):
    """One fold a subject.

    >>> [fold.held_out for fold in LeaveOneSubjectOut().folds(["a/1/x", "a/2/x", "a/1/y"], ["a/1", "a/2", "a/1"])]
    ['a/1', 'a/2']
    """

    usage, help = "loso", "a subject"
    label, sentence = "LOSO", "each holding out one subject (LOSO)"

    @classmethod
    def parse(cls, text: str) -> Protocol | None:
        """`loso`."""
        return cls() if text == "loso" else None

    def folds(self, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
        """Each named as its subject."""
        if len(set(groups)) < 2:
            raise MerError("leave-one-subject-out needs at least two subjects", fix="preprocess more clips")
        return leave_out(groups)


@register
class LeaveOneDatasetOut(Protocol):
    """One fold a dataset.

    >>> folds = LeaveOneDatasetOut().folds(["a/1/x", "b/1/x", "a/2/x"], ["a/1", "b/1", "a/2"])
    >>> [(fold.held_out, fold.test) for fold in folds]
    [('a', (0, 2)), ('b', (1,))]
    """

    usage, help = "lodo", "a dataset"
    label, sentence = "LODO", "each holding out one dataset (LODO)"

    @classmethod
    def parse(cls, text: str) -> Protocol | None:
        """`lodo`."""
        return cls() if text == "lodo" else None

    def folds(self, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
        """Each named as its dataset."""
        datasets = [group.split("/")[0] for group in groups]
        if len(set(datasets)) < 2:
            raise MerError(
                "leave-one-dataset-out needs at least two datasets", fix="preprocess another set into the same cache"
            )
        return leave_out(datasets)


@register
@dataclass(frozen=True)
class SubjectFolds(Protocol):
    """Subjects in `count` parts; one fold a part.

    Of several trainings the first has parts of about as many clips each, the others parts of as many subjects each,
    dealt at random: what one way of parting does to a score is seen as a spread over seeds.

    >>> [fold.held_out for fold in SubjectFolds(2).folds(["a/1/x", "a/2/x", "a/3/x"], ["a/1", "a/2", "a/3"])]
    ['fold-1', 'fold-2']
    """

    usage, help = "kfold:N", "one of N parts of the subjects"
    count: int = 5
    deal: int = 0

    @classmethod
    def parse(cls, text: str) -> Protocol | None:
        """`kfold` or `kfold:N`."""
        name, _, count = text.partition(":")
        if name != "kfold" or (count and not count.isdecimal()):
            return None
        return cls(int(count)) if count else cls()

    def dealt(self, training: int) -> Protocol:
        """Parted anew."""
        return replace(self, deal=training)

    def folds(self, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
        """Numbered from 1."""
        import numpy as np
        from sklearn.model_selection import GroupKFold

        subjects, count = len(set(groups)), self.count
        if not 2 <= count <= subjects:
            raise MerError(
                f"{subjects} subjects cannot be split into {count} folds",
                fix=f"choose kfold:2 to kfold:{subjects}" if subjects > 1 else "preprocess more subjects",
            )
        parted = groups
        if self.deal:
            names = sorted(set(groups))
            order = np.random.default_rng(self.deal).permutation(subjects)
            parts = {name: int(at) % count for name, at in zip(names, order, strict=True)}
            parted = [str(parts[group]) for group in groups]
        splits = enumerate(GroupKFold(count).split(groups, groups=parted), 1)
        return [Fold(f"fold-{n}", tuple(train.tolist()), tuple(test.tolist())) for n, (train, test) in splits]


@register
@dataclass(frozen=True)
class FixedSplit(Protocol):
    """One fold that a table names.

    Attributes:
        path: A .csv file with the columns `split` (`train` or `test`) and `clip` (`dataset/subject/clip`) or `subject`
            (`dataset/subject`). Clips that it does not name take no part.
    """

    usage, help = "a .csv file with a split", "what the file says"
    path: Path

    @classmethod
    def parse(cls, text: str) -> Protocol | None:
        """The name of a .csv file."""
        return cls(Path(text)) if text.endswith(".csv") else None

    def folds(self, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
        """One, named as the file."""
        import pandas as pd

        path = self.path
        try:
            table = pd.read_csv(io.StringIO(read_text(path)), dtype="string")
        except (OSError, ValueError, MerError):
            raise MerError(
                "not a readable table", where=path, fix="give a .csv with the columns clip and split"
            ) from None
        column = next((name for name in ("clip", "subject") if name in table.columns), None)
        if column is None or "split" not in table.columns:
            raise MerError("lacks a column", where=path, fix="it needs the columns split, and clip or subject")
        of_clip = list(clip_ids if column == "clip" else groups)
        sides: dict[str, set[str]] = {side: set(table.loc[table["split"] == side, column].dropna()) for side in _SIDES}
        if wrong := sorted(set(table["split"].fillna("")) - set(_SIDES)):
            raise MerError(f"split {wrong[0]!r} is unknown", where=path, fix="write train or test")
        if unknown := sorted((sides["train"] | sides["test"]) - set(of_clip)):
            raise MerError(f"the cache has no {column} {unknown[0]!r}", where=path, fix="write ids as mer prints them")
        if both := sorted(sides["train"] & sides["test"]):
            raise MerError(f"{both[0]} is on both sides", where=path, fix="name it once")
        train, test = (tuple(row for row, name in enumerate(of_clip) if name in sides[side]) for side in _SIDES)
        if not train or not test:
            raise MerError("leaves a side empty", where=path, fix="name clips for train and for test")
        return [Fold(path.stem, train, test)]


register(SixDatasetsOut)
register(DfmeTests)


def parse_protocol(text: str) -> Protocol:
    """The protocol that was written after `--protocol`.

    Raises:
        MerError: There is none of this name.
    """
    for protocol in PROTOCOLS:
        if (found := protocol.parse(text)) is not None:
            return found
    raise MerError(f"unknown protocol {text!r}", fix=f"choose {_either(one.usage for one in PROTOCOLS)}")


def protocol_help() -> str:
    """What can be written after `--protocol`, and what each holds out."""
    return f"Who is held out: {_either(f'{one.usage} ({one.help})' for one in PROTOCOLS)}."


def protocol_label(text: str) -> str:
    """The name in a line of results of what was written after `--protocol`, such as `LOSO`."""
    return next((one.label for one in PROTOCOLS if one.label and one.parse(text)), text)


def protocol_sentence(text: str) -> str:
    """How reports go on after "N folds, "; also for a protocol that this version does not know."""
    return next((one.sentence for one in PROTOCOLS if one.sentence and one.parse(text)), f"split by {text}")


def folds_of(protocol: str, clip_ids: Sequence[str], groups: Sequence[str], training: int = 0) -> list[Fold]:
    """The folds of what was written after `--protocol`, for one of several trainings.

    Raises:
        MerError: An unknown protocol, or one that these clips cannot be split by.
    """
    return parse_protocol(protocol).dealt(training).folds(clip_ids, groups)


def split_digest(folds: Iterable[Fold], clip_ids: Sequence[str]) -> str:
    """A digest of the clips on both sides of folds: a resumed run must have the same."""
    sides = [[fold.held_out, *([clip_ids[row] for row in side] for side in (fold.train, fold.test))] for fold in folds]
    return hashlib.blake2b(json.dumps(sides).encode(), digest_size=16).hexdigest()


def check_selection(select: str) -> None:
    """Refuse a way of choosing the epoch that there is none of.

    Raises:
        MerError: It is not in `SELECTIONS`.
    """
    if select not in SELECTIONS:
        raise MerError(f"select = {select!r} is unknown", fix=f"choose one of {', '.join(SELECTIONS)}")


def _either(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


def inner_splits(groups: Sequence[str], train: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Part the training clips of a fold by subject, five times: what is trained on, and a fifth to choose the epoch by.

    Returns:
        Row numbers of both parts, ascending; every training subject chooses in one of them. Fewer than five subjects
        are left out one at a time.

    Raises:
        MerError: There are not two training subjects.
    """
    from sklearn.model_selection import GroupKFold

    own = [groups[row] for row in train]
    if len(set(own)) < 2:
        raise MerError("choosing the epoch inside a fold needs two training subjects", fix="use --select last")
    parts = GroupKFold(min(5, len(set(own)))).split(own, groups=own)
    return [([train[at] for at in learn], [train[at] for at in choose]) for learn, choose in parts]
