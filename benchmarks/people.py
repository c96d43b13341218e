"""Peak memory and processor time of spotting two people in a film of any length, with a table of its frames.

A synthetic film of two people is shown over and over, so that its length costs no disk:

    python benchmarks/people.py --minutes 5
    python benchmarks/people.py --minutes 60

Memory is that of the process at its peak, stated once a tenth of the film: what grows with its length would show.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.spotting.frame_table import FaceFrames, FrameTable
from mer_pipeline.spotting.video import spot_faces
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.video import Footage, open_footage

_FPS = 25.0


class Looped(Footage):
    """A film that begins anew whenever it is over."""

    def __init__(self, film: Footage, frames: int) -> None:
        super().__init__(film.path, film.fps)
        self._film, self._frames = film, frames

    def __len__(self) -> int:
        return self._frames

    @property
    def times_s(self) -> npt.NDArray[np.float64] | None:
        """Frames are evenly spaced."""
        return None

    def fingerprint(self) -> list[list[str | int]]:
        """Of the film."""
        return self._film.fingerprint()

    def content(self, indices: Iterable[int]) -> str:
        """Of the film, which all frames are of."""
        return self._film.content([index % len(self._film) for index in indices])

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        del indices  # all are read, in order
        whole = len(self._film)
        for start in range(0, self._frames, whole):
            for index, image in self._film.read(range(min(whole, self._frames - start))):
                yield start + index, image


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Spot, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--people", type=int, default=2, choices=(1, 2, 3, 4))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, FaceMesh() as mesh:
        options = Options(fps=_FPS, seconds=20, people=args.people, blink_share=0.5, drift_px=3)
        film = (
            synthesise(Path(folder) / "film", layout="long", subjects=1, clips=5, seed=0, options=options) / "s01.mp4"
        )
        frames = round(args.minutes * 60 * _FPS)
        table, started = FrameTable(Path(folder) / "frames.csv"), time.process_time()

        def progress(task: str, done: int, total: int, detail: str = "") -> None:
            del task, detail
            if done % max(1, total // 10) < _FPS:
                print(f"{done / _FPS / 60:6.1f} min  peak {_peak_mib():7.1f} MiB", flush=True)

        footage = Looped(open_footage(film), frames)
        found = spot_faces(footage, _FPS, mesh, face="all", own_times=False, progress=progress, on_face=table.add)
        table.faces += map(FaceFrames.of, found)
        rows = table.write()
        for each in found:
            places = np.array([place.x for place in each.where.places])
            print(
                f"person {each.person}: {len(each.intervals)} expressions, {each.with_face} of {each.looked_at} looks, "
                f"x {places.min():.0f} to {places.max():.0f} px"
            )
        print(f"{rows} rows; {time.process_time() - started:.0f} s of processor time for {frames} frames; "
              f"peak {_peak_mib():.1f} MiB")  # fmt: skip


if __name__ == "__main__":
    main()
