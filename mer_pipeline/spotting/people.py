"""Every face of a film, each followed by a tracker of its own; one detection serves all that ask in the same frame.

A face that was lost and comes back keeps its number only where that is certain: it is where it was, and either what is
around it is as before and it was away for a moment only, or it looks as only the same face does. Else it gets a new
number, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Image
from mer_pipeline.faces.align import face_to_unit
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.spotting.tracking import Place, Tracked, Tracker

# All faces are looked for as often, in seconds: while one was lost just now or none is there, and else.
_LOOK_SOON_S, _LOOK_S, _SOON_S = 0.1, 1.0, 2.0
# A face is the one that was followed if its middle is this near, in widths of the face, and it is as large.
_SAME_PLACE, _SAME_SIZE = 0.5, 1.5
# Two middles nearer than this are of one face, which has one tracker.
_ONE_FACE = 0.3
# Correlation of two pictures of a face, one laid on the other. Six people drawn from one portrait reach 0.954 with each
# other, people of different films 0.5 at most; a face at rest is 0.99 like itself, one that laughs 0.5.
_ALIKE = 0.96
_MOMENT_S, _SAME_SCENE = 2.0, 0.9
_SCENE_WH = (48, 32)
# What is followed for less is taken for no person; so many that were lost can come back.
_LEAST_S, _REMEMBERED = 0.5, 16


@dataclass(eq=False)
class Person:
    """One face.

    Attributes:
        tracker: Follows it.
        key: Its own, whether it gets a number or not.
        first_frame: The first in which it was seen.
        number: From 1 in the order of appearance; 0 until it has been followed for half a second.
        frames: In how many it was followed.
        found: In how many of those in which faces were looked for.
        place: Where it is, or was last.
        lost_frame: The first in which it was lost; None while it is followed.
        after: The numbers of those who were out of view when it appeared, any of whom it may be.
    """

    tracker: Tracker
    key: int
    first_frame: int
    place: Place
    number: int = 0
    frames: int = 0
    found: int = 0
    lost_frame: int | None = None
    after: tuple[int, ...] = ()
    scene: FloatImage | None = field(default=None, repr=False)

    def is_here(self, place: Place) -> bool:
        """Whether a face is where this one is or was."""
        size = max(place.width, self.place.width) / max(1e-9, min(place.width, self.place.width))
        return size < _SAME_SIZE and self.place.away(place) < _SAME_PLACE


class People:
    """Follows every face through frames that are given one by one.

    Attributes:
        known: Those who are followed, or may come back.
        numbered: How many have a number.
        most: The largest number of them in one frame.
    """

    def __init__(self, fps: float, find: Callable[[Image], Sequence[Landmarks]]) -> None:
        self.known: list[Person] = []
        self.numbered = self.most = 0
        self._fps, self._find, self._now, self._begun = fps, find, 0, 0
        self._looked: int | None = None  # the last frame in which faces were looked for
        self._faces: list[Landmarks] = []  # in it
        self._given: dict[Person, Landmarks] = {}  # those of them that have been given
        self._before: Image | None = None

    def push(self, index: int, image: Image) -> dict[Person, Tracked | None]:
        """Follow all into the next frame: those who are in it, and with None those who have just been lost.

        Args:
            index: Ascending; frames may be left out.
            image: (H, W, 3) RGB.
        """
        self._now = index
        faces = {person: self._followed(person, index, image) for person in self._present()}
        if self._is_due(index):
            self._look(image)
        if self._looked == index:
            faces |= self._come(image)
        self._count(person for person, face in faces.items() if face is not None)
        self._before = image
        return faces

    def forgotten(self) -> Iterator[Person]:
        """Those who cannot come back any more, each once."""
        lost = sorted(
            (each for each in self.known if each.lost_frame is not None), key=lambda each: each.lost_frame or 0
        )
        numbered = [each for each in lost if each.number]
        for person in (*(each for each in lost if not each.number), *numbered[:-_REMEMBERED]):
            self.known.remove(person)
            yield person

    def landmarks(self, person: Person) -> Landmarks | None:
        """What was found of a face in the last frame, where faces were looked for in it."""
        return self._given.get(person) if self._looked == self._now else None

    def _present(self) -> list[Person]:
        return [each for each in self.known if each.lost_frame is None]

    def _followed(self, person: Person, index: int, image: Image) -> Tracked | None:
        face = person.tracker.follow(index, image)
        if face is None:
            person.lost_frame = index
            person.scene = None if self._before is None else _scene(self._before, person.place)
        else:
            person.place = Place.of(face.to_unit)
        return face

    def _is_due(self, index: int) -> bool:
        if self._looked is None:
            return True
        lost = any(each.lost_frame is not None and index - each.lost_frame < _SOON_S * self._fps for each in self.known)
        every = _LOOK_SOON_S if lost or not self._present() else _LOOK_S
        return index - self._looked >= max(1, round(every * self._fps))

    def _look(self, image: Image) -> None:
        """Look for all faces, once a frame, and give those who are followed each the one that is nearest."""
        if self._looked == self._now:
            return
        self._looked, self._faces, self._given = self._now, list(self._find(image)), {}
        pairs = [
            (person.place.away(place), at, person)
            for person in self._present()
            for at, place in enumerate(Place.of(face_to_unit(face)) for face in self._faces)
            if person.is_here(place)
        ]
        taken = set[int]()
        for _, at, person in sorted(pairs, key=lambda pair: pair[:2]):
            if at not in taken and person not in self._given:
                taken.add(at)
                self._given[person] = self._faces[at]
                person.found += 1

    def _come(self, image: Image) -> dict[Person, Tracked | None]:
        """Begin with the faces that none of those who are followed has."""
        begun: dict[Person, Tracked | None] = {}
        given = {id(self._given[person]) for person in self._present() if person in self._given}
        for landmarks in self._faces:
            place = Place.of(face_to_unit(landmarks))
            if id(landmarks) in given or any(each.place.away(place) < _ONE_FACE for each in self._present()):
                continue
            person = self._who(image, landmarks, place)
            face = person.tracker.begin(self._now, image, landmarks)
            if face is not None:
                self.known += [] if person in self.known else [person]
                person.place, person.lost_frame = place, None
                person.found += person not in self._given
                self._given[person] = landmarks
                begun[person] = face
        return begun

    def _who(self, image: Image, landmarks: Landmarks, place: Place) -> Person:
        """The one of those who were lost whose face this certainly is; else somebody new."""
        lost = [each for each in self.known if each.lost_frame is not None]
        here = [each for each in lost if each.is_here(place)]
        alike = [each for each in here if each.tracker.likeness(image, landmarks) >= _ALIKE]
        just = [each for each in here if self._now - (each.lost_frame or 0) <= _MOMENT_S * self._fps]
        just = just if len(just) == 1 and _same_scene(just[0], image) else []
        if len(alike) == 1 or just:
            return alike[0] if len(alike) == 1 else just[0]
        self._begun += 1
        tracker = Tracker(self._fps, lambda image: self._mine(person, image))
        after = tuple(each.number for each in lost if each.number)
        person: Person = Person(tracker, self._begun, self._now, place, after=after)
        return person

    def _mine(self, person: Person, image: Image) -> Landmarks | None:
        self._look(image)
        return self._given.get(person)

    def _count(self, here: Iterable[Person]) -> None:
        """Give numbers to those who stay."""
        present = list(here)
        for person in present:
            person.frames += 1
            if not person.number and person.frames >= max(1, round(_LEAST_S * self._fps)):
                self.numbered += 1
                person.number = self.numbered
        self.most = max(self.most, sum(each.number > 0 for each in present))


def _scene(image: Image, place: Place) -> FloatImage:
    """A small grey picture of what is around a face; NaN where the face is."""
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _SCENE_WH, interpolation=cv2.INTER_AREA)
    scene = small.astype(np.float32)
    (height, width), (columns, rows) = image.shape[:2], _SCENE_WH
    left, right = ((place.x + side * 0.7 * place.width) / width * columns for side in (-1, 1))
    top, bottom = ((place.y + side * 0.8 * place.width) / height * rows for side in (-1, 1))
    scene[max(0, int(top)) : max(0, int(bottom) + 1), max(0, int(left)) : max(0, int(right) + 1)] = np.nan
    return scene


def _same_scene(person: Person, image: Image) -> bool:
    """Whether the film shows the same place as when a face was lost: no other shot has begun since."""
    if person.scene is None:
        return False
    now = _scene(image, person.place)
    known = np.isfinite(person.scene) & np.isfinite(now)
    if np.count_nonzero(known) < 0.1 * known.size:  # the face fills the picture
        return False
    a, b = person.scene[known], now[known]
    if min(a.std(), b.std()) < 1.0:  # a grey wall
        return bool(abs(float(a.mean() - b.mean())) < 4.0)
    return float(np.corrcoef(a, b)[0, 1]) >= _SAME_SCENE
