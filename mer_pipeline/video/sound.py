"""The sound of a film, for a copy of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error

_RATE = 48_000  # of a stream that does not state one


class Sound:
    """The first audio stream of a film as AAC, beside the video stream of another container.

    Args:
        path: The film. A folder of pictures, a film without sound, and one whose sound cannot be read, have none.
    """

    def __init__(self, path: Path) -> None:
        self._film: av.container.InputContainer | None = None
        try:
            if path.is_file():
                self._film = av.open(str(path))
        except (av.error.FFmpegError, OSError):
            return
        if self._film is not None and not self._film.streams.audio:
            self.close()

    def add_to(self, container: av.container.OutputContainer) -> None:
        """Add a stream; before the container's first packet."""
        if self._film is None:
            return
        found = self._film.streams.audio[0]
        self._stream = container.add_stream("aac", rate=found.rate or _RATE)
        self._stream.layout = "mono" if found.channels == 1 else "stereo"
        self._frames = self._film.decode(found)
        # Times of pictures count from the first.
        video = self._film.streams.video[0]
        self._begin = float((video.start_time or 0) * (video.time_base or 0))
        self._ahead: av.AudioFrame | None = next(self._frames, None)

    def until(self, seconds: float) -> Iterator[av.Packet[Any]]:
        """What sounds before a time and has not been given, encoded."""
        while self._film is not None and self._ahead is not None and self._time(self._ahead) < seconds:
            if self._time(self._ahead) >= 0:
                self._ahead.pts = round(self._time(self._ahead) / (self._ahead.time_base or 1))
                yield from self._stream.encode(self._ahead)
            try:
                self._ahead = next(self._frames, None)
            except av.error.FFmpegError:  # a file that was cut short sounds as far as it goes
                self._ahead = None

    def rest(self) -> Iterator[av.Packet[Any]]:
        """What the encoder still holds."""
        if self._film is not None:
            yield from self._stream.encode(None)

    def close(self) -> None:
        """Let the film go."""
        if self._film is not None:
            self._film.close()
        self._film = None

    def _time(self, frame: av.AudioFrame) -> float:
        return float(frame.time or 0.0) - self._begin
