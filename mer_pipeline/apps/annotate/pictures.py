"""Frames as JPEG files, by their exact number: a browser's own player does not stop at a given frame.

Frames are decoded in blocks, since one is reached from the key frame before it, and those beside it are asked for next;
the blocks before and after are decoded meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import cv2

from mer_pipeline.apps.annotate.films import Film
from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError

_BLOCK = 16  # frames
_MOST_BYTES = 128 << 20
_MOST_SIDE = 1920
_QUALITY = 92
_GOING = 3  # decoders that are kept where they are

_Block = dict[int, bytes]


class FilmFrames:
    """The latest blocks of JPEG files."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[str, int], Future[_Block]] = OrderedDict()
        self._going: OrderedDict[tuple[str, int], Iterator[tuple[int, Image]]] = OrderedDict()
        self._lock = threading.Lock()
        self._asked, self._ahead = (ThreadPoolExecutor(workers) for workers in (2, 1))

    def jpeg(self, film: Film, frame: int) -> bytes:
        """A frame as a JPEG file.

        Raises:
            MerError: The film has no such frame, or it cannot be decoded.
        """
        if not 0 <= frame < film.frames:
            raise MerError(f"frame {frame} is outside 0..{film.frames - 1}", where=film.name)
        block = frame // _BLOCK
        found = self._block(film, block, self._asked).result()
        for beside in (block + 1, block - 1):
            if 0 <= beside * _BLOCK < film.frames:
                self._block(film, beside, self._ahead)
        if frame not in found:
            with self._lock:
                self._blocks.pop((film.name, block), None)
            raise MerError(f"frame {frame} cannot be decoded", where=film.name, fix="the file may be cut short")
        return found[frame]

    def close(self) -> None:
        """Decode no further block."""
        for pool in (self._asked, self._ahead):
            pool.shutdown(wait=False, cancel_futures=True)

    def _block(self, film: Film, block: int, pool: Executor) -> Future[_Block]:
        key = film.name, block
        with self._lock:
            if key not in self._blocks:
                self._blocks[key] = pool.submit(self._decode, film, block)
                self._forget()
            self._blocks.move_to_end(key)
            return self._blocks[key]

    def _forget(self) -> None:
        done = {key: each for key, each in self._blocks.items() if each.done() and not each.cancelled()}
        sizes = {key: 0 if each.exception() else sum(map(len, each.result().values())) for key, each in done.items()}
        total = sum(sizes.values())
        for key, size in sizes.items():
            if total > _MOST_BYTES:
                total -= size
                del self._blocks[key]

    def _decode(self, film: Film, block: int) -> _Block:
        """What can be decoded of a block."""
        first, after = block * _BLOCK, min(film.frames, (block + 1) * _BLOCK)
        with self._lock:
            going = self._going.pop((film.name, first), None)
        frames = going or film.footage.read(range(first, film.frames))
        found: _Block = {}
        try:
            for at, image in frames:
                found[at] = _jpeg(image)
                if at + 1 == after:
                    break
        except MerError:
            return found
        with self._lock:
            self._going[film.name, after] = frames
            while len(self._going) > _GOING:
                self._going.popitem(last=False)
        return found


def _jpeg(image: Image) -> bytes:
    scale = _MOST_SIDE / max(image.shape[:2])
    shown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    done, content = cv2.imencode(".jpg", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return content.tobytes()
