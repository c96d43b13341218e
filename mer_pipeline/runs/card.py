"""The run folder: recipe, predictions, weights and cards. Training writes it; inference and reports read it.

    RUN/run.json                 what was run: recipe, data, versions, hardware, command, commit
    RUN/predictions.csv          one row a clip, selection and AU source, joined by clip_id
    RUN/metrics.json             scores of the pooled predictions
    RUN/folds/<fold>/            weights.safetensors, card.json, result.json (predictions and history; written last)
    RUN/final/                   weights.safetensors and card.json of the network trained on all subjects
    RUN/controls.csv             what the controls say of every clip

With several seeds, RUN/seed-<n>/ is a run folder each, and RUN/metrics.json has their mean.

A weights file carries its card in its own header, so that the file alone is enough to predict.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.errors import MerError

FORMAT = 1
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Card:
    """Everything that is needed to rebuild a trained network and to feed it.

    Attributes:
        model: Name in the zoo.
        network, options: What `networks.build` takes.
        size: Side of what the network looks at, in pixels.
        mean, std: Normalisation of RGB in 0..1.
        classes: Names in the order of the logits.
        labels: The label protocol that the classes come from.
        held_out: The group that training never saw; None for the network trained on everybody.
        seed, epochs: How it was trained.
        clips, subjects: How many it was trained on.
        datasets: Which sets they come from.
        versions: Of mer, torch and Python.
        crop_size: Side of the crops that are resized to `size`; flow is measured on them.
        flow: How flow was computed: `tvl1`, `dis`, `published` for published flow images, or empty.
        temperature: What logits are divided by before they become probabilities; 1 where it was not fitted.
        format: Version of this card.
    """

    model: str
    network: str
    options: dict[str, Any]
    size: int
    mean: list[float]
    std: list[float]
    classes: list[str]
    labels: str
    held_out: str | None
    seed: int
    epochs: int
    clips: int
    subjects: int
    datasets: list[str]
    versions: dict[str, str]
    crop_size: int = 0
    flow: str = ""
    temperature: float = 1.0
    format: int = FORMAT


@dataclass(frozen=True)
class Prediction:
    """What a network said of one clip.

    Attributes:
        clip_id: `dataset/subject/clip`.
        fold: Who was held out.
        selection: `last` or `oracle` (optimistic: epoch chosen on the test fold).
        aus: Where the Action Unit input came from: `annotated`, `predicted`, `none`, or `unused`.
        truth, predicted: Class names.
        probabilities: One for each class, in the order of the card.
    """

    clip_id: str
    fold: str
    selection: str
    aus: str
    truth: str
    predicted: str
    probabilities: list[float]


def save_network(folder: Path, state: dict[str, torch.Tensor], card: Card) -> None:
    """Write weights and card."""
    private_folder(folder)
    text = json.dumps(asdict(card), indent=2, sort_keys=True)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    write_atomically(folder / WEIGHTS, safetensors.torch.save(tensors, metadata={"card": text}))
    write_atomically(folder / "card.json", text.encode())


def load_network(path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """Read weights and card from a run folder, a fold folder or a weights file.

    Raises:
        MerError: There are none, they are pickled, damaged, or of another version.
    """
    file = _weights_file(path)
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get("card")
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError):
        raise MerError("not a readable safetensors file", where=file, fix="train again or copy it again") from None
    if text is None:
        raise MerError("the weights have no card", where=file, fix="use weights that mer train wrote")
    return state, read_card(text, file)


def read_card(text: str, file: Path) -> Card:
    """The card that a weights file carries as JSON.

    Raises:
        MerError: It is of another version, or lacks entries.
    """
    values = json.loads(text)
    if values.get("format") != FORMAT:
        raise MerError(
            f"written by another version (format {values.get('format')}, this is {FORMAT})",
            where=file,
            fix="train again",
        )
    try:
        return Card(**values)
    except TypeError:
        raise MerError("the card of the weights lacks entries", where=file, fix="train again") from None


def _weights_file(path: Path) -> Path:
    if path.is_dir():
        for candidate in (path / "final" / WEIGHTS, path / WEIGHTS, *sorted(path.glob(f"seed-*/final/{WEIGHTS}"))):
            if candidate.is_file():
                return candidate
        unfinished = (path / "run.json").is_file()
        raise MerError(
            "this run has no final network yet" if unfinished else "not a run folder",
            where=path,
            fix="finish it with the same mer train command" if unfinished else "give the folder that mer train wrote",
        )
    if not path.exists():
        raise MerError("no such model", where=path, fix="train one with mer train, or try mer demo")
    if path.suffix != ".safetensors":
        raise MerError("not a safetensors file; pickled checkpoints are refused", where=path, fix="give a run folder")
    return path


def write_json(path: Path, values: Any) -> None:
    """Write JSON values, whole or not at all."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        MerError: It is absent or damaged.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise MerError("no such file", where=path, fix="is this a run folder?") from None
    except (OSError, ValueError):
        raise MerError("damaged or unreadable", where=path, fix="delete it and run again") from None
