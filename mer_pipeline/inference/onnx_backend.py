"""Running a network in an ONNX file with onnxruntime; `export` writes such files."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mer_pipeline.errors import MerError
from mer_pipeline.networks import Network, Output
from mer_pipeline.networks.base import view_of
from mer_pipeline.runs.card import read_card


class OnnxNetwork(Network):
    """A network in an ONNX file, called like any other; it computes on the CPU.

    Attributes:
        card: The card in the file.
        shapes: Of the tensors that it takes, by name; the first axis is the batch.
    """

    def __init__(self, file: Path, device: str = "auto") -> None:
        """Open a file that `mer export` wrote.

        Raises:
            MerError: onnxruntime is absent, the file is none of ours, or another device than the CPU is asked for.
        """
        if device not in ("auto", "cpu"):
            raise MerError(f"ONNX files run on the CPU, not on {device}", fix="leave --device out, or give the run")
        if not file.is_file():
            raise MerError("no such model", where=file, fix="write one with mer export")
        runtime = needed("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            session: Any = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception:  # onnxruntime's own exceptions derive from nothing narrower
            raise MerError("not a readable ONNX file", where=file, fix="write it again with mer export") from None
        text = session.get_modelmeta().custom_metadata_map.get("card")
        if text is None:
            raise MerError("the ONNX file has no card", where=file, fix="use a file that mer export wrote")
        card = read_card(text, file)
        shapes: dict[str, list[int | str]] = {each.name: each.shape for each in session.get_inputs()}
        self.view = view_of(tuple(shapes))
        frames = int(shapes[self.view][1]) if self.view.endswith("sequence") else 0
        super().__init__(card.size, frames=frames, takes_aus="aus" in shapes)
        self.card, self.shapes, self._session = card, shapes, session

    def forward(self, **batch: Tensor) -> Output:
        """Run it on CPU tensors; it takes every one of `inputs`."""
        logits, *rest = self._session.run(None, {name: batch[name].numpy() for name in self.inputs})
        return Output(torch.from_numpy(logits), torch.from_numpy(rest[0]) if rest else None)


def needed(package: str) -> ModuleType:
    """Import a package of the extra `export`."""
    try:
        return __import__(package)
    except ImportError:
        raise MerError(f"{package} is not installed", fix='run: pip install "mer-pipeline[export]"') from None
