"""The sound of a film, for a copy of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import av.error

# Samples a second that AAC has; another rate becomes the first.
_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)


class Sound:
    """The first audio stream of a film as AAC, beside the video stream of another container.

    Sound is beside the pictures, which it never keeps from being written: what cannot be read of it is left out.

    Args:
        path: The film. A folder of pictures, and a film without sound or with one that cannot be decoded, have none.
    """

    def __init__(self, path: Path) -> None:
        self._film: av.container.InputContainer | None = None
        try:
            if path.is_file():
                self._film = av.open(str(path))
        except (av.error.FFmpegError, OSError):
            return
        streams = () if self._film is None else self._film.streams.audio
        # A stream of an unknown codec has no context.
        if not streams or streams[0].codec_context is None or not streams[0].rate:
            self.close()

    def add_to(self, container: av.container.OutputContainer) -> None:
        """Add a stream; before the container's first packet."""
        if self._film is None:
            return
        found = self._film.streams.audio[0]
        self._stream = container.add_stream("aac", rate=found.rate if found.rate in _RATES else _RATES[0])
        self._stream.layout = "mono" if found.channels == 1 else "stereo"
        # Times of pictures count from the first.
        video = next(iter(self._film.streams.video), None)
        self._begin = 0.0 if video is None else float((video.start_time or 0) * (video.time_base or 0))
        self._frames = self._decoded(self._film, found)
        self._ahead = next(self._frames, None)

    def until(self, seconds: float) -> Iterator[av.Packet[Any]]:
        """What sounds before a time and has not been given, encoded."""
        while self._film is not None and self._ahead is not None and self._time(self._ahead) < seconds:
            if self._time(self._ahead) >= 0:
                self._ahead.pts = round(self._time(self._ahead) / (self._ahead.time_base or 1))
                yield from self._encoded(self._ahead)
            self._ahead = next(self._frames, None)

    def rest(self) -> Iterator[av.Packet[Any]]:
        """What the encoder still holds."""
        if self._film is not None:
            yield from self._encoded(None)

    def close(self) -> None:
        """Let the film go."""
        if self._film is not None:
            self._film.close()
        self._film = None

    @staticmethod
    def _decoded(film: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
        with suppress(av.error.FFmpegError, OSError):  # a file that was cut short
            for packet in film.demux(stream):
                with suppress(av.error.FFmpegError):  # a damaged stretch
                    yield from packet.decode()

    def _encoded(self, frame: av.AudioFrame | None) -> list[av.Packet[Any]]:
        try:
            return list(self._stream.encode(frame))
        except (av.error.FFmpegError, ValueError):
            return []

    def _time(self, frame: av.AudioFrame) -> float:
        return float(frame.time or 0.0) - self._begin
