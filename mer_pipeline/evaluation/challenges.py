"""Protocols that a paper or a challenge defined for sets of its own."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.splitter import Fold, Protocol, leave_out


class SixDatasetsOut(Protocol):
    """One fold each of six sets, for Action Units: CD6ME (Varanka et al. 2022, "Data leakage and evaluation issues").

    Its score is binary F1 over all held-out clips, averaged over twelve Action Units. Clips of other sets take no part.
    """

    usage, help = "cd6me", "one of six sets, scored by Action Units"
    label, sentence = "CD6ME", "each holding out one of six datasets (CD6ME)"
    units = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)
    sets = ("casme", "casme2", "samm", "4dme", "mmew", "casme3")

    @classmethod
    def parse(cls, text: str) -> Protocol | None:
        """`cd6me`."""
        return cls() if text == "cd6me" else None

    def folds(self, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
        """Each named as its dataset."""
        datasets = [group.partition("/")[0] for group in groups]
        if missing := [name for name in self.sets if name not in datasets]:
            fix = "preprocess them into it, or choose lodo"
            raise MerError(f"cd6me needs {', '.join(self.sets)}; not in the cache: {', '.join(missing)}", fix=fix)
        rows = [row for row, name in enumerate(datasets) if name in self.sets]
        folds = leave_out([datasets[row] for row in rows])
        return [Fold(f.held_out, tuple(rows[at] for at in f.train), tuple(rows[at] for at in f.test)) for f in folds]


class DfmeTests(Protocol):
    """The split of the challenge of DFME (CCAC): its training part, and its tests A and B.

    >>> groups = ["dfme/0001", "dfme/A0001", "dfme/B0001", "dfme/0002"]
    >>> [(fold.held_out, fold.train, fold.test) for fold in DfmeTests().folds(groups, groups)]
    [('dfme/testA', (0, 3), (1,)), ('dfme/testB', (0, 3), (2,))]
    """

    usage, help = "dfme-ccac", "the tests A and B of DFME"
    sentence = "the tests A and B of DFME, by networks of its training part"

    @classmethod
    def parse(cls, text: str) -> Protocol | None:
        """`dfme-ccac`."""
        return cls() if text == "dfme-ccac" else None

    def folds(self, clip_ids: Sequence[str], groups: Sequence[str]) -> list[Fold]:
        """One a test that the cache has."""
        parts: dict[str, list[int]] = {}
        for row, group in enumerate(groups):
            if group.startswith("dfme/"):
                parts.setdefault(group[5] if group[5] in "AB" else "", []).append(row)
        train = tuple(parts.pop("", ()))
        if not train or not parts:
            raise MerError("dfme-ccac needs the training part of DFME and a test", fix="preprocess them into the cache")
        return [Fold(f"dfme/test{letter}", train, tuple(parts[letter])) for letter in sorted(parts)]
