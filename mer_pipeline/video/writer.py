"""Writing videos: frame by frame, each with its own time, or as JPEG images in an AVI."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

import av

from mer_pipeline.arrays import Image
from mer_pipeline.errors import WriteError
from mer_pipeline.video.sound import Sound

# Ticks a second: what video containers use, a common multiple of usual frame rates.
_TICKS = 90_000
_GREATEST_RATE = 1000
_BITEXACT = 1 << 23  # no name of a library version in the file
_REPRODUCIBLE = {"fflags": "+bitexact"}
Writer = TypeVar("Writer", bound="_WholeFile")


@dataclass(frozen=True)
class H264:
    """How frames are encoded.

    Attributes:
        preset, crf: As in x264: how much work is spent, and the quality (less is better).
        reproducible: The same frames give the same bytes on every machine: one thread, no library version in the file,
            and frames at an exactly constant rate instead of each at a time of its own.
    """

    preset: str = "veryfast"
    crf: int = 20
    reproducible: bool = False

    @property
    def options(self) -> dict[str, str]:
        """What x264 is given."""
        threads = {"threads": "1"} if self.reproducible else {}  # as many threads would be other bytes
        return {"crf": str(self.crf), "preset": self.preset, **threads}


_FOR_VIEWING = H264()
# For what is measured later. H.264 because JPEG at this quality would take 700 MB a minute at 200 frames a second. It
# is lossy in time too: at a worse quality than this, motion of less than a tenth of a pixel would vanish.
FOR_MEASURING = H264("superfast", 18, reproducible=True)


class _WholeFile:
    """A container that becomes `path`, with mode 0600, if the block ends well with a frame in it; else nothing."""

    def __init__(self, path: Path, kind: str, options: Mapping[str, str]) -> None:
        self._path, self._kind, self._options = path, kind, dict(options)
        self._container: av.container.OutputContainer | None = None

    def __enter__(self: Writer) -> Writer:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            name = f".{self._path.name}."
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=name, suffix=f".{self._kind}")
            os.close(handle)
        except OSError as error:
            raise self._cannot_write(error) from None
        self._temporary = Path(name)
        self._container = av.open(name, "w", format=self._kind, options=self._options)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._container is not None
        try:
            if kind is None and self._container.streams.video:
                self._flush()
                self._container.close()
                self._temporary.replace(self._path)
        except OSError as failure:
            raise self._cannot_write(failure) from None
        finally:
            self._container.close()
            self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        """Write what the encoder still holds."""

    def _mux(self, encoded: Callable[[], Any]) -> None:
        assert self._container is not None
        try:
            self._container.mux(encoded())
        except (av.error.FFmpegError, OSError) as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, error: Exception) -> WriteError:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return WriteError(f"cannot be written ({reason})", where=self._path, fix="check permissions and free space")


class VideoWriter(_WholeFile):
    """An H.264 video in an MP4 file that appears, whole and with mode 0600, when the writer closes without an error.

    Use it as a context manager. Frames are encoded as they come, so memory does not grow with their number.

    Args:
        path: The file.
        fps: Frames a second that the file announces; each frame is shown at the time it is written with.
        encoding: Quality, and whether the bytes are the same everywhere.
        sound: Of which film, if of any, for pictures written with times.
    """

    def __init__(self, path: Path, fps: float, encoding: H264 = _FOR_VIEWING, sound: Path | None = None) -> None:
        super().__init__(path, "mp4", _REPRODUCIBLE if encoding.reproducible else {"movflags": "faststart"})
        self._encoding = encoding
        self._rate = Fraction(min(fps, _GREATEST_RATE)).limit_denominator(1001)
        self._last = -1
        self._sound = None if sound is None else Sound(sound)

    def write(self, image: Image, seconds: float | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB; all frames have one size, and H and W are even.
            seconds: When it is shown, later than the frame before; not for a reproducible video, whose rate is
                constant.

        Raises:
            WriteError: The disk is full.
        """
        assert self._container is not None
        assert (seconds is None) == self._encoding.reproducible
        if not self._container.streams.video:
            self._add_stream(self._container, image)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        if self._sound is not None and seconds is not None:
            self._give(self._sound.until(seconds))
        if seconds is not None:
            self._last = frame.pts = max(round(seconds * _TICKS), self._last + 1)
            frame.time_base = Fraction(1, _TICKS)
        self._encode(frame)

    def _add_stream(self, container: av.container.OutputContainer, image: Image) -> None:
        stream = container.add_stream("libx264", rate=self._rate, options=self._encoding.options)
        (stream.height, stream.width), stream.pix_fmt = image.shape[:2], "yuv420p"
        if self._encoding.reproducible:
            stream.gop_size = max(1, round(self._rate))
            stream.codec_context.flags |= _BITEXACT
        else:
            stream.codec_context.time_base = Fraction(1, _TICKS)
        if self._sound is not None:
            self._sound.add_to(container)

    def _flush(self) -> None:
        self._encode(None)
        if self._sound is not None:
            self._give(chain(self._sound.until(self._last / _TICKS), self._sound.rest()))
            self._sound.close()

    def _give(self, packets: Iterable[av.Packet[Any]]) -> None:
        for packet in packets:
            self._mux(lambda given=packet: given)  # type: ignore[misc]

    def _encode(self, frame: av.VideoFrame | None) -> None:
        assert self._container is not None
        stream = self._container.streams.video[0]
        self._mux(lambda: stream.encode(frame))


class JpegVideoWriter(_WholeFile):
    """JPEG images as an AVI holds them, so that its frames have the pixels of the image files; same bytes always."""

    def __init__(self, path: Path, fps: int, size_wh: tuple[int, int]) -> None:
        super().__init__(path, "avi", _REPRODUCIBLE)
        self._fps, self._size_wh, self._count = fps, size_wh, 0

    def write(self, jpeg: bytes) -> None:
        """Append an image with 4:2:0 chroma, as OpenCV writes it.

        Raises:
            WriteError: The disk is full.
        """
        assert self._container is not None
        if not self._container.streams.video:
            added = self._container.add_stream("mjpeg", rate=self._fps, options={"strict": "unofficial"})
            stream = cast(av.VideoStream, added)
            (stream.width, stream.height), stream.pix_fmt = self._size_wh, "yuvj420p"
            stream.codec_context.flags |= _BITEXACT
        packet = av.Packet(jpeg)
        packet.stream, packet.is_keyframe = self._container.streams.video[0], True
        packet.pts = packet.dts = self._count
        packet.duration, packet.time_base = 1, Fraction(1, self._fps)
        self._count += 1
        self._mux(lambda: packet)
