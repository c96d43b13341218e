"""The chain that made a cache: what the stages were given, as `dataset.json` and the card of a network record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from mer_pipeline.errors import MerError
from mer_pipeline.reading import Between, Checked, Count, JsonObject, SidePx, listed, picked, read_json

PUBLISHED = "published"  # the motion of published flow images, which no stage computed


@dataclass(frozen=True)
class Chain(Checked):
    """What the stages were given, so that a new video can be given the same.

    Attributes:
        size: Side of the crops, in pixels.
        detector: Its name, then what identifies the files that it needs; empty for published flow images.
        registration: `stable` or `none`; empty for published flow images.
        motion: `none`, `tvl1`, `dis`, or `published`.
        frames: Length of the sequences that were cropped; 0 for none.
        stages: Version of every stage; empty where that was not recorded.
    """

    size: SidePx
    detector: tuple[Any, ...] = ("mediapipe",)
    registration: Annotated[str, frozenset({"stable", "none", ""})] = "stable"
    motion: Annotated[str, frozenset({"none", "tvl1", "dis", PUBLISHED})] = "none"
    frames: Annotated[int, Between(0, 256)] = 0
    stages: Mapping[str, Count] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.detector and not isinstance(self.detector[0], str):
            raise ValueError(f"detector must begin with a name, got {self.detector!r}")

    @property
    def detector_name(self) -> str:
        """The name alone; empty for published flow images."""
        return str(self.detector[0]) if self.detector else ""

    def as_json(self) -> JsonObject:
        """JSON values, as `dataset.json` has them under `parameters`, with the versions of the stages."""
        return {**asdict(self), "detector": list(self.detector), "stages": dict(self.stages)}

    @classmethod
    def from_json(cls, values: Any, **known: Any) -> Chain:
        """Read what `as_json` gives; entries that an older version did not write have their defaults.

        Raises:
            KeyError, TypeError, ValueError: The values do not describe a chain.
        """
        found = picked(cls, values)
        detector = tuple(map(_frozen, listed(found.get("detector", cls.detector))))
        return super().from_json(found, detector=detector, **known)


def read_chain(dataset: Path) -> Chain | None:
    """The chain of a preprocessed dataset; None where none is recorded.

    Raises:
        MerError: `dataset.json` is damaged.
    """
    path = dataset / "dataset.json"
    if not path.is_file():
        return None
    try:
        values = read_json(path)
        return Chain.from_json({**values["parameters"], "stages": values["stages"]})
    except (MerError, ValueError, KeyError, TypeError):
        raise MerError("damaged or unreadable", where=path, fix="run mer preprocess again") from None


def is_synthetic(dataset: Path) -> bool:
    """Whether a preprocessed dataset was written by `mer synth`; False where that is not recorded.

    Raises:
        MerError: `dataset.json` is damaged.
    """
    path = dataset / "dataset.json"
    return path.is_file() and bool(read_json(path).get("synthetic", False))


def _frozen(value: Any) -> Any:
    """Lists of JSON as tuples, which compare and hash."""
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
