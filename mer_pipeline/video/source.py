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
from av.video.reformatter import VideoReformatter
from PIL import Image as Pillow

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.reading import read_bytes
from mer_pipeline.video.frame_files import list_frames

_MOST_PIXELS = 100_000_000  # of a frame: one needs 300 MB, and what is made of it several times that
_MOST_SIDE = 16_384  # of a video; 8K is 8192 wide
# Containers, by libav's names. Playlists (hls, dash, concat, image2 and their like) are none: they name other files,
# which the server that was given one would read and show.
_CONTAINERS = (
    "apng,asf,av1,avi,bmp_pipe,cavsvideo,cine,dhav,dirac,dnxhd,dv,evc,flic,flv,gif,gif_pipe,gxf,h261,h263,h264,hevc,ivf,"
    "j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_anim,jpegxl_pipe,lxf,m4v,matroska,mjpeg,mjpeg_2000,mov,mpeg,mpegts,mpegvideo,"
    "mxf,nsv,nut,nuv,obu,ogg,png_pipe,rm,roq,ser,smjpeg,swf,tiff_pipe,vc1,vc1test,vvc,webp_pipe,wtv,yuv4mpegpipe,wav,mp3,flac,aac"
)
_ALONE = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file", "max_pixels": str(_MOST_PIXELS)}
_SAMPLED_BYTES = 1 << 20  # at either end of a file


class Footage(abc.ABC):
    """A clip's frames by 0-based index.

    Attributes:
        path: The video file or the frame folder.
        fps: Frames a second; None where the medium does not say (a frame folder).
        bits_a_second: Of the file for each pixel of the picture; None for pictures, and where the rate is unknown.
            Cameras write 2 and more, calls less than 0.5.
        decoded: How many frames have been decoded so far, for those who must prove that none was wasted.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        self.path = path
        self.fps = fps
        self.bits_a_second: float | None = None
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
                keeps_times = container.format.name not in ("avi", "asf")
                pixels = stream.width * stream.height
        except (av.error.FFmpegError, OSError, ValueError, MemoryError, OverflowError, ZeroDivisionError) as error:
            raise _unreadable(path, error) from None
        if not stamps:
            raise MerError("no video frames in this file", where=path, fix="check that it plays in a video player")
        untimed = None in stamps
        if untimed:  # raw streams, and packets that a frame is spread over
            stamps, self._time_base = list(range(len(stamps))), 1 / Fraction(rate or 1)
        table = np.array(stamps, np.int64)
        order = np.argsort(table, kind="stable")
        self._pts = table[order]
        # AVI stores no presentation times and ASF wrong ones: where frames depend on each other, their count is sure.
        self._counted = untimed or (not keeps_times and not all(keyframes))
        keys = np.flatnonzero(np.array(keyframes)[order]).tolist()
        self._keys = keys if keys and not self._counted else [0]
        self.fps = float(rate) if rate else None
        if self.fps and pixels:
            self.bits_a_second = 8 * path.stat().st_size / pixels * self.fps / len(stamps)

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
        at, frames = -1, None
        colours = VideoReformatter()  # one for all frames: a new one for each takes as long as what it does
        try:
            for wanted in indices:
                key = self._keys[bisect.bisect_right(self._keys, wanted) - 1]
                if frames is None or key > at + 1:
                    frames = self._frames_from(key)
                found = _reach(frames, wanted, forgive=key > 0)
                if found is None and key:  # in some containers seeking leads elsewhere: then none is sought
                    self._keys = [0]
                    frames = self._frames_from(0)
                    found = _reach(frames, wanted)
                if found is None:
                    raise self._broken(wanted)
                at = wanted
                _refuse_large(found.width, found.height, self.path)
                yield wanted, _upright(found, colours)
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            raise (_unreadable(self.path, error) if at < 0 else self._broken(at + 1)) from None

    def _broken(self, frame: int) -> MerError:
        return MerError(f"frame {frame} cannot be decoded", where=self.path, fix="the file may be cut short")

    def _frames_from(self, key: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames from a key frame on with their indices; -1 where that is not known."""
        with _opened(self.path) as container:
            stream = _video_stream(container, self.path)
            stream.thread_type = "AUTO"
            if key:
                container.seek(int(self._pts[key]), stream=stream, backward=True)
            at = -1
            for frame in container.decode(stream):
                self.decoded += 1
                known = -1 if self._counted else self._position(frame.pts)
                # From the first frame on they can be counted, where their times are not those of the packets.
                at = known if key else max(at + 1, known)
                yield at, frame

    def _position(self, pts: int | None) -> int:
        """The index of the frame with a presentation time; -1 where there is none."""
        at = -1 if pts is None else int(np.searchsorted(self._pts, pts))
        return at if 0 <= at < len(self._pts) and self._pts[at] == pts else -1


@os_errors()
def open_footage(path: Path) -> Footage:
    """Open a video file or a folder of frames.

    Raises:
        MerError: It is absent, unreadable, or holds no frames.
    """
    if path.is_dir():
        return FrameFolder(path)
    if not path.exists():
        raise MerError("no such file or folder", where=path, fix="check the path")
    if not path.is_file():  # a pipe would be waited for
        raise MerError("neither a file nor a folder", where=path, fix="check the path")
    return VideoFile(path)


def read_image(path: Path) -> Image:
    """Read an image file as (H, W, 3) uint8 RGB; grey images get three equal channels.

    Raises:
        MerError: The file is absent or is no image.
    """
    try:
        data = np.frombuffer(read_bytes(path, _MOST_PIXELS * 6), np.uint8)
    except FileNotFoundError as error:
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
            if not path.is_file():  # a pipe would be waited for
                raise FileNotFoundError(2, "not a file")
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
    """The container of a video file: of a kind that holds its frames itself, and names no other file.

    Titles and the like may be of any encoding, since none is used. A name such as 12:30:05.mp4 begins like an address,
    and is one for libav unless it follows the protocol of files.
    """
    return av.open(f"file:{path}", metadata_errors="replace", options=_ALONE)


def _reach(frames: Iterator[tuple[int, av.VideoFrame]], wanted: int, *, forgive: bool = False) -> av.VideoFrame | None:
    """The frame of an index among those that follow; None where it does not."""
    try:
        at, frame = next(((at, frame) for at, frame in frames if at >= wanted), (-1, None))
    except (av.error.FFmpegError, OSError):
        if not forgive:
            raise
        return None
    return frame if at == wanted else None


def _packet_table(packets: Iterable[Any]) -> tuple[list[Any], list[bool]]:
    """Time stamp of each packet that holds a frame, and whether it is a key frame."""
    stamps: list[Any] = []
    keyframes: list[bool] = []
    for packet in packets:
        if packet.size and not packet.is_discard:
            stamps.append(packet.pts if packet.pts is not None else packet.dts)
            keyframes.append(packet.is_keyframe)
    return stamps, keyframes


def _video_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise MerError("the file has no video stream", where=path, fix="is it audio only?")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise MerError("no decoder for its video", where=path, fix="convert it to H.264 or MJPEG")
    _refuse_large(stream.width, stream.height, path)
    return stream


def _refuse_large(width: int, height: int, path: Path) -> None:
    if max(width, height) > _MOST_SIDE:
        raise MerError(f"frames of {width}x{height} pixels, more than {_MOST_SIDE} a side", where=path, fix="scale it")
    _refuse_huge(width * height, path)


def _unreadable(path: Path, error: Exception) -> MerError:
    return MerError(
        f"not a readable video ({getattr(error, 'strerror', None) or type(error).__name__})",
        where=path,
        fix="it may be cut short: check that it plays in a video player",
    )


def _upright(frame: av.VideoFrame, colours: VideoReformatter) -> Image:
    """The frame as RGB, turned by the rotation that its metadata asks for."""
    # One thread: more are hardly quicker and cost a third more of the processor.
    image = colours.reformat(frame, format="rgb24", threads=1).to_ndarray()
    turns = round(frame.rotation / 90) % 4
    return np.asarray(np.ascontiguousarray(np.rot90(image, turns)) if turns else image, np.uint8)
