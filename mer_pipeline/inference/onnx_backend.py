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
from mer_pipeline.reading import digest_of, read_bytes, well_formed
from mer_pipeline.runs.card import read_card

# Field 14 of the model, 42 bytes long: a key of 6 bytes and a value of 32.
_SEAL = b"\x72\x2a\x0a\x06digest\x12\x20"
_SEAL_BYTES = len(_SEAL) + 32
_MOST_BYTES = 2 << 30  # protobuf holds no more


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
        runtime, content = needed("onnxruntime"), read_bytes(file, _MOST_BYTES)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            if _SEAL in content and sealed(content[:-_SEAL_BYTES]) != content:
                raise ValueError("its digest differs")
            session: Any = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception:  # onnxruntime's own exceptions derive from nothing narrower
            raise MerError("not a readable ONNX file", where=file, fix="write it again with mer export") from None
        text = session.get_modelmeta().custom_metadata_map.get("card")
        if text is None:
            raise MerError("the ONNX file has no card", where=file, fix="use a file that mer export wrote")
        card = read_card(text, file)
        shapes: dict[str, list[int | str]] = {each.name: each.shape for each in session.get_inputs()}
        self.view = view_of(tuple(shapes))
        with well_formed(file, "write it again with mer export"):
            frames = int(shapes[self.view][1]) if self.view.endswith("sequence") else 0
            super().__init__(card.size, frames=frames, takes_aus="aus" in shapes)
            sides = {shapes[name][-1] for name in self.inputs[: -2 if self.takes_aus else None]}
            if sides != {card.size} or session.get_outputs()[0].shape[-1] != len(card.classes):
                raise ValueError("the network does not fit its card")
        self.card, self.shapes, self._session = card, shapes, session

    def forward(self, **batch: Tensor) -> Output:
        """Run it on CPU tensors; it takes every one of `inputs`."""
        try:
            logits, *rest = self._session.run(None, {name: batch[name].numpy() for name in self.inputs})
        except Exception as error:  # as above
            what = f"the ONNX file cannot be run ({type(error).__name__})"
            raise MerError(what, where=self.card.model, fix="write it again with mer export") from None
        return Output(torch.from_numpy(logits), torch.from_numpy(rest[0]) if rest else None)


def sealed(content: bytes) -> bytes:
    """An ONNX file with a digest of itself at its end: protobuf takes what follows for one more entry of metadata."""
    return content + _SEAL + digest_of(content).encode()


def needed(package: str) -> ModuleType:
    """Import a package of the extra `export`."""
    try:
        return __import__(package)
    except ImportError:
        raise MerError(f"{package} is not installed", fix='run: pip install "mer-pipeline[export]"') from None
