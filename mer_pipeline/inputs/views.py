"""What a network is shown of a clip: one class a view, and one array from it for training, scoring and prediction.

A view asks a clip for crops and flow, and makes one array of them. Where these come from is the clip's affair: a
`CachedClip` reads what the stages have stored, a `CroppedClip` has crops in memory and computes its flow from them. So
what a network is trained on and what it is given for a new video are the same to the last bit.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from mer_pipeline.arrays import Image, Pictures
from mer_pipeline.cache import Artefact, Store
from mer_pipeline.cache.clips import artefact_of
from mer_pipeline.cache.manifest import ManifestRow, rows_of
from mer_pipeline.choices import VIEW_WORDS, Method
from mer_pipeline.errors import MerError
from mer_pipeline.inputs.normalise import MEAN, STD, normalise
from mer_pipeline.inputs.pictures import resized, scale_flow, to_grey
from mer_pipeline.networks import View as ViewName
from mer_pipeline.stages.flow import motion
from mer_pipeline.stages.keyframes import KeyFrames


class ClipFrames(abc.ABC):
    """The crops of one clip, and the flow between them.

    Attributes:
        keyframes: Which frames it has.
    """

    keyframes: KeyFrames

    @abc.abstractmethod
    def crops(self, frames: Sequence[int]) -> Image:
        """(frames, S, S, 3) uint8 RGB of some frames."""

    @abc.abstractmethod
    def flow(self) -> Pictures:
        """(1, 3, S, S) u, v and strain from onset to apex, as networks are given them."""

    @abc.abstractmethod
    def flow_sequence(self) -> Pictures:
        """(T, 3, S, S) float16 u and v in pixels and strain from the onset to each frame of the sequence."""


@dataclass(frozen=True)
class CroppedClip(ClipFrames):
    """A clip whose crops are in memory.

    Attributes:
        keyframes: As the view gives them.
        images: (S, S, 3) uint8 RGB of every needed frame, by its index.
        method: How flow is computed.
    """

    keyframes: KeyFrames
    images: Mapping[int, Image]
    method: Method = "tvl1"

    def crops(self, frames: Sequence[int]) -> Image:
        """See `ClipFrames`."""
        return np.stack([self.images[frame] for frame in frames])

    def flow(self) -> Pictures:
        """See `ClipFrames`."""
        return scale_flow(self._flows([self.keyframes.apex_frame]))

    def flow_sequence(self) -> Pictures:
        """See `ClipFrames`."""
        return self._flows(self.keyframes.frames_of_sequence)

    def _flows(self, frames: Sequence[int]) -> Pictures:
        onset = self.images[self.keyframes.onset_frame]
        flows = {frame: motion(onset, self.images[frame], self.method) for frame in sorted(set(frames))}
        return np.stack([flows[frame] for frame in frames])


class CachedClip(ClipFrames):
    """A clip of a cache.

    Args:
        store: The artefacts of the cache.
        row: The clip's row of the manifest.
        frames: Length of a sequence.
    """

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
        held = list(found.facts["frames"])
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


class View(abc.ABC):
    """One way of showing a clip to a network.

    Attributes:
        name: As networks state it.
        shows_flow: Whether its first two channels are the x and y parts of a motion.
        is_sequence: Whether it is of several frames between onset and offset.
        fix: What to do where a cache does not have it.
    """

    name: ClassVar[ViewName]
    shows_flow: ClassVar[bool] = False
    is_sequence: ClassVar[bool] = False
    fix: ClassVar[str]

    def key_frames(self, keyframes: KeyFrames, frames: int) -> KeyFrames:
        """The key frames together with the frames between them that are shown.

        Args:
            keyframes: Onset, apex and offset.
            frames: Length of a sequence.
        """
        return replace(keyframes, sequence=frames) if self.is_sequence else keyframes

    @abc.abstractmethod
    def usable(self, table: pd.DataFrame) -> pd.Series[bool]:
        """Which clips of a manifest have what is shown."""

    @abc.abstractmethod
    def array(self, clip: ClipFrames, size: int) -> Pictures:
        """The pictures of one clip as they are kept in memory, (F, C, size, size)."""

    def tensor(self, pictures: torch.Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> torch.Tensor:
        """Pictures (..., F, C, size, size) as a network is given them, float32.

        Args:
            pictures: As `array` makes them.
            mean: What is subtracted from RGB in 0..1.
            std: What it is divided by then.
        """
        del mean, std
        return pictures.float()


class PairView(View):
    """Onset and apex: (2, 3, size, size) uint8 RGB, normalised for the network."""

    name = "pair"
    fix = "choose a --model that takes flow"

    def usable(self, table: pd.DataFrame) -> pd.Series[bool]:
        """Clips that were recorded as frames."""
        return _recorded(table)

    def array(self, clip: ClipFrames, size: int) -> Pictures:
        """See `View`."""
        frames = clip.keyframes.onset_frame, clip.keyframes.apex_frame
        return resized(clip.crops(frames).transpose(0, 3, 1, 2), size)

    def tensor(self, pictures: torch.Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> torch.Tensor:
        """See `View`."""
        return normalise(pictures, mean, std)


class SequenceView(View):
    """Frames from onset to offset: (T, 1, size, size) uint8 grey, 0..1 for the network."""

    name = "sequence"
    is_sequence = True
    fix = "mer preprocess --frames 8, or another --model"

    def usable(self, table: pd.DataFrame) -> pd.Series[bool]:
        """Clips that were recorded as frames."""
        return _recorded(table)

    def array(self, clip: ClipFrames, size: int) -> Pictures:
        """See `View`."""
        return resized(to_grey(clip.crops(clip.keyframes.frames_of_sequence)), size)

    def tensor(self, pictures: torch.Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> torch.Tensor:
        """See `View`."""
        del mean, std
        return pictures.float() / 255


class FlowView(View):
    """Flow from onset to apex: (1, 3, size, size) float32 u, v and strain, in hundredths of the side and of 1."""

    name = "flow"
    shows_flow = True
    fix = "mer preprocess --motion tvl1, or another --model"

    def usable(self, table: pd.DataFrame) -> pd.Series[bool]:
        """Published flow images, and clips with a motion of their own."""
        return (table["kind"] == "flow") | _moved(table)

    def array(self, clip: ClipFrames, size: int) -> Pictures:
        """See `View`."""
        return resized(clip.flow(), size)


class FlowSequenceView(View):
    """Flow from the onset to each frame of a sequence: (T, 3, size, size) float16, in the units of `FlowView`."""

    name = "flow_sequence"
    shows_flow = is_sequence = True
    fix = "mer preprocess --motion tvl1 --frames 8, or another --model"

    def usable(self, table: pd.DataFrame) -> pd.Series[bool]:
        """Clips with a motion of their own."""
        return _moved(table)

    def array(self, clip: ClipFrames, size: int) -> Pictures:
        """See `View`."""
        return resized(scale_flow(clip.flow_sequence()).astype(np.float16), size)


VIEWS: Mapping[str, View] = {view.name: view for view in (PairView(), SequenceView(), FlowView(), FlowSequenceView())}


def has_view(table: pd.DataFrame, view: View, cache: Path) -> pd.Series[bool]:
    """Which clips of the manifests can be shown in a view; those that failed count where others have what is shown.

    Raises:
        MerError: None can, or some are on another scale than others.
    """
    published, moved = table["kind"] == "flow", _moved(table)
    if view.name == "flow" and published.any() and moved.any():
        raise MerError(
            "holds published flow images, which are scaled one by one, and flow in pixels",
            where=cache,
            fix="keep them in two caches; mer preprocess --flow-images writes flow like the published",
        )
    has = view.usable(table)
    if not has.any():
        raise MerError(f"no clips for a network that takes {VIEW_WORDS[view.name]}", where=cache, fix=view.fix)
    if view.name == "pair" or not moved.any():
        return has
    return has | (_recorded(table) & (table["status"] != "ok"))


def read_pictures(cache: Path, rows: pd.DataFrame, view: View, size: int, frames: int) -> Pictures:
    """The pictures of some clips of a cache, (clips, F, C, size, size).

    Args:
        cache: Where the artefacts lie.
        rows: Rows of the manifest.
        view: What is shown.
        size: Side of the result in pixels.
        frames: Length of a sequence.

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


def _recorded(table: pd.DataFrame) -> pd.Series[bool]:
    return table["kind"] == "frames"


def _moved(table: pd.DataFrame) -> pd.Series[bool]:
    return _recorded(table) & table["motion_key"].notna()
