"""A trained network, from a run or an ONNX file, and how crops of a face become what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mer_pipeline import networks
from mer_pipeline.arrays import Image
from mer_pipeline.cache.chain import PUBLISHED, Chain
from mer_pipeline.device import choose_device
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inputs.views import VIEWS, CroppedClip, View
from mer_pipeline.networks import Explanation, Network, named_tensors
from mer_pipeline.runs.card import Card, load_network
from mer_pipeline.stages.keyframes import KeyFrames
from mer_pipeline.stages.parameters import VERSIONS, Parameters

RUNS = Path("runs")


@dataclass(frozen=True)
class NetworkOutput:
    """What a network says of one expression.

    Attributes:
        probabilities: (classes,) in the order of the card, after its temperature.
        aus: (21,) the network's own estimate; None where it makes none.
        pictures: What it was given.
    """

    probabilities: npt.NDArray[np.float32]
    aus: npt.NDArray[np.float32] | None
    pictures: torch.Tensor


class Model:
    """A network and its card.

    Attributes:
        card: How it was trained.
        network: The module, on `device`.
        view: What it is shown.
        takes_aus: Whether Action Units enter its decision.
        parameters: What the stages are given, so that a new video is seen as the training clips were.
        notes: What the reader of its answers should know.
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
        self.network, self.card, self.device = network, card, device
        self.view, self.takes_aus = VIEWS[network.view], network.takes_aus
        if self.view.shows_flow and card.flow == PUBLISHED:
            raise MerError(
                f"{card.model} was trained on published flow images, which are scaled one by one; video is not",
                where=source,
                fix="train it on a cache of mer preprocess --motion tvl1",
            )
        self.parameters, self.notes = _parameters(card, self.view, detector)

    @property
    def crop_size(self) -> int:
        """Side of the crops that it is given, in pixels."""
        return self.parameters.size

    def wants(self, keyframes: KeyFrames) -> KeyFrames:
        """The key frames together with the frames between them that the stages are given.

        These are as many as for the training clips, also where the network is not shown them: the registration of a
        frame begins at the place of the head in the frame before.
        """
        if self.parameters.frames:
            return replace(keyframes, sequence=self.parameters.frames)
        return self.view.key_frames(keyframes, self.card.frames)

    def make_input(self, keyframes: KeyFrames, crops: Mapping[int, Image]) -> torch.Tensor:
        """What the network is given.

        Args:
            keyframes: As `wants` gives them.
            crops: (crop_size, crop_size, 3) uint8 RGB of each needed frame.

        Returns:
            (1, F, C, size, size) float32, the pictures of the network's view.
        """
        clip = CroppedClip(self.view.key_frames(keyframes, self.card.frames), crops, self.parameters.motion)
        pictures = torch.from_numpy(np.ascontiguousarray(self.view.array(clip, self.card.size)))
        return self.view.tensor(pictures.to(self.device), self.card.mean, self.card.std)[None]

    @torch.no_grad()
    def run(self, pictures: torch.Tensor, aus: Sequence[int] | None = None) -> NetworkOutput:
        """Run the network on one expression.

        Args:
            pictures: As `make_input` gives them.
            aus: (21,) 0/1, the Action Units that are known; None for the network's own estimate.
        """
        output = self.network.run({**named_tensors(self.view.name, pictures), **self._aus(aus)})
        logits = output.logits.float() / self.card.temperature
        estimate = None if output.au_logits is None else output.au_logits.float().sigmoid()[0].cpu().numpy()
        return NetworkOutput(logits.softmax(1)[0].cpu().numpy(), estimate, pictures)

    def explain(self, pictures: torch.Tensor) -> Explanation:
        """What the network has to show of one expression, whose pictures are as `make_input` gives them."""
        return self.network.explain({**named_tensors(self.view.name, pictures), **self._aus(None)})

    def _aus(self, aus: Sequence[int] | None) -> dict[str, torch.Tensor]:
        values = torch.zeros(1, len(AU_NUMBERS)) if aus is None else torch.tensor([list(aus)], dtype=torch.float32)
        known = torch.tensor([aus is not None])
        return {"aus": values.to(self.device), "aus_known": known.to(self.device)}


def _parameters(card: Card, view: View, detector: Detector | None) -> tuple[Parameters, list[str]]:
    """What the stages are given for a network, and what its reader should know of that."""
    chain, notes = card.chain or Chain(card.size, (), "", "none"), []
    if not chain.detector:
        asked = detector or Detector()
        notes.append(
            f"the network's card does not say how its faces were found and registered: {asked.name} and registration "
            "stable are taken"
        )
        chain = replace(chain, detector=asked.identity, registration="stable")
    elif detector is not None and detector.identity != chain.detector:
        notes.append(
            f"the network was trained on faces found by {chain.detector_name}, and {detector.name} was asked for: its "
            "answers may differ"
        )
    if view.shows_flow and chain.motion == "none":
        notes.append("the network's card does not say how its flow was computed: TV-L1 is taken")
        chain = replace(chain, motion="tvl1")
    parameters = Parameters.of_chain(chain, detector)
    if detector is None and parameters.detector.identity != chain.detector:
        notes.append(f"the network was trained with another file of {chain.detector_name}: its answers may differ")
    if chain.stages and dict(chain.stages) != dict(VERSIONS):
        notes.append("the network was trained on what other versions of the stages made: its answers may differ")
    return parameters, notes


def load_model(path: Path | None = None, device: str = "auto", detector: Detector | None = None) -> Model:
    """Load a run folder, a fold folder, a weights file or an ONNX file; the newest finished run where None is given.

    Args:
        path: The model.
        device: Where it runs.
        detector: Overrides the face detector that its card names.

    Raises:
        MerError: There is none, it cannot be used, or the device or its face detector is not available.
    """
    path = newest_run() if path is None else path
    if path.suffix == ".onnx":
        # Imported here because it is an extra.
        from mer_pipeline.inference.onnx_backend import OnnxNetwork

        network = OnnxNetwork(path, device)
        return Model(network, network.card, torch.device("cpu"), path, detector)
    chosen = choose_device(device)
    state, card = load_network(path)
    return Model(rebuild(state, card, path).to(chosen), card, chosen, path, detector)


def newest_run(folder: Path = RUNS) -> Path:
    """The run in a folder that was finished last.

    Raises:
        MerError: There is none.
    """
    cards = [*folder.glob("*/final/card.json"), *folder.glob("*/seed-*/final/card.json")]
    if not cards:
        raise MerError(
            "no trained network",
            where=f"{folder}/",
            fix="make one with mer demo (minutes, synthetic data) or mer train, or name one with --model; none is "
            "shipped, because the licences of the datasets forbid weights derived from them",
        )
    return max(cards, key=lambda card: card.stat().st_mtime).parents[1]


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
