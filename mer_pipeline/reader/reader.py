"""A few small perceptrons over coarse cells of flow, whose answers are averaged."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from mer_pipeline.arrays import FloatImage, Pictures
from mer_pipeline.choices import NONE
from mer_pipeline.reader.features import cells, mirrored, normalised, to_side
from mer_pipeline.reading import Json

NAME = "shipped"
GROUPS = ("negative", "positive", "surprise", NONE)  # none: blink, gaze, speech, a turn of the head, noise
_PARTS = ("hidden.weight", "hidden.bias", "out.weight", "out.bias")


@dataclass(frozen=True)
class Reading:
    """What was read of some clips.

    Attributes:
        groups: (clips, 4) probability of each of `GROUPS`.
        aus: (clips, 21) of each Action Unit, in the order of `facs.AU_NUMBERS`: a number from 0 to 1 that is 0.5 where
            naming it has the highest F1 on computed motion, seen in crops of the same kind. In such motion it is a
            probability but for an offset.
    """

    groups: npt.NDArray[np.float32]
    aus: npt.NDArray[np.float32]


@dataclass(frozen=True)
class CellPerceptron:
    """One hidden layer over `cells` x `cells` cells.

    Attributes:
        cells: Cells a side.
        tensors: `hidden.weight` (units, 2 * cells^2), `hidden.bias`, `out.weight` (4 + 21, units), `out.bias`.
    """

    cells: int
    tensors: Mapping[str, npt.NDArray[np.float32]]

    def __call__(self, fields: FloatImage) -> npt.NDArray[np.float32]:
        """(clips, 25) logits of groups and Action Units; a face and its mirror image count alike."""
        both = [self._logits(cells(each, self.cells)) for each in (fields, mirrored(fields))]
        return np.asarray((both[0] + both[1]) / 2, np.float32)

    def _logits(self, means: FloatImage) -> npt.NDArray[np.float32]:
        weight, bias, out_weight, out_bias = (self.tensors[part] for part in _PARTS)
        hidden = np.maximum(means.reshape(len(means), -1) @ weight.T + bias, 0)
        return np.asarray(hidden @ out_weight.T + out_bias, np.float32)


class FlowReader:
    """Reads flow from onset to apex.

    In an aligned crop a place is always the same part of a face, so that its Action Units are read by perceptrons that
    learnt from such crops alone.

    Attributes:
        members: The perceptrons for groups, and for the Action Units of published images.
        aligned: Those for the Action Units of aligned crops.
        card: What its weights file says of it: temperature and thresholds.
    """

    def __init__(
        self, members: Sequence[CellPerceptron], aligned: Sequence[CellPerceptron], card: Mapping[str, Json]
    ) -> None:
        self.members, self.aligned, self.card = tuple(members), tuple(aligned), card
        known = cast("Mapping[str, Any]", card)
        self._temperature = known["temperature"]
        self._thresholds, self._aligned_thresholds = (
            np.asarray(known[name], np.float32) for name in ("au_thresholds", "aligned_au_thresholds")
        )

    def read(self, flow: Pictures, *, aligned: bool) -> Reading:
        """Read clips.

        Args:
            flow: (clips, 2 or more, S, S): u and v first, in any unit.
            aligned: Whether these are crops as the stages make them, or published flow images.
        """
        fields = normalised(to_side(flow, aligned))
        logits = mean_logits(self.members, fields)
        scaled = logits[:, : len(GROUPS)] / self._temperature
        powers = np.exp(scaled - scaled.max(1, keepdims=True))
        thresholds = self._aligned_thresholds if aligned else self._thresholds
        logits = mean_logits(self.aligned, fields) if aligned else logits
        units = 1 / (1 + np.exp(thresholds - logits[:, len(GROUPS) :]))
        return Reading(np.asarray(powers / powers.sum(1, keepdims=True), np.float32), np.asarray(units, np.float32))

    def as_bytes(self) -> bytes:
        """The weights file: half precision, the card in its header."""
        every = {"": self.members, "aligned.": self.aligned}
        tensors = {
            f"{name}{at}.{part}": values.astype(np.float16)
            for name, members in every.items()
            for at, member in enumerate(members)
            for part, values in member.tensors.items()
        }
        cells = {f"{name}cells": [member.cells for member in members] for name, members in every.items()}
        return safetensors.numpy.save(tensors, metadata={"card": json.dumps({**self.card, **cells}, sort_keys=True)})

    @classmethod
    def from_bytes(cls, content: bytes) -> FlowReader:
        """Read what `as_bytes` wrote."""
        length = int.from_bytes(content[:8], "little")
        card = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["card"])
        tensors = {name: values.astype(np.float32) for name, values in safetensors.numpy.load(content).items()}
        members, aligned = (
            [
                CellPerceptron(count, {part: tensors[f"{name}{at}.{part}"] for part in _PARTS})
                for at, count in enumerate(card[f"{name}cells"])
            ]
            for name in ("", "aligned.")
        )
        return cls(members, aligned, card)


def mean_logits(members: Sequence[CellPerceptron], fields: FloatImage) -> npt.NDArray[np.float32]:
    """(clips, 25) what several perceptrons say of normalised fields, averaged."""
    return np.asarray(np.mean([member(fields) for member in members], 0), np.float32)


@functools.cache
def shipped() -> FlowReader:
    """The reader that is part of the package."""
    return FlowReader.from_bytes(_part("weights.safetensors"))


def about() -> str:
    """What the shipped reader is and what it scored, in one line; `measured.json` has the figures of its card."""
    measured = json.loads(_part("measured.json"))
    both, casme2, smic = (measured[name] for name in ("all", "casme2", "smic"))
    return (
        f"the model that ships: it learnt from drawn motion alone, and its UF1 on {both['clips']} real clips is "
        f"{both['uf1']:.3f} (CASME II {casme2['uf1']:.3f}, SMIC-HS {smic['uf1']:.3f}; negative, positive, surprise)"
    )


def _part(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()
