"""Writing a video frame by frame, each with its own time."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

from mer_pipeline.arrays import Image
from mer_pipeline.errors import WriteError

# Ticks a second: what video containers use, a common multiple of usual frame rates.
_TICKS = 90_000
_GREATEST_RATE = 1000


class VideoWriter:
    """An H.264 video in an MP4 file that appears, whole and with mode 0600, when the writer closes without an error.

    Use it as a context manager. Frames are encoded as they come, so memory does not grow with their number.

    Args:
        path: The file.
        fps: Frames a second that the file announces; each frame is shown at the time it is written with.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._rate = Fraction(min(fps, _GREATEST_RATE)).limit_denominator(1001)
        self._container: av.container.OutputContainer | None = None
        self._last = -1

    def __enter__(self) -> VideoWriter:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.", suffix=".mp4")
            os.close(handle)
        except OSError as error:
            raise self._cannot_write(error) from None
        self._temporary = Path(name)
        self._container = av.open(name, "w", format="mp4", options={"movflags": "faststart"})
        return self

    def write(self, image: Image, seconds: float) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB; all frames have one size, and H and W are even.
            seconds: When it is shown; later than the frame before.

        Raises:
            WriteError: The disk is full.
        """
        assert self._container is not None
        height, width = image.shape[:2]
        if not self._container.streams.video:
            choices = {"preset": "veryfast", "crf": "20"}
            stream = self._container.add_stream("libx264", rate=self._rate, options=choices)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = Fraction(1, _TICKS)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        self._last = frame.pts = max(round(seconds * _TICKS), self._last + 1)
        frame.time_base = Fraction(1, _TICKS)
        self._encode(frame)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._container is not None
        try:
            if kind is None and self._container.streams.video:
                self._encode(None)
                self._close()
                self._temporary.replace(self._path)
        except OSError as failure:
            raise self._cannot_write(failure) from None
        finally:
            self._close()
            self._temporary.unlink(missing_ok=True)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        assert self._container is not None
        try:
            self._container.mux(self._container.streams.video[0].encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise self._cannot_write(error) from None

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()

    def _cannot_write(self, error: Exception) -> WriteError:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return WriteError(f"cannot be written ({reason})", where=self._path, fix="check permissions and free space")
