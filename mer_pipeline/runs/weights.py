"""A network with its card, which the weights file carries in its own header: the file alone is enough to predict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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
    facts = {"card": text, "digest": digest_of_tensors(tensors, text)}
    write_atomically(folder / WEIGHTS, safetensors.torch.save(tensors, metadata=facts))
    write_atomically(folder / "card.json", text.encode())


def load_network(path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """Read weights and card from a run folder, a fold folder or a weights file.

    Raises:
        MerError: There are none, they are pickled, damaged, or of another version.
    """
    file = _weights_file(path)
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            facts = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError, ValueError):
        raise MerError("not a readable safetensors file", where=file, fix="train again or copy it again") from None
    text = facts.get("card")
    if text is None:
        raise MerError("the weights have no card", where=file, fix="use weights that mer train wrote")
    # Files of older versions have no digest.
    if "digest" in facts and facts["digest"] != digest_of_tensors(state, text):
        raise MerError("the weights are damaged (their digest differs)", where=file, fix="train again or copy it again")
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise MerError("the weights hold numbers that are infinite or none", where=file, fix="train again")
    return state, read_card(text, file)


def digest_of_tensors(tensors: Mapping[str, torch.Tensor], text: str) -> str:
    """A hash of named tensors and a text: a bit that has changed on a disk gives other answers without any error."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
    if path.suffix != ".safetensors" or not path.is_file():
        raise MerError("not a safetensors file; pickled checkpoints are refused", where=path, fix="give a run folder")
    return path
