"""A network with its card, which the weights file carries in its own header: the file alone is enough to predict."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.errors import MerError
from mer_pipeline.runs.card import Card, read_card

WEIGHTS = "weights.safetensors"


def save_network(folder: Path, state: dict[str, torch.Tensor], card: Card) -> None:
    """Write weights and card."""
    private_folder(folder)
    text = json.dumps(card.as_json(), indent=2, sort_keys=True)
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
