"""The pictures of clips, read from a cache for networks to look at and, where that is wanted, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from mer_pipeline.arrays import Image
from mer_pipeline.cache import Store
from mer_pipeline.cache.clips import artefact_of
from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.errors import MerError
from mer_pipeline.inputs.normalise import normalise
from mer_pipeline.inputs.pictures import resized, scale_flow, to_grey
from mer_pipeline.networks import AU_COUNT, View, named_tensors
from mer_pipeline.runs.card import Card
from mer_pipeline.stages.keyframes import KeyFrames, uniform_frames

_FRAMES = 8  # of a sequence, where a card does not say


class CachedClips:
    """The clips of a cache by their ids."""

    def __init__(self, cache: Path) -> None:
        """Read the manifests.

        Raises:
            MerError: There is no preprocessed dataset.
        """
        table = read_manifests(cache)
        usable = table[table["status"] == "ok"]
        records: list[dict[str, Any]] = [
            dict(zip(usable.columns, values, strict=True)) for values in usable.itertuples(index=False)
        ]
        self._cache, self._store = cache, Store(cache / "objects")
        self._rows = {
            row["clip_id"]: {name: None if pd.isna(value) else value for name, value in row.items()} for row in records
        }

    def row(self, clip_id: str) -> dict[str, Any]:
        """The clip's row of the manifest.

        Raises:
            MerError: The cache does not hold it.
        """
        if clip_id not in self._rows:
            raise MerError(f"does not hold {clip_id}", where=self._cache, fix="give the cache of the training")
        return self._rows[clip_id]

    def shows_face(self, clip_id: str) -> bool:
        """Whether it was recorded as frames, and so aligned; published flow images are not."""
        return bool(self.row(clip_id)["kind"] == "frames")

    def pair(self, clip_id: str) -> tuple[Image, Image]:
        """Onset and apex, (size, size, 3) uint8 RGB."""
        onset, apex = self._crops(clip_id, self._key_frames(clip_id))
        return onset, apex

    def batch(self, clip_id: str, view: View, card: Card) -> dict[str, torch.Tensor]:
        """What a network takes of one clip; its Action Units are unknown, and maps do not depend on them.

        Args:
            clip_id: `dataset/subject/clip`.
            view: What the network looks at.
            card: Of the network.

        Raises:
            MerError: An artefact is absent or damaged, or holds other frames.
        """
        images = torch.from_numpy(np.ascontiguousarray(resized(self._pictures(clip_id, view, card), card.size)))
        seen = normalise(images, card.mean, card.std) if view == "pair" else images.float()
        seen = seen / 255 if view == "sequence" else seen
        units = {"aus": torch.zeros(1, AU_COUNT), "aus_known": torch.zeros(1, dtype=torch.bool)}
        return {**named_tensors(view, seen[None]), **units}

    def _pictures(self, clip_id: str, view: View, card: Card) -> npt.NDArray[Any]:
        """(F, C, S, S) as the cache has them."""
        row = self.row(clip_id)
        if view == "pair":
            return np.stack(self.pair(clip_id)).transpose(0, 3, 1, 2)
        if view == "sequence":
            keys = KeyFrames(row["onset_frame"], row["apex_frame"], row["offset_frame"])
            wanted = uniform_frames(keys, int(card.options.get("frames", _FRAMES)))
            return to_grey(np.stack(self._crops(clip_id, wanted)))
        arrays = artefact_of(self._store, row, "motion").arrays
        if view == "flow_sequence" and "flow_sequence" not in arrays:
            raise MerError("the flow of its frames is not in the cache", where=clip_id, fix="run mer preprocess again")
        flow = (arrays["flow_sequence"] if view == "flow_sequence" else arrays["flow"][None]).astype(np.float32)
        return flow if row["kind"] == "flow" else scale_flow(flow)

    def _key_frames(self, clip_id: str) -> tuple[int, int]:
        row = self.row(clip_id)
        return row["onset_frame"], row["apex_frame"]

    def _crops(self, clip_id: str, frames: tuple[int, ...]) -> list[Image]:
        crops = artefact_of(self._store, self.row(clip_id), "crop")
        held = crops.facts["frames"]
        if missing := sorted(set(frames) - set(held)):
            raise MerError(f"frames {missing} are not in the cache", where=clip_id, fix="run mer preprocess again")
        return [crops.arrays["crops"][held.index(frame)] for frame in frames]
