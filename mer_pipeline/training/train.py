"""A whole run: every fold, the network for prediction, and the run folder; resumed where it was interrupted."""

from __future__ import annotations

import csv
import hashlib
import io
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import mer_pipeline
from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.device import choose_device, hardware
from mer_pipeline.errors import MerError
from mer_pipeline.networks.normalise import MEAN, STD
from mer_pipeline.progress import Progress, silent
from mer_pipeline.runs import Card, Prediction, read_json, save_network, write_json
from mer_pipeline.training.data import ClipSet
from mer_pipeline.training.folds import Fold, loso
from mer_pipeline.training.loop import Trained, au_sources, train_network
from mer_pipeline.training.metrics import intervals, scores
from mer_pipeline.training.recipe import Recipe

OPTIMISTIC = "optimistic: epoch chosen on the test fold"


def train(
    clips: ClipSet,
    recipe: Recipe,
    run: Path,
    *,
    device: str = "auto",
    command: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Leave-one-subject-out training; finished folds of an interrupted run are not trained again.

    Args:
        clips: The clips in memory.
        recipe: Which network, trained how.
        run: The run folder; created with mode 0700.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        command: What the user typed, for the record.
        progress: Told after every epoch.

    Returns:
        The summary that `mer train --json` prints.

    Raises:
        MerError: The run folder belongs to another run, the device is absent, or there is only one subject.
    """
    started = time.monotonic()
    chosen = choose_device(device)
    folds = loso(clips.groups)
    _open_run(run, clips, recipe, chosen, command)
    trainer = _Trainer(clips, recipe, run, chosen, len(folds) + 1, progress)
    results = [trainer.fold(fold) for fold in folds]
    trainer.final()
    predictions = [Prediction(**p) for result in results for p in result["predictions"]]
    _write_predictions(run / "predictions.csv", predictions, clips.classes)
    # Angles that were learned without a held-out subject's clips, averaged over folds per layer.
    last_angles = [result["history"]["theta_deg"][-1] for result in results]
    summary = {
        "run": str(run),
        "model": recipe.model,
        "attention": recipe.as_json()["options"].get("attention"),
        "protocol": "loso",
        "labels": clips.protocol,
        "classes": list(clips.classes),
        "folds": len(folds),
        "clips": len(clips.clip_ids),
        "selection": "last",
        **pooled(predictions, clips.classes, recipe.aus),
        "theta_deg": _mean_angles_deg(last_angles),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(run / "metrics.json", summary)
    return summary


def pooled(predictions: Sequence[Prediction], classes: Sequence[str], aus: str) -> dict[str, Any]:
    """Scores over the pooled predictions of all folds: the last epoch, then the optimistic choice beside it."""
    sources = {p.aus for p in predictions if p.selection == "last"}
    main = aus if aus in sources else "unused"

    def of(rows: Sequence[Prediction]) -> dict[str, Any]:
        return scores([p.truth for p in rows], [p.predicted for p in rows], classes)

    def brief(rows: Sequence[Prediction]) -> dict[str, float]:
        return {name: value for name, value in of(rows).items() if name in ("clips", "accuracy", "uf1", "uar")}

    last = [p for p in predictions if p.selection == "last"]
    honest = [p for p in last if p.aus == main]
    datasets = sorted({p.clip_id.split("/")[0] for p in honest})
    subjects = [p.clip_id.rpartition("/")[0] for p in honest]
    common = Counter(p.truth for p in honest).most_common(1)[0][0]
    return {
        "aus": main,
        **of(honest),
        "intervals95": intervals([p.truth for p in honest], [p.predicted for p in honest], subjects, classes),
        "majority": brief([replace(p, predicted=common) for p in honest]),
        "oracle": {"note": OPTIMISTIC, **brief([p for p in predictions if p.selection == "oracle"])},
        "by_aus": {source: brief([p for p in last if p.aus == source]) for source in sorted(sources)},
        "by_dataset": {name: brief([p for p in honest if p.clip_id.split("/")[0] == name]) for name in datasets},
    }


class _Trainer:
    """Trains the parts of one run and keeps count of the epochs."""

    def __init__(
        self, clips: ClipSet, recipe: Recipe, run: Path, device: torch.device, parts: int, progress: Progress
    ) -> None:
        self._clips, self._recipe, self._run, self._device = clips, recipe, run, device
        self._progress, self._total, self._done = progress, parts * recipe.epochs, 0

    def fold(self, fold: Fold) -> dict[str, Any]:
        """Train one fold, or read what an earlier call left; the result file is written last, so it means finished."""
        folder = self._run / "folds" / fold.folder
        if (folder / "result.json").is_file():
            self._advance(self._recipe.epochs, f"{fold.held_out} was finished before")
            result: dict[str, Any] = read_json(folder / "result.json")
            return result
        trained = self._train(fold.train, fold.test, fold.held_out)
        save_network(folder, trained.network.state_dict(), self._card(fold.train, fold.held_out))
        result = {
            "predictions": [asdict(p) for p in self._predictions(fold, trained)],
            "history": asdict(trained.history),
        }
        write_json(folder / "result.json", result)
        return result

    def final(self) -> None:
        """Train the network for prediction on everybody."""
        folder = self._run / "final"
        if (folder / "card.json").is_file():  # written after the weights
            self._advance(self._recipe.epochs, "the final network was finished before")
            return
        everybody = range(len(self._clips.clip_ids))
        trained = self._train(everybody, (), "final")
        save_network(folder, trained.network.state_dict(), self._card(everybody, None))

    def _train(self, train: Sequence[int], test: Sequence[int], name: str) -> Trained:
        # A seed of its own for each fold: a resumed run gives the numbers of an uninterrupted one.
        digest = hashlib.blake2b(f"{self._recipe.seed}/{name}".encode(), digest_size=4).digest()
        return train_network(
            self._clips,
            train,
            test,
            self._recipe,
            seed=int.from_bytes(digest, "big"),
            device=self._device,
            on_epoch=lambda epoch, loss: self._advance(1, f"{name} epoch {epoch} loss {loss:.3f}"),
        )

    def _advance(self, epochs: int, detail: str) -> None:
        self._done += epochs
        self._progress("train", self._done, self._total, detail)

    def _card(self, rows: Sequence[int], held_out: str | None) -> Card:
        clips, recipe = self._clips, self._recipe
        return Card(
            model=recipe.model,
            network=recipe.network,
            options=recipe.as_json()["options"],
            size=clips.size,
            mean=list(MEAN),
            std=list(STD),
            classes=list(clips.classes),
            labels=clips.protocol,
            held_out=held_out,
            seed=recipe.seed,
            epochs=recipe.epochs,
            clips=len(rows),
            subjects=len({clips.groups[row] for row in rows}),
            datasets=clips.datasets,
            versions=_versions(),
        )

    def _predictions(self, fold: Fold, trained: Trained) -> list[Prediction]:
        main = self._recipe.aus if "unused" not in au_sources(trained.network) else "unused"
        tables = [("last", aus, table) for aus, table in trained.last.items()]
        if trained.oracle is not None:
            tables.append(("oracle", main, trained.oracle))
        classes, labels = self._clips.classes, self._clips.labels.tolist()
        return [
            Prediction(
                clip_id=self._clips.clip_ids[row],
                fold=fold.held_out,
                selection=selection,
                aus=aus,
                truth=classes[labels[row]],
                predicted=classes[int(probabilities.argmax())],
                probabilities=[round(p, 6) for p in probabilities.tolist()],
            )
            for selection, aus, table in tables
            for row, probabilities in zip(fold.test, table, strict=True)
        ]


def _open_run(run: Path, clips: ClipSet, recipe: Recipe, device: torch.device, command: str) -> None:
    """Create the run folder, or make sure that the one that exists is of the same run."""
    identity = {
        "recipe": recipe.as_json(),
        "data": {
            "clips": len(clips.clip_ids),
            "fingerprint": _fingerprint(clips),
            "subjects": len(set(clips.groups)),
            "datasets": clips.datasets,
            "labels": clips.protocol,
            "classes": clips.class_counts,
            "size": clips.size,
            "kind": clips.kind,
        },
        "protocol": "loso",
        "selection": "last",
    }
    if (run / "run.json").is_file():
        before = read_json(run / "run.json")
        differing = [key for key, value in identity.items() if before.get(key) != value]
        if differing:
            raise MerError(
                f"this folder holds a run with another {' and '.join(differing)}", where=run, fix="choose another --out"
            )
        return
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise MerError("exists and is not a run folder", where=run, fix="choose another --out")
    private_folder(run)
    facts = {"command": command, "versions": _versions(), "hardware": hardware(device), "notes": list(clips.notes)}
    write_json(run / "run.json", {**identity, **facts})


def _fingerprint(clips: ClipSet) -> str:
    """A hash of everything that training reads of the clips."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\n".join(clips.clip_ids).encode())
    for tensor in (clips.labels, clips.aus, clips.aus_known, clips.images):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write_predictions(path: Path, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["clip_id", "fold", "selection", "aus", "truth", "predicted", *(f"p_{name}" for name in classes)])
    for p in predictions:
        writer.writerow([p.clip_id, p.fold, p.selection, p.aus, p.truth, p.predicted, *p.probabilities])
    write_atomically(path, text.getvalue().encode())


def _mean_angles_deg(folds: Sequence[Sequence[float]]) -> list[float]:
    """The mean over folds of each layer's angle; angles are axes, so 179 and 1 average to 0."""
    if not folds or not folds[0]:
        return []
    doubled = torch.deg2rad(torch.tensor(folds, dtype=torch.float64) * 2)
    mean = torch.atan2(doubled.sin().mean(0), doubled.cos().mean(0)).rad2deg() / 2
    return [round(float(angle) % 180, 2) for angle in mean]


def _versions() -> dict[str, str]:
    versions = {"mer": mer_pipeline.__version__, "torch": torch.__version__, "python": platform.python_version()}
    commit = _commit()
    return {**versions, "commit": commit} if commit else versions


def _commit() -> str | None:
    """The commit of a source checkout, with `+changes` where files differ from it; None where there is no checkout."""
    root = Path(mer_pipeline.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run(["git", "-C", root, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:
        return None
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
