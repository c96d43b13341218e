"""A trained network, from a run or an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mer_pipeline import networks
from mer_pipeline.arrays import Image
from mer_pipeline.cache.chain import PUBLISHED
from mer_pipeline.device import choose_device
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inference.model import Model, NetworkOutput
from mer_pipeline.inputs.views import VIEWS
from mer_pipeline.networks import Explanation, Network, named_tensors
from mer_pipeline.runs.card import Card
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.stages.keyframes import KeyFrames


class TrainedModel(Model):
    """A network with its weights.

    Attributes:
        network: The module, on `device`.
        device: Where it runs.
    """

    def __init__(
        self,
        network: Network,
        card: Card,
        device: torch.device,
        source: Path,
        detector: Detector | None = None,
    ) -> None:
        """Check that video can feed it.

        Args:
            network: With its weights, on `device`.
            card: Of the network.
            device: Where it runs.
            source: The file that it was read from, for errors.
            detector: Finds faces; None for the one that the training clips were made with.

        Raises:
            MerError: It was trained on published flow images, or its face detector is not available.
        """
        network.eval()
        self.network, self.device, view = network, device, VIEWS[network.view]
        if view.shows_flow and card.flow == PUBLISHED:
            raise MerError(
                f"{card.model} was trained on published flow images, which are scaled one by one; video is not",
                where=source,
                fix="train it on a cache of mer preprocess --motion tvl1",
            )
        super().__init__(card, view, network.takes_aus, detector)
        self.name = f"{source}: {self.name}{_score(source)}, mer {card.versions.get('mer', 'of an unknown version')}"

    def make_input(self, keyframes: KeyFrames, crops: Mapping[int, Image]) -> torch.Tensor:
        """(1, F, C, size, size) float32, the pictures of the network's view."""
        pictures = torch.from_numpy(
            np.ascontiguousarray(self.view.array(self.cropped(keyframes, crops), self.card.size))
        )
        return self.view.tensor(pictures.to(self.device), self.card.mean, self.card.std)[None]

    @torch.no_grad()
    def run(self, pictures: torch.Tensor, aus: Sequence[int] | None = None) -> NetworkOutput:
        """See `Model`."""
        output = self.network.run({**named_tensors(self.view.name, pictures), **self._aus(aus)})
        logits = output.logits.float() / self.card.temperature
        estimate = None if output.au_logits is None else output.au_logits.float().sigmoid()[0].cpu().numpy()
        return NetworkOutput(logits.softmax(1)[0].cpu().numpy(), estimate, pictures)

    def explain(self, pictures: torch.Tensor) -> Explanation:
        """See `Model`."""
        return self.network.explain({**named_tensors(self.view.name, pictures), **self._aus(None)})

    def _aus(self, aus: Sequence[int] | None) -> dict[str, torch.Tensor]:
        values = torch.zeros(1, len(AU_NUMBERS)) if aus is None else torch.tensor([list(aus)], dtype=torch.float32)
        known = torch.tensor([aus is not None])
        return {"aus": values.to(self.device), "aus_known": known.to(self.device)}


def load_trained(path: Path, device: str = "auto", detector: Detector | None = None) -> TrainedModel:
    """Load a run folder, a fold folder, a weights file or an ONNX file.

    Raises:
        MerError: It cannot be used, or the device or its face detector is not available.
    """
    if path.suffix == ".onnx":
        # Imported here because it is an extra.
        from mer_pipeline.inference.onnx_backend import OnnxNetwork

        network = OnnxNetwork(path, device)
        return TrainedModel(network, network.card, torch.device("cpu"), path, detector)
    chosen = choose_device(device)
    state, card = load_network(path)
    return TrainedModel(rebuild(state, card, path).to(chosen), card, chosen, path, detector)


def _score(source: Path) -> str:
    """The held-out score of the run that a file or folder belongs to; empty where it is in none that is finished."""
    for folder in (source, *source.parents[:3]):
        try:
            run = Run(folder)
            scores, metrics = run.metrics.honest, run.metrics
        except (MerError, OSError):
            continue
        return f", {metrics.protocol} UF1 {scores['uf1']:.3f} on {metrics.clips} clips of {metrics.subjects} subjects"
    return ""


def rebuild(state: dict[str, torch.Tensor], card: Card, model: Path) -> Network:
    """The network of a card with its weights, on the CPU.

    Raises:
        MerError: They do not fit each other.
    """
    try:
        network = networks.build(card.network, classes=len(card.classes), size=card.size, **card.options)
        network.load_state_dict(state)
    except (ValueError, TypeError, RuntimeError):
        raise MerError(
            "its weights do not fit this version's network", where=model, fix="train again with this version"
        ) from None
    return network
