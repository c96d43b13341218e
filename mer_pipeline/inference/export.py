"""A network as one ONNX file that carries its card, compared with torch before it is written."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mer_pipeline.cache import Store, write_atomically
from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inference.onnx_backend import OnnxNetwork, needed, sealed
from mer_pipeline.inference.trained import TrainedModel, rebuild
from mer_pipeline.networks import Network, Output, named_tensors
from mer_pipeline.runs.weights import load_network
from mer_pipeline.stages.keyframes import KeyFrames

# Files of this operator set run on onnxruntime 1.15 and later.
OPSET = 17
# Larger differences than these, in probabilities, mean another network and not another order of sums.
TOLERANCE = 1e-4
_COMPARED = 16  # clips


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: The ONNX file.
        inputs: What it takes, by name; the first axis is the batch.
        mebibytes: Its size.
        compared: What it was compared with torch on.
        difference: The largest difference of a probability, of emotions and Action Units.
    """

    path: str
    inputs: dict[str, list[int | str]]
    mebibytes: float
    compared: str
    difference: float


@os_errors()
def export(model: str | os.PathLike[str], out: str | Path, cache: str | Path | None = None) -> Exported:
    """Write a trained network as an ONNX file and compare it with torch.

    Args:
        model: A run folder (its final network), a fold folder or a weights file.
        out: The file to write.
        cache: What `mer preprocess` wrote, to compare on its crops; random pictures where None.

    Raises:
        MerError: The model cannot be used, an extra is absent, or the results differ by `TOLERANCE` or more.
        WriteError: The file cannot be written.
    """
    needed("onnx"), needed("onnxruntime")
    model, out, cache = Path(model), Path(out), None if cache is None else Path(cache)
    state, card = load_network(model)
    network = TrainedModel(rebuild(state, card, model), card, torch.device("cpu"), model)
    batches, compared = _batches(network, cache)
    expected = [_probabilities(network.network.run(batch), card.temperature) for batch in batches]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / out.name
        _write(network.network, batches[0], json.dumps(card.as_json()), file)
        written = OnnxNetwork(file)
        found = [_probabilities(written(**batch), card.temperature) for batch in batches]
        pairs = [pair for a, b in zip(expected, found, strict=True) for pair in zip(a, b, strict=True)]
        difference = max(float(np.abs(a - b).max()) for a, b in pairs)
        if not difference < TOLERANCE:
            raise MerError(
                f"the ONNX file gives other probabilities than torch (by up to {difference:.2g})",
                where=model,
                fix="report this with the versions that mer doctor prints",
            )
        content = file.read_bytes()
    write_atomically(out, content)
    return Exported(str(out), written.shapes, round(len(content) / 2**20, 1), compared, difference)


def _probabilities(output: Output, temperature: float) -> list[npt.NDArray[np.float32]]:
    found = [(output.logits / temperature).softmax(1)]
    if output.au_logits is not None:
        found.append(output.au_logits.sigmoid())
    return [values.detach().numpy() for values in found]


def _batches(model: TrainedModel, cache: Path | None) -> tuple[list[dict[str, Tensor]], str]:
    """What networks are compared on: each picture with its Action Units known and not; and what to call it."""
    pictures = _random_pictures(model) if cache is None else _cached_pictures(model, cache)
    generator = torch.Generator().manual_seed(0)
    batches = []
    for shown in pictures:
        aus = (torch.rand(len(shown), len(AU_NUMBERS), generator=generator) < 0.2).float()
        for known in (True, False):
            batch = {**named_tensors(model.view.name, shown), "aus": aus, "aus_known": torch.full((len(shown),), known)}
            batches.append({name: batch[name] for name in model.network.inputs})
    return batches, f"{len(pictures)} random pictures" if cache is None else f"{len(pictures)} clips of {cache}"


def _random_pictures(model: TrainedModel) -> list[Tensor]:
    rng = np.random.default_rng(0)
    size, keyframes = model.crop_size, model.wants(KeyFrames(0, 4, 8))
    crops = [{i: rng.integers(0, 256, (size, size, 3), np.uint8) for i in keyframes.needed} for _ in range(4)]
    return [model.make_input(keyframes, each) for each in crops]


def _cached_pictures(model: TrainedModel, cache: Path) -> list[Tensor]:
    table, store = read_manifests(cache), Store(cache / "objects")
    usable = table[(table["status"] == "ok") & (table["kind"] == "frames") & (table["size"] == model.crop_size)]
    pictures = []
    for row in usable.itertuples():
        artefact = store.get("crop", str(row.crop_key))
        frames = [] if artefact is None else artefact.frames
        # Whatever frames are there will do: what is compared are two programs, not what they say of the clip.
        keyframes = model.wants(KeyFrames(0, max(len(frames) - 1, 0), None))
        if artefact is not None and frames:
            pictures.append(model.make_input(keyframes, dict(enumerate(artefact.arrays["crops"]))))
        if len(pictures) == _COMPARED:
            break
    if not pictures:
        raise MerError(
            f"holds no crops of {model.crop_size} pixels",
            where=cache,
            fix=f"run mer preprocess with --size {model.crop_size}, or leave --cache out",
        )
    return pictures


class _Positional(nn.Module):
    """The exporter counts arguments and wants tensors back."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        output = self.network.run(dict(zip(self.network.inputs, tensors, strict=True)))
        return (output.logits,) if output.au_logits is None else (output.logits, output.au_logits)


class _FixedPool(nn.Module):
    """Adaptive average pooling as two matrices: ONNX has none whose cells overlap."""

    def __init__(self, cells_hw: tuple[int, int]) -> None:
        super().__init__()
        self.cells_hw = cells_hw

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self._means(cells, int(n)) for cells, n in zip(self.cells_hw, x.shape[-2:], strict=True))
        return rows @ x @ columns.T

    @staticmethod
    def _means(cells: int, pixels: int) -> Tensor:
        means = torch.zeros(cells, pixels)
        for cell in range(cells):
            first, last = cell * pixels // cells, -(-(cell + 1) * pixels // cells)
            means[cell, first:last] = 1 / (last - first)
        return means


@contextmanager
def _fixed_pools(network: nn.Module) -> Iterator[None]:
    """Put `_FixedPool` in the place of every adaptive pooling to more than one cell, for as long as this lasts."""
    swapped = []
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size not in (1, (1, 1)):
                cells = cast(Any, child.output_size)
                setattr(parent, name, _FixedPool(cells if isinstance(cells, tuple) else (cells, cells)))
                swapped.append((parent, name, child))
    try:
        yield
    finally:
        for parent, name, child in swapped:
            setattr(parent, name, child)


def _write(network: Network, batch: dict[str, Tensor], card: str, file: Path) -> None:
    onnx = cast(Any, needed("onnx"))
    outputs = ["logits"] if network.run(batch).au_logits is None else ["logits", "au_logits"]
    with _fixed_pools(network), warnings.catch_warnings():
        # It warns that shapes become constants, which is meant, and that another exporter is newer: that one (torch
        # 2.15, onnxscript 0.7) has no translation of the stable sort in FaceSleuth's attention.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Positional(network).eval(),
            tuple(batch.values()),
            str(file),
            input_names=list(batch),
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in [*batch, *outputs]},
            opset_version=OPSET,
            dynamo=False,
        )
    written = onnx.load(str(file))
    written.metadata_props.add(key="card", value=card)
    file.write_bytes(sealed(written.SerializeToString()))
