"""How the skin of a face moves through a clip, frame by frame, with the head's own motion taken off.

Every frame is compared with an earlier picture of the same face, which is replaced where the face has come to look
different, and the head's place is carried on from the frame before: landmarks are asked for once a second, to see that
the face is still there, and whenever the eyes have come to look different, to see whether the lids have fallen.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import FloatImage, Image, Matrix
from mer_pipeline.faces.align import face_to_unit, smooth_face, trusted_cells, unit_to_grid
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.faces.registration import CELLS, Template, similarity

# The picture that motion is measured on; a cell is 8 pixels wide.
_SIZE = 128
# Motion is expressed in pixels of a crop of this size, whatever it is measured on.
_TOLD_SIZE = 224
_TO_GRID = np.vstack([unit_to_grid(_SIZE), [0, 0, 1]])
_RENEWED_S = 1.0
# Correlation with the picture that frames are compared with: below the first a newer picture is taken (the head has
# turned, or an expression is strong), below the second the face is lost.
_ALIKE, _LEAST_ALIKE = 0.85, 0.5
# Once a second a newer picture is taken where the face looks less like the one in use. Where it does not, the old one
# stays: each change adds the noise of one frame to all that follow, and would look like an expression a second long.
_FRESH = 0.97
_STEPS = 6
# A frame whose head moved no farther than this since the frame before needs one step.
_SMALL_STEP_PX = 0.5
# A face found this far from where the tracked one is, in widths of the unit square, is another one.
_LOST = 0.15
# Nor is one this far from where it was a quarter of a second before or after, in widths of the face.
_NEAR = 0.5
# Frames between two looks for a face while there is none, in seconds.
_LOOK_EVERY_S = 0.1
# Landmarks are asked for again where the picture of an eye differs by this from that of the last time (1 less their
# correlation), and while the lids move, by this much of the eye's width from one time to the next; but not more often
# than this: lids take a twentieth of a second and more to fall.
_EYES_CHANGED, _LIDS_MOVE, _LOOK_AGAIN_S = 0.03, 0.025, 0.03
# Rows and columns of the eyes in the picture that motion is measured on.
_EYES = (slice(40, 56), (slice(24, 56), slice(72, 104)))
_DARK = 3.0  # grey levels that count as no detail


class FindFace(Protocol):
    """Finds the face in a frame, or None."""

    def __call__(self, image: Image) -> Landmarks | None:
        """The face of a (H, W, 3) RGB frame."""


@dataclass(frozen=True)
class Seen:
    """What landmarks show that motion does not; see `Landmarks`.

    Attributes:
        opening: Of the eyes; their height over their width, the mean of both.
        gaze: Where the irises are between the corners of the eyes; NaN where the landmarks have none.
        score: How sure the detector is that this is a whole face; NaN where it does not say.
        pitch, yaw: Of the head, in radians; NaN where the landmarks have no depth.
    """

    opening: float
    gaze: float
    score: float
    pitch: float = float("nan")
    yaw: float = float("nan")

    @classmethod
    def of(cls, face: Landmarks) -> Seen:
        """Read a face's landmarks."""
        return cls(face.eye_opening, face.gaze, face.score, *face.pitch_yaw)


@dataclass(frozen=True)
class Tracks:
    """The motion of a face's cells.

    Attributes:
        start: Index of the first frame.
        motion_px: (frames, CELLS * CELLS, 2) x, y of each cell since the first frame of its segment without the head's
            motion, in pixels of a 224 pixel crop; NaN where there is no face.
        trust: (segments, CELLS * CELLS) 0 outside the face and on the eyes, to 1.
        segment: (frames,) numbers the unbroken stretches from 0; -1 where there is no face.
    """

    start: int
    motion_px: npt.NDArray[np.float32]
    trust: Matrix
    segment: npt.NDArray[np.int32]


class Place(NamedTuple):
    """Where a face is in its frame: its middle, and the side of the unit square, in pixels."""

    x: float
    y: float
    width: float

    @classmethod
    def of(cls, to_unit: Matrix) -> Place:
        """From the matrix that brings the face to the unit square."""
        back = np.linalg.inv(np.vstack([to_unit, [0, 0, 1]]))
        x, y = back[:2] @ (0.5, 0.5, 1)
        return cls(float(x), float(y), float(np.sqrt(abs(np.linalg.det(back[:2, :2])))))

    def away(self, other: Place) -> float:
        """How far the middles are apart, in widths of the smaller one."""
        return math.hypot(self.x - other.x, self.y - other.y) / max(1e-9, min(self.width, other.width))


@dataclass(frozen=True)
class Whereabouts:
    """Where a face is in the course of a film.

    Attributes:
        frames: Some of those in which it is followed, ascending.
        places: Where it is in each.
        key: Which face it is, as `on_face` is given it; another one than its number.
    """

    frames: Sequence[int] = ()
    places: Sequence[Place] = ()
    key: int = 0

    def own(self, frame: int, faces: Sequence[Landmarks]) -> list[Landmarks]:
        """The face of a frame that this is; none where all are too far away; all where nothing is known."""
        nearest = self.nearest_first(frame, faces)
        return [face for face in nearest[:1] if self._away(frame, face) <= _NEAR] if self.frames else nearest

    def nearest_first(self, frame: int, faces: Sequence[Landmarks]) -> list[Landmarks]:
        """The faces of a frame, beginning with the one that this most likely is; as they are where nothing is known."""
        return sorted(faces, key=lambda face: self._away(frame, face)) if self.frames else list(faces)

    def _away(self, frame: int, face: Landmarks) -> float:
        at = bisect.bisect_left(self.frames, frame)
        around = range(max(0, at - 1), min(at + 1, len(self.frames)))
        place = self.places[min(around, key=lambda each: abs(self.frames[each] - frame))]
        return place.away(Place.of(face_to_unit(face)))

    def later(self, frames: int) -> Whereabouts:
        """The same, so many frames later."""
        return Whereabouts([each + frames for each in self.frames], self.places, self.key)


@dataclass
class _Face:
    """The face that is being followed.

    Attributes:
        template: What frames are compared with.
        to_unit: Where the face is.
        looked: The last frame in which landmarks were asked for.
        seen: What they showed.
        eyes: The pictures of the eyes in that frame; see `_eyes`.
        motion: (CELLS * CELLS, 2) how far each cell has moved, and what that was when the template was taken.
        grey: The face in the last frame.
        lids_move: Whether the opening of the eyes has changed between the last two times.
        weight: Of the cells in the last solution for the head.
        alike: Correlation of the last frame with the template.
    """

    template: Template
    to_unit: Matrix
    looked: int
    seen: Seen
    eyes: FloatImage
    motion: Matrix = field(default_factory=lambda: np.zeros((CELLS * CELLS, 2)))
    at_template: Matrix = field(default_factory=lambda: np.zeros((CELLS * CELLS, 2)))
    grey: FloatImage | None = None
    lids_move: bool = False
    weight: Matrix | None = None
    alike: float = 1.0

    def follow(self, image: Image) -> bool:
        """Move on to the next frame; False where the face is lost."""
        to_unit, weight = np.vstack([self.to_unit, [0, 0, 1]]), self.weight
        for _ in range(_STEPS):
            grey = smooth_face(image, to_unit[:2], _SIZE)
            compared = self.template.compare(grey)
            head, weight = compared.head(self.template.trust, weight)
            to_unit = np.linalg.inv(similarity(head, _SIZE) @ _TO_GRID) @ _TO_GRID @ to_unit
            if np.abs(head * (1, 1, _SIZE / 2, _SIZE / 2)).max() < _SMALL_STEP_PX:
                break
        else:
            return False
        alike = self.template.likeness(grey, self.template.trust)
        if not alike >= _LEAST_ALIKE:
            return False
        self.to_unit, self.weight, self.alike, self.grey = to_unit[:2], weight, alike, grey
        self.motion = self.at_template + compared.motion_px(head) * (_TOLD_SIZE / _SIZE)
        if alike < _ALIKE:
            self.renew(image)
        return True

    def renew(self, image: Image) -> None:
        """Compare with this frame from now on."""
        self.template = Template(smooth_face(image, self.to_unit, _SIZE), self.template.trust)
        self.at_template, self.weight = self.motion, None

    def look(self, index: int, found: Landmarks | None) -> bool:
        """Take in the landmarks of the last frame; whether they are of the face that is followed."""
        self.looked = index
        if self.grey is not None:
            self.eyes = _eyes(self.grey)
        if found is None:
            return False
        middle = Place.of(face_to_unit(found))
        if not float(np.linalg.norm(self.to_unit @ [middle.x, middle.y, 1] - 0.5)) < _LOST:
            return False
        seen = Seen.of(found)
        self.lids_move, self.seen = abs(seen.opening - self.seen.opening) > _LIDS_MOVE, seen
        return True

    def eyes_change(self) -> bool:
        """Whether the lids may be elsewhere than when landmarks were asked for last."""
        if self.lids_move or self.grey is None:
            return self.lids_move
        return float(((_eyes(self.grey) - self.eyes) ** 2).mean(-1).max()) > 2 * _EYES_CHANGED


@dataclass(frozen=True)
class Tracked:
    """A face in one frame.

    Attributes:
        segment: Numbers the unbroken stretches of frames with a face from 0.
        motion_px: (CELLS * CELLS, 2) as in `Tracks`.
        trust: (CELLS * CELLS,) that of the segment.
        to_unit: (2, 3) where the face is: from pixels of the frame to the unit square.
        seen: What the landmarks showed last.
        alike: Correlation with the picture of this face that the frame is compared with, -1 to 1.
    """

    segment: int
    motion_px: Matrix
    trust: Matrix
    to_unit: Matrix
    seen: Seen
    alike: float = 1.0


class Tracker:
    """Follows a face, the one that `look` finds first, through frames that are given one by one."""

    def __init__(self, fps: float, look: FindFace) -> None:
        self._renewed, self._look_again = _RENEWED_S * fps, _LOOK_AGAIN_S * fps
        self._look_every = max(1, round(_LOOK_EVERY_S * fps))
        self._look = look
        self._face: _Face | None = None
        self._template: Template | None = None
        self._segment = -1
        self._next_look = 0

    def push(self, index: int, image: Image) -> Tracked | None:
        """Follow the face into the next frame; None where there is none.

        Args:
            index: Ascending; frames may be left out.
            image: (H, W, 3) RGB.
        """
        found = self.follow(index, image)
        if found is None and index >= self._next_look:
            found = self.begin(index, image, self._look(image))
        return found

    def follow(self, index: int, image: Image) -> Tracked | None:
        """Follow the face into the next frame; where it is lost, no other one is begun with."""
        face = self._face
        if face is not None and not face.follow(image):
            face = None
        if face is not None and index - face.looked >= self._renewed:
            if face.alike < _FRESH:
                face.renew(image)
            face = face if face.look(index, self._look(image)) else None
        elif face is not None and index - face.looked >= self._look_again and face.eyes_change():
            face.look(index, self._look(image))
        self._face = face
        return self._tracked(index)

    def begin(self, index: int, image: Image, landmarks: Landmarks | None) -> Tracked | None:
        """Begin with the face of a frame; None where there is none, or no skin of it to follow."""
        self._face = _begin(landmarks, image, index)
        self._next_look = index + self._look_every
        if self._face is not None:
            # What the face is compared with later may be half covered, since it may have been lost to a hand.
            self._template = self._face.template
            self._segment += 1
        return self._tracked(index)

    def likeness(self, image: Image, landmarks: Landmarks) -> float:
        """Correlation of a face with the one that was begun with last, once the head is where it was; -1 to 1."""
        face = _begin(landmarks, image, 0)
        if face is None or self._template is None:
            return -1.0
        face.template = self._template
        return face.alike if face.follow(image) else -1.0

    def _tracked(self, index: int) -> Tracked | None:
        face = self._face
        if face is None:
            return None
        self._next_look = index
        return Tracked(self._segment, face.motion, face.template.trust, face.to_unit, face.seen, face.alike)


def track(frames: Iterable[tuple[int, Image]], start: int, stop: int, fps: float, look: FindFace) -> Tracks:
    """Follow the face through frames start..stop-1."""
    n = stop - start
    motion = np.full((n, CELLS * CELLS, 2), np.nan, np.float32)
    segment = np.full(n, -1, np.int32)
    trust: list[Matrix] = []
    tracker = Tracker(fps, look)
    for index, image in frames:
        face = tracker.push(index, image)
        if face is not None:
            motion[index - start], segment[index - start] = face.motion_px, face.segment
            if face.segment == len(trust):
                trust.append(face.trust)
    return Tracks(start, motion, np.array(trust).reshape(-1, CELLS * CELLS), segment)


def _begin(landmarks: Landmarks | None, image: Image, index: int) -> _Face | None:
    if landmarks is None:
        return None
    to_unit = face_to_unit(landmarks)
    grey = smooth_face(image, to_unit, _SIZE)
    template = Template(grey, trusted_cells(landmarks, to_unit))
    return _Face(template, to_unit, index, Seen.of(landmarks), _eyes(grey)) if template.trust.any() else None


def _eyes(grey: FloatImage) -> FloatImage:
    """(2, pixels) the pictures of both eyes, each with mean 0 and variance 1; where there is nothing to see, less."""
    rows, columns = _EYES
    parts = np.stack([grey[rows, each].ravel() for each in columns])
    parts -= parts.mean(1, keepdims=True)
    parts /= np.sqrt((parts * parts).mean(1, keepdims=True)) + np.float32(_DARK)
    return parts
