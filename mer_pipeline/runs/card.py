"""The card of a trained network: what it is, how it was trained, and how its clips were made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

from mer_pipeline.cache import write_atomically
from mer_pipeline.cache.chain import Chain
from mer_pipeline.errors import MerError
from mer_pipeline.reading import (
    Between,
    Checked,
    Count,
    JsonObject,
    Name,
    Option,
    Share,
    SidePx,
    json_bytes,
    parse_json,
    unfit_option,
)

FORMAT = 1
_FRAMES = 8  # of a sequence, where an old card does not say
Temperature = Annotated[float, Between(0.01, 100)]  # what `evaluation.calibration` fits lies well inside
_Mean = Annotated[float, Between(-1000, 1000)]
_Deviation = Annotated[float, Between(1e-4, 1000)]


@dataclass(frozen=True)
class Card(Checked):
    """Everything that is needed to rebuild a trained network and to feed it.

    Attributes:
        model: Name in the zoo.
        network, options: What `networks.build` takes.
        size: Side of what the network is shown, in pixels.
        mean, std: Normalisation of RGB in 0..1; empty for the model that ships, which is shown none.
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
        au_trained: The Action Units that at least one training clip shows; empty where none was annotated, None on the
            cards of older versions, which do not say.
        au_f1, au_constant_f1: Number of an Action Unit -> F1 of the estimates on held-out subjects, and of naming it in
            every clip; empty where that was not measured.
        format: Version of this card.
    """

    model: Name
    network: Name
    options: dict[str, Option]
    size: SidePx
    mean: Annotated[list[_Mean], Between(0, 3)]
    std: Annotated[list[_Deviation], Between(0, 3)]
    classes: Annotated[list[Name], Between(2, 1000)]
    labels: str
    held_out: str | None
    seed: Count
    epochs: Count
    clips: Count
    subjects: Count
    datasets: list[str]
    versions: dict[str, str]
    chain: Chain | None = None
    temperature: Temperature = 1.0
    least_probability: Share | None = None
    au_trained: list[Count] | None = None
    au_f1: dict[str, Share] = field(default_factory=dict)
    au_constant_f1: dict[str, Share] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes has one name twice: {self.classes}")
        if problem := unfit_option(self.options):
            raise ValueError(f"options holds {problem}")

    @property
    def crop_size(self) -> int:
        """Side of the crops that are resized to `size`, in pixels; flow is measured on them."""
        return self.size if self.chain is None else self.chain.size

    @property
    def flow(self) -> str:
        """How flow was computed: `tvl1`, `dis`, `published` for published flow images, or `none`."""
        return "none" if self.chain is None else self.chain.motion

    @property
    def au_words(self) -> str:
        """How far the estimate of Action Units may be believed; empty where that was not measured."""
        if self.au_trained == []:
            return "trained without Action Units: none are named"
        if not self.au_f1:
            return ""
        mean, constant = (sum(each.values()) / len(each) for each in (self.au_f1, self.au_constant_f1))
        never = [number for number, f1 in self.au_f1.items() if f1 == 0]
        return (
            f"Action Units of new subjects: F1 {mean:.2f} on average over {len(self.au_f1)} "
            f"({constant:.2f} for naming each in every clip)" + (f"; never found: {', '.join(never)}" if never else "")
        )

    @property
    def frames(self) -> int:
        """Length of the sequences that the network was trained on."""
        return cast(int, self.options.get("frames", _FRAMES))

    def as_json(self) -> JsonObject:
        """JSON values; `read_card` reads them."""
        chain = None if self.chain is None else self.chain.as_json()
        return {**asdict(self), "crop_size": self.crop_size, "flow": self.flow, "chain": chain}


@dataclass(frozen=True)
class Prediction(Checked):
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
    probabilities: list[Share]
    logits: list[float] | None = None


def read_card(text: str, file: Path) -> Card:
    """The card that a weights file carries as JSON.

    Raises:
        MerError: It is of another version, lacks entries, or has an impossible one.
    """
    try:
        values = parse_json(text)
        written = values.get("format")
    except (ValueError, AttributeError, RecursionError):
        raise MerError("the card of the weights is damaged", where=file, fix="train again") from None
    if type(written) is not int or written != FORMAT:
        raise MerError(
            f"written by another version (format {written}, this is {FORMAT})", where=file, fix="train again"
        )
    try:
        # A card of a version that did not record the chain names the crops and the flow alone.
        chain = values.get("chain")
        known = Chain.from_json(chain) if chain is not None else Chain(
            values.get("crop_size") or values["size"], (), "", values.get("flow") or "none"
        )  # fmt: skip
        card = Card.from_json(values, chain=known)
        if {len(card.mean), len(card.std)} != {3}:
            raise ValueError(f"mean and std must have 3 parts, got {card.mean} and {card.std}")
        return card
    except KeyError:
        raise MerError("the card of the weights lacks entries", where=file, fix="train again") from None
    except (ValueError, TypeError) as error:
        raise MerError(f"the card of the weights is damaged ({error})", where=file, fix="train again") from None


def write_json(path: Path, values: Any) -> None:
    """Write JSON values with their checksum, whole or not at all; `reading.read_json` reads them."""
    write_atomically(path, json_bytes(values))
