"""What a network is shown of a clip: one class a view, and one array from it for training, scoring and prediction.

A view asks a clip for crops and flow, and makes one array of them. Where these come from is the clip's affair: a
`CachedClip` reads what the stages have stored, a `CroppedClip` has crops in memory and computes its flow from them. So
what a network is trained on and what it is given for a new video are the same to the last bit.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mer_pipeline.arrays import Image, Pictures
from mer_pipeline.choices import Method
from mer_pipeline.inputs.normalise import MEAN, STD, normalise
from mer_pipeline.inputs.pictures import resized, scale_flow, to_grey
from mer_pipeline.stages.flow import motion
from mer_pipeline.stages.keyframes import KeyFrames

if TYPE_CHECKING:  # they take a second to import, and arrays need none
    import pandas as pd
    import torch

    from mer_pipeline.networks import ViewName


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
        """The key frames together with the frames between them that are shown."""
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
        return recorded(table)

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
        return recorded(table)

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
        return (table["kind"] == "flow") | moved(table)

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
        return moved(table)

    def array(self, clip: ClipFrames, size: int) -> Pictures:
        """See `View`."""
        return resized(scale_flow(clip.flow_sequence()).astype(np.float16), size)


VIEWS: Mapping[str, View] = {view.name: view for view in (PairView(), SequenceView(), FlowView(), FlowSequenceView())}


def recorded(table: pd.DataFrame) -> pd.Series[bool]:
    """Which clips of a manifest are frames of a camera."""
    return table["kind"] == "frames"


def moved(table: pd.DataFrame) -> pd.Series[bool]:
    """Which of them have a flow of their own."""
    return recorded(table) & table["motion_key"].notna()
