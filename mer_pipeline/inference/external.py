"""An external test: a trained model on a labelled cache that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mer_pipeline.cache.chain import PUBLISHED
from mer_pipeline.device import choose_device
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.evaluation.metrics import DetailedScores, scores, unit_scores
from mer_pipeline.evaluation.statistics import intervals
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inference.load import LATEST, check_shipped_device, newest_run
from mer_pipeline.inference.trained import rebuild
from mer_pipeline.inputs.clip_set import ClipSet, load_clips
from mer_pipeline.networks import Network, named_tensors
from mer_pipeline.progress import Progress, silent
from mer_pipeline.reader import GROUPS, NAME, shipped
from mer_pipeline.reading import JsonObject
from mer_pipeline.runs.card import Card
from mer_pipeline.runs.results import UnitScores
from mer_pipeline.runs.weights import load_network

_BATCH = 64
_LABELS = "megc3"  # what the groups of the shipped model are classes of

Bounds = tuple[float, float]
_Outputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]  # of classes and of Action Units


@dataclass(frozen=True)
class ExternalTest:
    """What a model scores on a cache.

    Attributes:
        model: As it was given.
        dataset: The cache.
        subjects: How many people.
        classes: Names, as in the confusion.
        scores: Of all clips.
        intervals: Measure -> 95 % interval over subjects.
        by_dataset: Set -> its own scores.
        aus: Number -> scores, of the clips whose Action Units are annotated; those that occur in some and not in all.
        notes: What the reader of the figures should know.
    """

    model: str
    dataset: str
    subjects: int
    classes: tuple[str, ...]
    scores: DetailedScores
    intervals: Mapping[str, Bounds]
    by_dataset: Mapping[str, DetailedScores]
    aus: Mapping[int, UnitScores]
    notes: tuple[str, ...]

    def as_json(self) -> JsonObject:
        """JSON values."""
        overall = self.scores.overall
        return {
            "model": self.model,
            "dataset": self.dataset,
            "clips": overall.clips,
            "subjects": self.subjects,
            "uf1": overall.uf1,
            "uar": overall.uar,
            "accuracy": overall.accuracy,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "by_dataset": {
                name: {"clips": found.overall.clips, "uf1": found.overall.uf1, "uar": found.overall.uar}
                for name, found in self.by_dataset.items()
            },
            "aus": {str(number): vars(found) for number, found in self.aus.items()},
            "classes": list(self.classes),
            "confusion": [list(row) for row in self.scores.confusion],
            "notes": list(self.notes),
        }


@os_errors()
def evaluate(
    cache: str | Path, model: str | Path | None = None, *, device: str = "auto", progress: Progress = silent
) -> ExternalTest:
    """Test a model on every labelled clip of a cache.

    Args:
        cache: What `mer preprocess` wrote.
        model: A run folder, a fold folder or a weights file, `latest`, or `shipped`; None for the shipped one.
        device: Where a trained network runs.
        progress: Called after every batch.

    Raises:
        MerError: The model cannot be used, or the cache holds no clip that it can be shown.
    """
    name = NAME if model is None else str(model)
    if Path(name).suffix == ".onnx":
        raise MerError("an ONNX file cannot be tested", where=name, fix="give the run that it was exported from")
    if name == NAME:
        check_shipped_device(device)
        clips = load_clips(cache, _LABELS, "flow")
        outputs = _read_shipped(clips)
        notes = [*clips.notes, "its class none is left out: every clip of a labelled set is an expression"]
    else:
        state, card = load_network(newest_run() if name == LATEST else Path(name))
        network = rebuild(state, card, Path(name)).to(choose_device(device)).eval()
        clips = load_clips(cache, card.labels, network.view, size=card.size, frames=card.frames)
        notes = [*clips.notes, *_differences(card, clips)]
        outputs = _run(network, card, clips, progress)
    groups, aus = outputs
    truth = [clips.classes[label] for label in clips.labels.tolist()]
    predicted = [clips.classes[at] for at in groups.argmax(1)]
    found = scores(truth, predicted, clips.classes)
    return ExternalTest(
        model=name,
        dataset=str(cache),
        subjects=len(set(clips.groups)),
        classes=clips.classes,
        scores=found,
        intervals=intervals(truth, [predicted], clips.groups, clips.classes),
        by_dataset=_by_dataset(clips, truth, predicted),
        aus={} if aus is None else unit_scores(aus, clips.aus.numpy(), clips.aus_known.numpy()),
        notes=tuple(notes),
    )


def _read_shipped(clips: ClipSet) -> _Outputs:
    published = clips.chain is not None and clips.chain.motion == PUBLISHED
    reading = shipped().read(clips.images[:, 0].numpy(), aligned=not published)
    # The classes of the label set stand in an order of their own.
    places = [GROUPS.index(name) for name in clips.classes]
    return reading.groups[:, places], reading.aus


@torch.no_grad()
def _run(network: Network, card: Card, clips: ClipSet, progress: Progress) -> _Outputs:
    """Probabilities of classes and Action Units, the latter the network's own estimate."""
    device = next(network.parameters()).device
    groups, aus = [], []
    for start in range(0, len(clips.clip_ids), _BATCH):
        rows = torch.arange(start, min(start + _BATCH, len(clips.clip_ids)))
        unknown = {
            "aus": torch.zeros(len(rows), len(AU_NUMBERS), device=device),
            "aus_known": torch.zeros(len(rows), dtype=torch.bool, device=device),
        }
        output = network.run({**named_tensors(network.view, clips.tensor(rows, device)), **unknown})
        groups.append((output.logits.float() / card.temperature).softmax(1).cpu().numpy())
        if output.au_logits is not None:
            aus.append(output.au_logits.float().sigmoid().cpu().numpy())
        progress("evaluate", int(rows[-1]) + 1, len(clips.clip_ids), "")
    return np.concatenate(groups), np.concatenate(aus) if aus else None


def _differences(card: Card, clips: ClipSet) -> list[str]:
    """What stands between the training of a network and these clips.

    Raises:
        MerError: Its classes are not those of the cache.
    """
    if tuple(card.classes) != clips.classes:
        raise MerError(
            f"the model knows {', '.join(card.classes)}, and the cache has {', '.join(clips.classes)}",
            fix=f"evaluate a model that was trained with --labels {clips.label_set}",
        )
    notes = []
    if shared := sorted(set(card.datasets) & set(clips.dataset_names)):
        notes.append(f"the model was trained on clips of {', '.join(shared)}: this is no external test")
    if card.chain is not None and clips.chain is not None:
        for part in ("detector", "registration", "motion", "size"):
            trained, here = getattr(card.chain, part), getattr(clips.chain, part)
            if trained and here and trained != here:
                notes.append(f"the model was trained with another {part}: scores may differ")
    return notes


def _by_dataset(clips: ClipSet, truth: Sequence[str], predicted: Sequence[str]) -> dict[str, DetailedScores]:
    found = {}
    for dataset in clips.datasets:
        rows = [at for at, group in enumerate(clips.groups) if group.split("/")[0] == dataset]
        found[dataset] = scores([truth[at] for at in rows], [predicted[at] for at in rows], clips.classes)
    return found
