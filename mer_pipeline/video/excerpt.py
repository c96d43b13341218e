"""A stretch of a film: what is between two times, and results that are counted from the film's own beginning."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError
from mer_pipeline.video.source import Footage

_CLOCK = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6}(?:[.,]\d{1,6})?)")
Counted = TypeVar("Counted")


def clock_seconds(text: str) -> float:
    """Seconds of a time of day or a number.

    Raises:
        ValueError: It is neither.

    >>> clock_seconds("00:12"), clock_seconds("1:02:03.5"), clock_seconds("12.25")
    (12.0, 3723.5, 12.25)
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError("no time such as 12.5, 00:12 or 1:02:03.5")
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds.replace(",", "."))


@dataclass(frozen=True)
class Window:
    """A stretch of a film in seconds; None for its beginning and its end."""

    start_s: float | None = None
    end_s: float | None = None

    def __bool__(self) -> bool:
        return (self.start_s, self.end_s) != (None, None)

    @property
    def words(self) -> str:
        """For a warning."""
        start, end = self.start_s or 0.0, "the end" if self.end_s is None else f"{self.end_s:g} s"
        return f"only {start:g} s to {end} was searched"

    def of(self, footage: Footage, fps: float | None, own_times: bool = True) -> Excerpt:
        """The frames that are shown in it.

        Args:
            footage: The film.
            fps: Its rate, where it has no times of its own.
            own_times: Whether those count that it has.

        Raises:
            MerError: Nothing lies in it, or the rate is not known.
        """
        times_s = footage.times_s if own_times else None
        if times_s is None and fps is None:
            raise MerError("a folder of frames does not say its rate", where=footage.path, fix="give --fps")
        # Half a millisecond, since times are written in milliseconds.
        ends = [end if end is None else end - 0.0005 for end in (self.start_s, self.end_s)]
        first, last = 0, len(footage)
        if times_s is not None:
            first = first if ends[0] is None else int(np.searchsorted(times_s, ends[0]))
            last = last if self.end_s is None else int(np.searchsorted(times_s, self.end_s + 0.0005, "right"))
        elif fps is not None:
            first = first if ends[0] is None else max(0, math.ceil(ends[0] * fps))
            last = last if self.end_s is None else min(last, math.floor((self.end_s + 0.0005) * fps) + 1)
        if last - first < 1:
            length_s = float(times_s[-1]) if times_s is not None else len(footage) / (fps or 1)
            end_s = length_s if self.end_s is None else self.end_s
            what = f"no frame lies between {self.start_s or 0:g} s and {end_s:g} s"
            raise MerError(what, where=footage.path, fix=f"it lasts {length_s:.2f} s")
        return Excerpt(footage, first, last, first / (fps or math.inf) if times_s is None else float(times_s[first]))


class Excerpt(Footage):
    """Some frames of a film, counted from the first of them.

    Attributes:
        first: The film's own index of it.
        start_s: When it is shown.
    """

    def __init__(self, whole: Footage, first: int, last: int, start_s: float) -> None:
        super().__init__(whole.path, whole.fps)
        self.bits_a_second = whole.bits_a_second
        self._whole, self.first, self._last, self.start_s = whole, first, last, start_s

    def __len__(self) -> int:
        return self._last - self.first

    @property
    def times_s(self) -> npt.NDArray[np.float64] | None:
        """From the first frame of the excerpt."""
        times_s = self._whole.times_s
        return None if times_s is None else times_s[self.first : self._last] - times_s[self.first]

    def fingerprint(self) -> list[list[str | int]]:
        """Of the whole film."""
        return self._whole.fingerprint()

    def content(self, indices: Iterable[int]) -> str:
        """Of the whole film, with these frames."""
        return self._whole.content(index + self.first for index in indices)

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        shifted = range(indices[0] + self.first, indices[-1] + self.first + 1) if isinstance(indices, range) else None
        for index, image in self._whole.read(shifted or [index + self.first for index in indices]):
            self.decoded += 1
            yield index - self.first, image

    def in_film(self, found: Counted) -> Counted:
        """A result of the excerpt, whose fields are called `*_frame` and `*_s`, counted from the film's beginning."""
        moved = {}
        for each in fields(found):  # type: ignore[arg-type]
            value = getattr(found, each.name)
            if value is not None and each.name.endswith("_frame"):
                moved[each.name] = value + self.first
            elif value is not None and each.name.endswith("_s"):
                moved[each.name] = round(value + self.start_s, 4)
        return replace(found, **moved)  # type: ignore[type-var]
