"""A clip on disk as a sequence of RGB frames that are decoded only when they are asked for."""

from __future__ import annotations

import abc
import bisect
import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError
from mer_pipeline.video.frame_files import list_frames

_MOST_PIXELS = 100_000_000  # of a frame: one needs 300 MB, and what is made of it several times that
_SAMPLED_BYTES = 1 << 20  # at either end of a file


class Footage(abc.ABC):
    """A clip's frames by 0-based index.

    Attributes:
        path: The video file or the frame folder.
        fps: Frames a second; None where the medium does not say (a frame folder).
        decoded: How many frames have been decoded so far, for those who must prove that none was wasted.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        self.path = path
        self.fps = fps
        self.decoded = 0

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many frames there are."""

    @abc.abstractmethod
    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        """Decode frames at ascending, distinct, valid indices."""

    @property
    @abc.abstractmethod
    def times_s(self) -> npt.NDArray[np.float64] | None:
        """When each frame is shown, (frames,) seconds from the first; None where the medium does not say."""

    @abc.abstractmethod
    def fingerprint(self) -> list[list[str | int]]:
        """Name, size in bytes and modification time (ns) of every file behind the clip; no file is read."""

    @abc.abstractmethod
    def content(self, indices: Iterable[int]) -> str:
        """A hash of bytes of the clip, which differs between clips whose `fingerprint` is the same.

        Args:
            indices: Frames that it must cover beside the first and the last; those outside the clip are left out.
        """

    def read(self, indices: Iterable[int]) -> Iterator[tuple[int, Image]]:
        """Decode the frames at `indices`, each once, in ascending order.

        Yields:
            (index, (H, W, 3) uint8 RGB).

        Raises:
            MerError: An index is outside the clip, or a frame cannot be decoded.
        """
        # A range is in order and may be long.
        wanted = indices if isinstance(indices, range) and indices.step == 1 else sorted(set(indices))
        if wanted and not 0 <= wanted[0] <= wanted[-1] < len(self):
            bad = wanted[0] if wanted[0] < 0 else wanted[-1]
            raise MerError(f"frame {bad} is outside 0..{len(self) - 1}", where=self.path, fix="check onset and offset")
        return self._decode(wanted)

    def frame(self, index: int) -> Image:
        """One frame, (H, W, 3) uint8 RGB."""
        return next(image for _, image in self.read([index]))


class FrameFolder(Footage):
    """A folder with one image a frame, in the order of the last number in each file name.

    Attributes:
        numbers: The number in each frame's file name, ascending.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, fps=None)
        frames = list_frames(path)
        self.numbers = list(frames)
        self._names = list(frames.values())

    def __len__(self) -> int:
        return len(self._names)

    @property
    def times_s(self) -> npt.NDArray[np.float64] | None:
        """A frame folder keeps no times."""
        return None

    def fingerprint(self) -> list[list[str | int]]:
        """Name, size and modification time of every frame."""
        folder = str(self.path)  # a folder has hundreds of frames, and a Path for each takes longer than asking for it
        return [fingerprint(f"{folder}{os.sep}{name}") for name in self._names]

    def content(self, indices: Iterable[int]) -> str:
        """Of the files of the first, the last and the given frames."""
        wanted = {0, len(self) - 1}.union(index for index in indices if 0 <= index < len(self))
        return content_of(*(self.path / self._names[index] for index in sorted(wanted)))

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        for index in indices:
            image = read_image(self.path / self._names[index])
            self.decoded += 1
            yield index, image


class VideoFile(Footage):
    """A video file; frames are addressed by their presentation order, also at a variable frame rate.

    Opening reads the packet table and decodes nothing. A frame is reached from the nearest key frame before it, so in
    codecs without inter-frame compression (MJPEG, as the datasets use) only the wanted frames are decoded.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, fps=None)
        try:
            with _opened(path) as container:
                stream = _video_stream(container, path)
                # Not the packets themselves: together they are as large as the file.
                stamps, keyframes = _packet_table(container.demux(stream))
                self._time_base = Fraction(stream.time_base or 1)
                rate = stream.average_rate or stream.guessed_rate
                keeps_times = container.format.name != "avi"
        except (av.error.FFmpegError, OSError) as error:
            raise _unreadable(path, error) from None
        if not stamps or None in stamps:
            raise MerError("no video frames in this file", where=path, fix="check that it plays in a video player")
        table = np.array(stamps, np.int64)
        order = np.argsort(table, kind="stable")
        self._pts = table[order]
        # AVI stores no presentation times, so where frames depend on each other only their count is certain.
        self._counted = not keeps_times and not all(keyframes)
        keys = np.flatnonzero(np.array(keyframes)[order]).tolist()
        self._keys = keys if keys and not self._counted else [0]
        self.fps = float(rate) if rate else None

    def __len__(self) -> int:
        return len(self._pts)

    @property
    def times_s(self) -> npt.NDArray[np.float64] | None:
        """Presentation times from the packet table, (frames,) seconds from the first frame."""
        return np.asarray((self._pts - self._pts[0]) * float(self._time_base), np.float64)

    def fingerprint(self) -> list[list[str | int]]:
        """Name, size and modification time of the file."""
        return [fingerprint(self.path)]

    def content(self, indices: Iterable[int]) -> str:
        """Of the head and the tail of the file, whichever frames are given."""
        del indices
        return content_of(self.path)

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        at = -1
        try:
            with _opened(self.path) as container:
                stream = _video_stream(container, self.path)
                stream.thread_type = "AUTO"
                frames: Iterator[tuple[int, av.VideoFrame]] | None = None
                for wanted in indices:
                    key = self._keys[bisect.bisect_right(self._keys, wanted) - 1]
                    if frames is None or key > at + 1:
                        container.seek(int(self._pts[key]), stream=stream, backward=True)
                        frames = self._indexed(container.decode(stream))
                    at, frame = next(((i, f) for i, f in frames if i >= wanted), (-1, None))
                    if frame is None or at != wanted:
                        raise self._broken(wanted)
                    yield wanted, _upright(frame)
        except (av.error.FFmpegError, OSError) as error:
            raise (_unreadable(self.path, error) if at < 0 else self._broken(at + 1)) from None

    def _broken(self, frame: int) -> MerError:
        return MerError(f"frame {frame} cannot be decoded", where=self.path, fix="the file may be cut short")

    def _indexed(self, frames: Iterable[av.VideoFrame]) -> Iterator[tuple[int, av.VideoFrame]]:
        for count, frame in enumerate(frames):
            self.decoded += 1
            yield count if self._counted else self._position(frame.pts), frame

    def _position(self, pts: int | None) -> int:
        """The index of the frame with a presentation time; -1 where there is none."""
        at = -1 if pts is None else int(np.searchsorted(self._pts, pts))
        return at if 0 <= at < len(self._pts) and self._pts[at] == pts else -1


def open_footage(path: Path) -> Footage:
    """Open a video file or a folder of frames.

    Raises:
        MerError: It is absent, unreadable, or holds no frames.
    """
    if path.is_dir():
        return FrameFolder(path)
    if not path.exists():
        raise MerError("no such file or folder", where=path, fix="check the path")
    return VideoFile(path)


def read_image(path: Path) -> Image:
    """Read an image file as (H, W, 3) uint8 RGB; grey images get three equal channels.

    Raises:
        MerError: The file is absent or is no image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MerError(f"cannot be read ({error.strerror})", where=path, fix="check the file") from None
    _refuse_huge(_announced_pixels(data), path)
    try:
        # OpenCV prints its own complaint about an empty buffer, so it never sees one.
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise MerError("not a readable image", where=path, fix="it may be damaged; copy it again from the source")
    _refuse_huge(image.shape[0] * image.shape[1], path)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _announced_pixels(data: npt.NDArray[np.uint8]) -> int:
    """How many pixels the header of an image file announces; 0 in formats that OpenCV alone reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(data.tobytes())) as image:
                return int(image.width * image.height)
    except Pillow.DecompressionBombError:  # twice as many as Pillow would warn of
        return _MOST_PIXELS + 1
    except Exception:  # whatever a damaged header leads to
        return 0


def _refuse_huge(pixels: int, path: Path) -> None:
    if pixels > _MOST_PIXELS:
        raise MerError(f"a picture of more than {_MOST_PIXELS // 10**6} megapixels", where=path, fix="make it smaller")


def fingerprint(file: Path | str) -> list[str | int]:
    """Name, size in bytes and modification time (ns) of a file, which is not read."""
    try:
        found = os.stat(file)  # noqa: PTH116 - see FrameFolder.fingerprint
    except OSError as error:
        raise MerError(f"cannot be read ({error.strerror})", where=file, fix="check the file") from None
    return [os.path.basename(file), found.st_size, found.st_mtime_ns]  # noqa: PTH119


def content_of(*files: Path) -> str:
    """A hash of the sizes of files and of their first and last MiB: of all that a file of two MiB holds.

    Raises:
        MerError: One cannot be read.
    """
    digest = hashlib.sha256()  # with what processors have for it, a third of the time of BLAKE2b
    for path in files:
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                digest.update(size.to_bytes(8, "little"))
                for start in (0, max(_SAMPLED_BYTES, size - _SAMPLED_BYTES)):
                    file.seek(start)
                    digest.update(file.read(_SAMPLED_BYTES))
        except OSError as error:
            raise MerError(f"cannot be read ({error.strerror})", where=path, fix="check the file") from None
    return digest.hexdigest()


def _opened(path: Path) -> av.container.InputContainer:
    """The container of a video file.

    Titles and the like may be of any encoding, since none is used. A name such as 12:30:05.mp4 begins like an address,
    and is one for libav unless it follows the protocol of files.
    """
    return av.open(f"file:{path}", metadata_errors="replace")


def _packet_table(packets: Iterable[Any]) -> tuple[list[int | None], list[bool]]:
    """Time stamp of each packet that holds a frame, and whether it is a key frame."""
    stamps: list[int | None] = []
    keyframes: list[bool] = []
    for packet in packets:
        if packet.size and not packet.is_discard:
            stamps.append(packet.pts if packet.pts is not None else packet.dts)
            keyframes.append(packet.is_keyframe)
    return stamps, keyframes


def _video_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise MerError("the file has no video stream", where=path, fix="is it audio only?")
    return container.streams.video[0]


def _unreadable(path: Path, error: Exception) -> MerError:
    return MerError(
        f"not a readable video ({getattr(error, 'strerror', None) or type(error).__name__})",
        where=path,
        fix="check that it plays in a video player",
    )


def _upright(frame: av.VideoFrame) -> Image:
    """The frame as RGB, turned by the rotation that its metadata asks for."""
    image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.asarray(np.ascontiguousarray(np.rot90(image, turns)) if turns else image, np.uint8)
