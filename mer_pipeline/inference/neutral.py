"""A neutral baseline: pictures of a face that expresses nothing, which an expression is compared with.

A model reads the motion from the onset to the apex. Where the onset is not rest (the film begins within the expression,
or one expression grows out of another), motion is read from a picture of the same face at rest instead. Its eyes are
laid on those of the onset, and the registration does the rest. Frames that are spotted stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError
from mer_pipeline.faces.align import face_to_unit, smooth_face
from mer_pipeline.faces.landmarks import FaceFinder, Landmarks
from mer_pipeline.video import Footage, Window, open_footage
from mer_pipeline.video.excerpt import clock_seconds

_STRETCH = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)|([\d:.,]+)-([\d:.,]+)")
# Of a stretch so many frames are compared, as pictures of this side; lids below this share of the usual are a blink.
_FRAMES, _SIZE, _OPEN = 15, 64, 0.8


@dataclass(frozen=True)
class NeutralPicture:
    """A frame in which the face rests.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        landmarks: Of the face.
    """

    image: Image
    landmarks: Landmarks

    def placed(self, like: Image, landmarks: Landmarks) -> Image:
        """The picture with its eyes where another frame has them, in the size of that frame."""
        square = [np.vstack([face_to_unit(each), [0, 0, 1]]) for each in (self.landmarks, landmarks)]
        matrix = (np.linalg.inv(square[1]) @ square[0])[:2]
        size_wh = like.shape[1], like.shape[0]
        moved = cv2.warpAffine(self.image, matrix, size_wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)


@dataclass(frozen=True)
class Neutral:
    """Where the largest face expresses nothing.

    Attributes:
        files: Films of the person, pooled.
        windows: Stretches of each film that is searched, pooled with them.
    """

    files: tuple[Path, ...] = ()
    windows: tuple[Window, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> Neutral:
        """From what a user writes: files, and stretches in seconds (`2:4.5`) or times (`00:12-00:15`).

        Raises:
            MerError: One is neither.

        >>> Neutral.of(["2:4.5", "1:02-1:05"]).windows
        (Window(start_s=2.0, end_s=4.5), Window(start_s=62.0, end_s=65.0))
        """
        files, windows = [], []
        for text in texts:
            stretch = _STRETCH.fullmatch(text)
            if Path(text).exists():
                files.append(Path(text))
            elif stretch is None:
                fix = "give a film, or seconds from:to such as 2:4.5"
                raise MerError("no such file, and no stretch of time", where=text, fix=fix)
            else:
                start, end = (clock_seconds(part) for part in stretch.groups() if part)
                windows.append(Window(start, end))
        return cls(tuple(files), tuple(windows))

    def fingerprint(self) -> list[list[list[str | int]]]:
        """Of the files, which changes when one does."""
        return [open_footage(path).fingerprint() for path in self.files]

    def pictures(
        self, film: Footage, fps: float | None, find_faces: FaceFinder, own_times: bool
    ) -> list[NeutralPicture]:
        """One of each file and stretch: the frame with open eyes that is most like all others of it.

        Args:
            film: The film that is searched, which stretches are of.
            fps: Its rate.
            find_faces: Finds faces.
            own_times: Whether seconds are those at which the film shows its frames.

        Raises:
            MerError: One shows no face, or cannot be read.
        """
        parts = [*(window.of(film, fps, own_times) for window in self.windows), *map(open_footage, self.files)]
        return [_most_usual(part, find_faces) for part in parts]


def _most_usual(part: Footage, find_faces: FaceFinder) -> NeutralPicture:
    seen = list(_faces(part, find_faces))
    if not seen:
        raise MerError("no face in the neutral stretch", where=part.path, fix="choose another one")
    openings = [each.landmarks.eye_opening for each in seen]
    seen = [each for each, opening in zip(seen, openings, strict=True) if opening >= _OPEN * float(np.median(openings))]
    greys = [smooth_face(each.image, face_to_unit(each.landmarks), _SIZE).ravel() for each in seen]
    alike = np.corrcoef(greys).reshape(len(seen), -1).sum(1)
    return seen[int(np.argmax(alike))]


def _faces(part: Footage, find_faces: FaceFinder) -> Iterator[NeutralPicture]:
    frames = np.unique(np.linspace(0, len(part) - 1, _FRAMES).round().astype(int))
    for _, image in part.read(frames.tolist()):
        found = find_faces(image)
        if found:
            yield NeutralPicture(image, found[0])
