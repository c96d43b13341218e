"""The parts of one run: every fold, and the network for prediction; what is finished is not trained again."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np
import torch

from mer_pipeline.evaluation.protocols import Fold, inner_splits, split_digest
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inputs.clip_set import ClipSet
from mer_pipeline.inputs.normalise import MEAN, STD
from mer_pipeline.progress import Progress
from mer_pipeline.recipe import Recipe
from mer_pipeline.runs.card import Card, Prediction
from mer_pipeline.runs.claim import Claim, claimed
from mer_pipeline.runs.provenance import versions
from mer_pipeline.runs.results import Calibration, FoldResult, History, UnitScores
from mer_pipeline.runs.run import Run
from mer_pipeline.training.loop import Trained, au_sources, train_network


class Trainer:
    """Trains the parts of one run and keeps count of the epochs."""

    def __init__(
        self,
        clips: ClipSet,
        recipe: Recipe,
        run: Run,
        device: torch.device,
        *,
        folds: Sequence[Fold],
        inner: bool,
        progress: Progress,
        final: bool = True,
    ) -> None:
        """State what is trained.

        Args:
            clips: All clips.
            recipe: How.
            run: What is written to.
            device: Where.
            folds: All that there will be.
            inner: Whether subjects inside each training fold choose the epoch.
            progress: Called after every epoch.
            final: Whether the network for prediction will be trained too.
        """
        self._clips, self._recipe, self._run, self._device, self._folds = clips, recipe, run, device, folds
        self._inner, self._progress = inner, progress
        self._claim: Claim | None = None
        inner_trainings = sum(len(inner_splits(clips.groups, fold.train)) for fold in folds if inner)
        self._total, self._done = (len(folds) + inner_trainings + final) * recipe.epochs, 0

    def unfinished(self) -> list[Fold]:
        """The folds that are still to be trained."""
        return [fold for fold in self._folds if self._finished(fold) is None]

    def _finished(self, fold: Fold) -> FoldResult | None:
        test = [self._clips.clip_ids[row] for row in fold.test]
        return self._run.fold_result(fold.held_out, split_digest([fold], self._clips.clip_ids), test)

    def all_folds(self) -> list[FoldResult]:
        """Train every fold, or read it: first those that no other process trains, then what these have left undone."""
        early = [self.fold(fold, wait=False) for fold in self._folds]
        return [self.fold(fold) if found is None else found for fold, found in zip(self._folds, early, strict=True)]

    @overload
    def fold(self, fold: Fold) -> FoldResult: ...

    @overload
    def fold(self, fold: Fold, *, wait: bool) -> FoldResult | None: ...

    def fold(self, fold: Fold, *, wait: bool = True) -> FoldResult | None:
        """Train one fold, or read what an earlier call left.

        Args:
            fold: Which.
            wait: Whether to wait for another process that trains it, and to go on where that one has ended.

        Returns:
            Its result; None only where another process trains it and `wait` is False.

        Raises:
            MerError: What was left is of other clips.
        """
        splits = inner_splits(self._clips.groups, fold.train) if self._inner else []
        epochs = self._recipe.epochs * (1 + len(splits))
        finished = self._finished(fold)
        if finished is None:
            with self._claimed(self._run.fold_folder(fold.held_out), epochs, wait) as claim:
                if claim is None:
                    return None
                finished = self._finished(fold)  # by a process that was waited for
                if finished is None:
                    return self._train_fold(fold, splits, claim)
        self._advance(epochs, f"{fold.held_out} was finished before")
        return finished

    @contextmanager
    def _claimed(self, folder: Path, epochs: int, wait: bool = True) -> Iterator[Claim | None]:
        with claimed(folder, epochs, wait=wait) as self._claim:
            try:
                yield self._claim
            finally:
                self._claim = None

    def _train_fold(self, fold: Fold, splits: Sequence[tuple[list[int], list[int]]], claim: Claim) -> FoldResult:
        claim.advance(0)
        chosen = self._choose_epoch(fold, splits) if splits else None
        trained = self._train(
            fold.train, fold.test, fold.held_out, self._run.checkpoint(fold.held_out), self._recipe, chosen
        )
        predictions = tuple(self._predictions(fold, trained))
        folder, split = self._run.fold_folder(fold.held_out), split_digest([fold], self._clips.clip_ids)
        selection, aus = "inner" if chosen else "last", self._main_source(trained)
        spotted = tuple(self._prediction(fold, row, logits, selection, aus) for row, logits in trained.spotted.items())
        result = FoldResult(
            folder,
            chosen,
            predictions,
            trained.history,
            split,
            spotted,
            self._aus(fold, trained),
            self._measured(fold, trained),
            round(claim.seconds, 3),
        )
        self._run.write_fold(result, trained.network.state_dict(), self._card(fold.train, fold.held_out))
        return result

    def final(self, calibration: Calibration, chosen_epochs: Sequence[int], units: Mapping[int, UnitScores]) -> None:
        """Train the network for prediction on all subjects.

        Args:
            calibration: For its card.
            chosen_epochs: Of the folds; their median is how long it is trained. Empty for the recipe's epochs.
            units: How well the networks of the folds find Action Units, for its card.
        """
        epochs = round(statistics.median(chosen_epochs)) if chosen_epochs else self._recipe.epochs
        if not self._run.has_final:
            with self._claimed(self._run.folder / "final", epochs):
                if not self._run.has_final:
                    return self._train_final(calibration, epochs, units)
        return self._advance(self._recipe.epochs, "the final network was finished before")

    def _train_final(self, calibration: Calibration, epochs: int, units: Mapping[int, UnitScores]) -> None:
        everyone = range(len(self._clips.clip_ids))
        recipe = replace(self._recipe, epochs=epochs)
        trained = self._train(everyone, (), "final", self._run.checkpoint(None), recipe, None)
        self._advance(self._recipe.epochs - epochs, "the final network is trained")
        card = replace(
            self._card(everyone, None),
            temperature=calibration.temperature,
            least_probability=calibration.sets.least_probability if calibration.sets else None,
            epochs=epochs,
            au_f1={str(number): round(one.f1, 3) for number, one in units.items()},
            au_constant_f1={str(number): round(one.constant_f1, 3) for number, one in units.items()},
        )
        self._run.write_final(trained.network.state_dict(), card)

    def _choose_epoch(self, fold: Fold, splits: Sequence[tuple[list[int], list[int]]]) -> int:
        """The epoch with the highest UF1, mean over the splits, on subjects whom its training did not see."""
        chosen = self._run.chosen_epoch(fold.held_out)
        if chosen is not None:
            self._advance(self._recipe.epochs * len(splits), f"{fold.held_out}: its epoch was chosen before")
            return chosen
        histories = [self._inner_history(fold, number, *parts) for number, parts in enumerate(splits, 1)]
        mean = np.mean([history.test_uf1 for history in histories], axis=0).tolist()
        chosen = 1 + max(range(len(mean)), key=lambda at: (mean[at], at))
        subjects = {self._clips.groups[row] for row in fold.train}
        self._run.write_chosen_epoch(fold.held_out, chosen, subjects, histories)
        return chosen

    def _inner_history(self, fold: Fold, number: int, learn: Sequence[int], choose: Sequence[int]) -> History:
        """What the training on one inner split came to, or what an earlier call left of it."""
        history = self._run.inner_history(fold.held_out, number)
        if history is not None:
            self._advance(self._recipe.epochs, f"{fold.held_out} inner {number} was finished before")
            return history
        # The first has the name, and so the seed, that it had when it was the only one.
        name = f"{fold.held_out} inner" + (f" {number}" if number > 1 else "")
        keep = self._run.checkpoint(fold.held_out)
        history = self._train(learn, choose, name, keep, self._recipe, None).history
        self._run.write_inner_history(fold.held_out, number, history)
        return history

    def _train(
        self, train: Sequence[int], test: Sequence[int], name: str, keep: Path, recipe: Recipe, chosen: int | None
    ) -> Trained:
        # A seed of its own for each fold: a resumed run gives the numbers of an uninterrupted one.
        digest = hashlib.blake2b(f"{recipe.seed}/{name}".encode(), digest_size=4).digest()
        return train_network(
            self._clips,
            train,
            test,
            recipe,
            seed=int.from_bytes(digest, "big"),
            device=self._device,
            on_epoch=lambda epoch, loss: self._advance(1, f"{name} epoch {epoch} loss {loss:.3f}"),
            chosen_epoch=chosen,
            keep=keep,
        )

    def _advance(self, epochs: int, detail: str) -> None:
        self._done += epochs
        if self._claim is not None:
            self._claim.advance(epochs)
        self._progress("train", self._done, self._total, detail)

    def _card(self, rows: Sequence[int], held_out: str | None) -> Card:
        clips, recipe = self._clips, self._recipe
        return Card(
            model=recipe.model,
            network=recipe.network,
            options=recipe.network_options,
            size=clips.size,
            mean=list(MEAN),
            std=list(STD),
            classes=list(clips.classes),
            labels=clips.label_set,
            held_out=held_out,
            seed=recipe.seed,
            epochs=recipe.epochs,
            clips=len(rows),
            subjects=len({clips.groups[row] for row in rows}),
            datasets=clips.dataset_names,
            versions=versions(),
            chain=clips.chain,
            au_trained=[number for number, shown in zip(AU_NUMBERS, self._shown_aus(rows), strict=True) if shown],
        )

    def _shown_aus(self, rows: Sequence[int]) -> list[bool]:
        """Of each Action Unit, whether a clip of these rows is annotated with it."""
        at = torch.tensor(rows)
        return (self._clips.aus[at][self._clips.aus_known[at]] > 0).any(0).tolist()

    def _predictions(self, fold: Fold, trained: Trained) -> list[Prediction]:
        main = self._main_source(trained)
        tables = [("last", aus, table) for aus, table in trained.last.items()]
        tables += [("inner", aus, table) for aus, table in trained.chosen.items()]
        if trained.oracle is not None:
            tables.append(("oracle", main, trained.oracle))
        return [
            self._prediction(fold, row, logits, selection, aus)
            for selection, aus, table in tables
            for row, logits in zip(fold.test, table, strict=True)
        ]

    def _aus(self, fold: Fold, trained: Trained) -> dict[str, list[float]]:
        if trained.aus is None:
            return {}
        each = zip(fold.test, trained.aus.tolist(), strict=True)
        return {self._clips.clip_ids[row]: [round(p, 4) for p in estimate] for row, estimate in each}

    def _measured(self, fold: Fold, trained: Trained) -> dict[str, dict[str, float]]:
        each = {name: values.tolist() for name, values in trained.measured.items()}
        clips = (self._clips.clip_ids[row] for row in fold.test)
        return {clip: {n: round(v[at], 6) for n, v in each.items()} for at, clip in enumerate(clips) if each}

    def _main_source(self, trained: Trained) -> str:
        return self._recipe.aus if "unused" not in au_sources(trained.network) else "unused"

    def _prediction(self, fold: Fold, row: int, logits: torch.Tensor, selection: str, aus: str) -> Prediction:
        classes = self._clips.classes
        return Prediction(
            clip_id=self._clips.clip_ids[row],
            fold=fold.held_out,
            selection=selection,
            aus=aus,
            truth=classes[int(self._clips.labels[row])],
            predicted=classes[int(logits.argmax())],
            probabilities=[round(p, 6) for p in logits.softmax(0).tolist()],
            logits=[round(value, 6) for value in logits.tolist()],
        )
