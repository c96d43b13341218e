"""The clips of a cache by their ids: as networks are given them and, where that is wanted, for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mer_pipeline.arrays import Image
from mer_pipeline.cache import Store
from mer_pipeline.cache.manifest import ManifestRow, read_manifests, rows_of
from mer_pipeline.errors import MerError
from mer_pipeline.inputs.stored import CachedClip
from mer_pipeline.inputs.views import VIEWS
from mer_pipeline.networks import AU_COUNT, ViewName, named_tensors
from mer_pipeline.runs.card import Card


class CachedClips:
    """The clips of a cache by their ids."""

    def __init__(self, cache: Path) -> None:
        """Read the manifests.

        Raises:
            MerError: There is no preprocessed dataset.
        """
        table = read_manifests(cache)
        self._cache, self._store = cache, Store(cache / "objects")
        self._rows = {row.clip_id: row for row in rows_of(table[table["status"] == "ok"])}

    def row(self, clip_id: str) -> ManifestRow:
        """The clip's row of the manifest.

        Raises:
            MerError: The cache does not hold it.
        """
        if clip_id not in self._rows:
            raise MerError(f"does not hold {clip_id}", where=self._cache, fix="give the cache of the training")
        return self._rows[clip_id]

    def shows_face(self, clip_id: str) -> bool:
        """Whether it was recorded as frames, and so aligned; published flow images are not."""
        return self.row(clip_id).kind == "frames"

    def pair(self, clip_id: str) -> tuple[Image, Image]:
        """Onset and apex, (size, size, 3) uint8 RGB."""
        clip = CachedClip(self._store, self.row(clip_id), 0)
        onset, apex = clip.crops((clip.keyframes.onset_frame, clip.keyframes.apex_frame))
        return onset, apex

    def batch(self, clip_id: str, view: ViewName, card: Card) -> dict[str, torch.Tensor]:
        """What a network takes of one clip; its Action Units are unknown, and maps do not depend on them.

        Raises:
            MerError: An artefact is absent or damaged, or holds other frames.
        """
        shown, clip = VIEWS[view], CachedClip(self._store, self.row(clip_id), card.frames)
        images = torch.from_numpy(np.ascontiguousarray(shown.array(clip, card.size)))
        units = {"aus": torch.zeros(1, AU_COUNT), "aus_known": torch.zeros(1, dtype=torch.bool)}
        return {**named_tensors(view, shown.tensor(images, card.mean, card.std)[None]), **units}
