"""Clips of a cache as networks are shown them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mer_pipeline.arrays import Image, Pictures
from mer_pipeline.cache import Artefact, Store
from mer_pipeline.cache.clips import artefact_of
from mer_pipeline.cache.manifest import ManifestRow, rows_of
from mer_pipeline.choices import VIEW_WORDS
from mer_pipeline.errors import MerError
from mer_pipeline.inputs.pictures import scale_flow
from mer_pipeline.inputs.views import ClipFrames, View, moved, recorded
from mer_pipeline.stages.keyframes import KeyFrames


class CachedClip(ClipFrames):
    """A clip of a cache."""

    def __init__(self, store: Store, row: ManifestRow, frames: int) -> None:
        self._store, self._row = store, row
        self._published = row.kind == "flow"
        if row.onset_frame is not None and row.apex_frame is not None:  # a published flow image has no frames
            self.keyframes = KeyFrames(row.onset_frame, row.apex_frame, row.offset_frame, sequence=frames)

    def crops(self, frames: Sequence[int]) -> Image:
        """See `ClipFrames`.

        Raises:
            MerError: The artefact is absent or damaged, or holds other frames.
        """
        found = self._artefact("crop")
        held = found.frames
        if missing := sorted(set(frames) - set(held)):
            raise self._other_frames(f"frames {missing} are not in the cache")
        return np.asarray(found.arrays["crops"][[held.index(frame) for frame in frames]])

    def flow(self) -> Pictures:
        """See `ClipFrames`; published flow images stay as they are, since each was scaled on its own.

        Raises:
            MerError: The artefact is absent or damaged.
        """
        flow = self._artefact("motion").arrays["flow"][None]
        return flow.astype(np.float32) if self._published else scale_flow(flow)

    def flow_sequence(self) -> Pictures:
        """See `ClipFrames`.

        Raises:
            MerError: The artefact is absent or damaged, or holds other frames.
        """
        flows = self._artefact("motion").arrays.get("flow_sequence")
        if flows is None or len(flows) != self.keyframes.sequence:
            raise self._other_frames(f"the flow of {self.keyframes.sequence} frames is not in the cache")
        return flows

    def _artefact(self, stage: str) -> Artefact:
        return artefact_of(self._store, self._row, stage)

    def _other_frames(self, what: str) -> MerError:
        fix = f"run mer preprocess again with --frames {self.keyframes.sequence}"
        return MerError(what, where=self._row.clip_id, fix=fix)


def has_view(table: pd.DataFrame, view: View, cache: Path) -> pd.Series[bool]:
    """Which clips of the manifests can be shown in a view; those that failed count where others have what is shown.

    Raises:
        MerError: None can, or some are on another scale than others.
    """
    published, computed = table["kind"] == "flow", moved(table)
    if view.name == "flow" and published.any() and computed.any():
        raise MerError(
            "holds published flow images, which are scaled one by one, and flow in pixels",
            where=cache,
            fix="keep them in two caches; mer preprocess --flow-images writes flow like the published",
        )
    has = view.usable(table)
    if not has.any():
        raise MerError(f"no clips for a network that takes {VIEW_WORDS[view.name]}", where=cache, fix=view.fix)
    if view.name == "pair" or not computed.any():
        return has
    return has | (recorded(table) & (table["status"] != "ok"))


def read_pictures(cache: Path, rows: pd.DataFrame, view: View, size: int, frames: int) -> Pictures:
    """The pictures of some clips of a cache, (clips, F, C, size, size).

    Raises:
        MerError: An artefact is absent or damaged, or holds other frames.
    """
    store = Store(cache / "objects")
    result: Pictures | None = None
    for at, row in enumerate(rows_of(rows)):
        found = view.array(CachedClip(store, row, frames), size)
        if result is None:
            # Filled clip by clip: a stack at the end would hold everything twice.
            result = np.empty((len(rows), *found.shape), found.dtype)
        result[at] = found
    assert result is not None
    return result
