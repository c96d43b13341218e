"""The card of a trained network: what it is, how it was trained, and how its clips were made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mer_pipeline.cache import write_atomically
from mer_pipeline.cache.chain import Chain
from mer_pipeline.errors import MerError

FORMAT = 1
_FRAMES = 8  # of a sequence, where an old card does not say


@dataclass(frozen=True)
class Card:
    """Everything that is needed to rebuild a trained network and to feed it.

    Attributes:
        model: Name in the zoo.
        network, options: What `networks.build` takes.
        size: Side of what the network is shown, in pixels.
        mean, std: Normalisation of RGB in 0..1.
        classes: Names in the order of the logits.
        labels: The label set that the classes come from.
        held_out: The group that training never saw; None for the network trained on everybody.
        seed, epochs: How it was trained.
        clips, subjects: How many it was trained on.
        datasets: Which sets they come from.
        versions: Of mer, torch and Python.
        chain: How the stages made its training clips: the same is done to a new video.
        temperature: What logits are divided by before they become probabilities; 1 where it was not fitted.
        least_probability: Classes from this probability on make the set that holds the truth of a new subject's clip in
            nine cases of ten (conformal prediction); None where there were too few subjects to say.
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
    chain: Chain | None = None
    temperature: float = 1.0
    least_probability: float | None = None
    format: int = FORMAT

    @property
    def crop_size(self) -> int:
        """Side of the crops that are resized to `size`, in pixels; flow is measured on them."""
        return self.size if self.chain is None else self.chain.size

    @property
    def flow(self) -> str:
        """How flow was computed: `tvl1`, `dis`, `published` for published flow images, or `none`."""
        return "none" if self.chain is None else self.chain.motion

    @property
    def frames(self) -> int:
        """Length of the sequences that the network was trained on."""
        return int(self.options.get("frames", _FRAMES))

    def as_json(self) -> dict[str, Any]:
        """JSON values; `read_card` reads them."""
        chain = None if self.chain is None else self.chain.as_json()
        return {**asdict(self), "crop_size": self.crop_size, "flow": self.flow, "chain": chain}


@dataclass(frozen=True)
class Prediction:
    """What a network answered for one clip.

    Attributes:
        clip_id: `dataset/subject/clip`.
        fold: The group that was held out.
        selection: `last`, `inner` or `oracle` (optimistic: epoch chosen on the test fold).
        aus: Where the Action Unit input came from: `annotated`, `predicted`, `none`, or `unused`.
        truth, predicted: Class names.
        probabilities: One for each class, in the order of the card.
        logits: Before the softmax; None where they were not recorded.
    """

    clip_id: str
    fold: str
    selection: str
    aus: str
    truth: str
    predicted: str
    probabilities: list[float]
    logits: list[float] | None = None


def read_card(text: str, file: Path) -> Card:
    """The card that a weights file carries as JSON.

    Raises:
        MerError: It is of another version, or lacks entries.
    """
    try:
        values = json.loads(text)
        written = values.get("format")
    except (ValueError, AttributeError):
        raise MerError("the card of the weights is damaged", where=file, fix="train again") from None
    if written != FORMAT:
        raise MerError(
            f"written by another version (format {written}, this is {FORMAT})", where=file, fix="train again"
        )
    crop_size, flow, chain = (values.pop(name, None) for name in ("crop_size", "flow", "chain"))
    try:
        # A card of a version that did not record the chain names the crops and the flow alone.
        old = Chain(crop_size or values["size"], (), "", flow or "none")
        known = old if chain is None else Chain.from_json(chain)
        return Card(**values, chain=known)
    except (TypeError, KeyError):
        raise MerError("the card of the weights lacks entries", where=file, fix="train again") from None
    except ValueError as error:
        raise MerError(f"the card of the weights is damaged ({error})", where=file, fix="train again") from None


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
