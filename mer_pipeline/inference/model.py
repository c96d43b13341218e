"""A trained network, from a run or an ONNX file, and how crops of a face become what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mer_pipeline import networks
from mer_pipeline.arrays import Image
from mer_pipeline.device import choose_device
from mer_pipeline.errors import MerError
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inputs.normalise import normalise
from mer_pipeline.inputs.pictures import resized, scale_flow, to_grey
from mer_pipeline.networks import Explanation, Network, named_tensors
from mer_pipeline.runs.card import Card, load_network
from mer_pipeline.stages.flow import METHODS, Method, motion
from mer_pipeline.stages.keyframes import KeyFrames

RUNS = Path("runs")
_FRAMES = 8  # of a sequence, where the card does not say


@dataclass(frozen=True)
class NetworkOutput:
    """What a network says of one expression.

    Attributes:
        probabilities: (classes,) in the order of the card, after its temperature.
        aus: (21,) the network's own estimate; None where it makes none.
        pictures: What it looked at.
    """

    probabilities: npt.NDArray[np.float32]
    aus: npt.NDArray[np.float32] | None
    pictures: torch.Tensor


class Model:
    """A network and its card.

    Attributes:
        card: How it was trained.
        network: The module, on `device`.
        view: What it looks at.
        takes_aus: Whether Action Units enter its decision.
        notes: What the reader of its answers should know.
    """

    def __init__(self, network: Network, card: Card, device: torch.device, source: Path) -> None:
        """Check that video can feed it.

        Raises:
            MerError: It was trained on published flow images.
        """
        network.eval()
        self.network, self.card, self.device = network, card, device
        self.view, self.takes_aus = network.view, network.takes_aus
        self.notes: list[str] = []
        self._method: Method = "tvl1"
        if not self.view.startswith("flow"):
            return
        if card.flow == "published":
            raise MerError(
                f"{card.model} was trained on published flow images, which are scaled one by one; video is not",
                where=source,
                fix="train it on a cache of mer preprocess --motion tvl1",
            )
        if card.flow in METHODS and card.flow != "none":
            self._method = card.flow
        else:
            self.notes.append("the network's card does not say how its flow was computed: TV-L1 is taken")

    @property
    def crop_size(self) -> int:
        """Side of the crops that it wants, in pixels."""
        return self.card.crop_size or self.card.size

    def wants(self, keyframes: KeyFrames) -> KeyFrames:
        """The key frames together with the frames between them that the network looks at."""
        if not self.view.endswith("sequence"):
            return keyframes
        return replace(keyframes, sequence=int(self.card.options.get("frames", _FRAMES)))

    def make_input(self, keyframes: KeyFrames, crops: Mapping[int, Image]) -> torch.Tensor:
        """What the network looks at.

        Args:
            keyframes: As `wants` gives them.
            crops: (crop_size, crop_size, 3) uint8 RGB of each needed frame.

        Returns:
            (1, F, C, size, size) float32, the pictures of the network's view.
        """
        onset, frames = crops[keyframes.onset_frame], keyframes.frames_of_sequence
        size = self.card.size
        if self.view == "pair":
            pair = np.stack([onset, crops[keyframes.apex_frame]]).transpose(0, 3, 1, 2)
            pictures = torch.from_numpy(np.ascontiguousarray(resized(pair, size))).to(self.device)
            return normalise(pictures, self.card.mean, self.card.std)[None]
        if self.view == "sequence":
            grey = resized(to_grey(np.stack([crops[frame] for frame in frames])), size)
            return torch.from_numpy(grey).to(self.device)[None].float() / 255
        wanted = (keyframes.apex_frame,) if self.view == "flow" else frames
        flows = {frame: motion(onset, crops[frame], self._method) for frame in sorted(set(wanted))}
        flow = scale_flow(np.stack([flows[frame] for frame in wanted]).astype(np.float32))
        return torch.from_numpy(resized(flow, size)).to(self.device)[None]

    @torch.no_grad()
    def run(self, pictures: torch.Tensor, aus: Sequence[int] | None = None) -> NetworkOutput:
        """Run the network on one expression.

        Args:
            pictures: As `look` gives them.
            aus: (21,) 0/1, the Action Units that are known; None for the network's own estimate.
        """
        output = self.network.run({**named_tensors(self.view, pictures), **self._aus(aus)})
        logits = output.logits.float() / self.card.temperature
        estimate = None if output.au_logits is None else output.au_logits.float().sigmoid()[0].cpu().numpy()
        return NetworkOutput(logits.softmax(1)[0].cpu().numpy(), estimate, pictures)

    def explain(self, pictures: torch.Tensor) -> Explanation:
        """What the network has to show of one expression, whose pictures are as `make_input` gives them."""
        return self.network.explain({**named_tensors(self.view, pictures), **self._aus(None)})

    def _aus(self, aus: Sequence[int] | None) -> dict[str, torch.Tensor]:
        values = torch.zeros(1, len(AU_NUMBERS)) if aus is None else torch.tensor([list(aus)], dtype=torch.float32)
        known = torch.tensor([aus is not None])
        return {"aus": values.to(self.device), "aus_known": known.to(self.device)}


def load_model(path: Path | None = None, device: str = "auto") -> Model:
    """Load a run folder, a fold folder, a weights file or an ONNX file; the newest finished run where None is given.

    Raises:
        MerError: There is none, it cannot be used, or the device is absent.
    """
    path = newest_run() if path is None else path
    if path.suffix == ".onnx":
        # Imported here because it is an extra.
        from mer_pipeline.inference.onnx_backend import OnnxNetwork

        network = OnnxNetwork(path, device)
        return Model(network, network.card, torch.device("cpu"), path)
    chosen = choose_device(device)
    state, card = load_network(path)
    return Model(rebuild(state, card, path).to(chosen), card, chosen, path)


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
