"""The video with what was found drawn in: the face, the expression of the moment, and the course of motion below.

Letters are sized by the width of the picture, so that they can be read where a phone shows the video upright.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from mer_pipeline.arrays import Image, Matrix
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.landmarks import FaceFinder, Landmarks
from mer_pipeline.facs import AU_NAMES
from mer_pipeline.figures import style
from mer_pipeline.figures.magnify import ExpressionSpan, Magnifier
from mer_pipeline.figures.style import DIM, FIELD, GROUND, LIGHT, MACRO, REST, Colour, font
from mer_pipeline.inference.result import ClipResult, Expression, Unclassified
from mer_pipeline.progress import Progress, silent
from mer_pipeline.spotting.people import People, Person
from mer_pipeline.spotting.result import Timeline
from mer_pipeline.spotting.tracking import Tracked, Tracker, Whereabouts
from mer_pipeline.spotting.video import spot_video
from mer_pipeline.video import Footage, VideoWriter, open_footage

Found = Expression | Unclassified
# By the number of the person; None where one was followed without a number.
FacesOfFrame: TypeAlias = dict[int | None, "Face"]

# Of the picture's width, in pixels: smaller ones are enlarged for the text's sake, larger ones have no use here.
_LEAST, _MOST = 640, 1920
_LETTERS = 0.031  # of the width
_FALLBACK_FPS = 200.0
_LEAST_PX = 0.5  # of motion at the top of the timeline: a still face shall have a flat curve


def write_overlay(
    results: Sequence[ClipResult], path: Path, find_faces: FaceFinder, progress: Progress = silent, *,
    slow: float = 1.0, magnify: float = 1.0,
) -> None:  # fmt: skip
    """Write an MP4 with the clip's own times, which its clock shows; the file has mode 0600, since it shows faces.

    Args:
        results: What was found in the face that was followed, or in each of several.
        path: The file.
        find_faces: Finds faces.
        progress: Is given every frame drawn.
        slow: How many times slower it plays; at its own pace it has the film's sound.
        magnify: How many times larger the skin's motion in micro-expressions is drawn.

    Raises:
        MerError: The clip cannot be read any more.
        WriteError: The file cannot be written.
    """
    first = results[0]
    footage = open_footage(Path(first.clip))
    rate = first.fps or _FALLBACK_FPS
    timelines = [
        each.timeline or spot_video(footage.path, fps=rate, find_faces=find_faces).timeline for each in results
    ]
    seconds = footage.times_s
    if seconds is None:
        seconds = np.arange(len(footage)) / rate
    outlined = (
        _outlined(footage, rate, find_faces, first.where)
        if first.person is None
        else _all_outlined(footage, rate, find_faces)
    )
    panels: list[Strip] = []
    larger = {each.person: Magnifier(magnify, _spans(each)) for each in results if magnify > 1}
    with VideoWriter(path, rate / slow, sound=footage.path if slow == 1 else None) as writer:
        try:
            for index, image, faces in outlined:
                panels = panels or [
                    Strip(_size_wh(image), result, timeline, float(seconds[-1]), magnify)
                    for result, timeline in zip(results, timelines, strict=True)
                ]
                at, shown = float(seconds[index]), image
                for person, face in faces.items() if larger else ():
                    shown = larger[person].magnified(index, shown, face.to_unit) if person in larger else shown
                writer.write(_drawn(panels, shown, index, at, faces), slow * at)
                progress("overlay", index + 1, len(footage), footage.path.name)
        except WriteError:
            raise
        except MerError:
            if not panels:  # a file that was cut short is drawn as far as it goes
                raise


@dataclass(frozen=True)
class Face:
    """A face in one frame.

    Attributes:
        outline: (points, 2) pixels of the frame.
        to_unit: (2, 3) from pixels of the frame to the unit square of the face.
    """

    outline: Matrix
    to_unit: Matrix


def _spans(result: ClipResult) -> list[ExpressionSpan]:
    """Of each micro-expression, and of key frames that were given; of others the motion can be seen as it is."""
    found: list[Found] = [*result.expressions, *result.unclassified]
    return [(each.onset_frame, _end(each), each.offset_frame is not None) for each in found if each.kind != "macro"]


def _drawn(panels: Sequence[Strip], image: Image, index: int, seconds: float, faces: FacesOfFrame) -> Image:
    """A frame with the outlines of the faces, and below it a strip for each."""
    shown = _resized(image, panels[0].size_wh)
    for panel in panels:
        face = faces.get(panel.person)
        if face is not None:
            panel.outline(shown, face.outline * (panel.width / image.shape[1]), index)
    return np.vstack([shown, *(each.at(index, seconds, each.person in faces) for each in panels)])


def _size_wh(image: Image) -> tuple[int, int]:
    """How large frames are shown; both sides even, as H.264 wants them."""
    height, width = image.shape[:2]
    scale = min(max(width, _LEAST), _MOST) / width
    return round(width * scale) // 2 * 2, round(height * scale) // 2 * 2


def _resized(image: Image, size_wh: tuple[int, int]) -> Image:
    """A copy that may be drawn into."""
    if image.shape[1::-1] == size_wh:
        return image.copy()
    how = cv2.INTER_AREA if size_wh[0] < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size_wh, interpolation=how), np.uint8)


def _outlined(
    footage: Footage, fps: float, find_faces: FaceFinder, where: Whereabouts
) -> Iterator[tuple[int, Image, FacesOfFrame]]:
    """Every frame and the outline of the face whose result is drawn: found once a second and tracked in between."""
    seen: list[Landmarks] = []
    index = 0

    def find(image: Image) -> Landmarks | None:
        seen[:] = where.nearest_first(index, find_faces(image))[:1]
        return seen[0] if seen else None

    tracker, hull = Tracker(fps, find), _Hull()
    for index, image in footage.read(range(len(footage))):
        face = tracker.push(index, image)
        yield index, image, {} if face is None else {None: hull.in_frame(face, seen.pop() if seen else None)}


def _all_outlined(footage: Footage, fps: float, find_faces: FaceFinder) -> Iterator[tuple[int, Image, FacesOfFrame]]:
    """The same with every face that has a number."""
    people, hulls = People(fps, find_faces), dict[Person, _Hull]()
    for index, image in footage.read(range(len(footage))):
        faces: FacesOfFrame = {}
        for person, face in people.push(index, image).items():
            if face is not None:
                hull = hulls.setdefault(person, _Hull())
                faces[person.number or None] = hull.in_frame(face, people.landmarks(person))
        for person in people.forgotten():
            hulls.pop(person, None)
        faces.pop(None, None)
        yield index, image, faces


class _Hull:
    """The outline of a face, carried on from where it was last found."""

    def __init__(self) -> None:
        self._unit: Matrix = np.empty((0, 2))

    def in_frame(self, face: Tracked, found: Landmarks | None) -> Face:
        """Where the face is in this frame."""
        shift, linear = face.to_unit[:, 2], face.to_unit[:, :2]
        if found is not None:
            hull = np.asarray(cv2.convexHull(found.outline_xy.astype(np.float32)), np.float64)[:, 0]
            self._unit = hull @ linear.T + shift
        return Face(np.asarray((self._unit - shift) @ np.linalg.inv(linear).T, np.float64), face.to_unit)


def _draw_outline(image: Image, outline: Matrix, found: Found | None) -> None:
    """Thin and white at rest, thick and in its colour during an expression; drawn in place."""
    points = np.rint(outline * 8).astype(np.int32)
    unit = max(1, round(image.shape[1] / 640))
    colour, thickness = (REST, unit) if found is None else (_colour(found), 3 * unit)
    # On a dark rim, so that it shows on light skin and background.
    cv2.polylines(image, [points], True, (0, 0, 0), thickness + 2 * unit, cv2.LINE_AA, 3)
    cv2.polylines(image, [points], True, colour, thickness, cv2.LINE_AA, 3)


def _colour(found: Found) -> Colour:
    return style.headline(found)[1] if isinstance(found, Expression) else MACRO


class Strip:
    """The strip below the picture."""

    def __init__(
        self, size_wh: tuple[int, int], result: ClipResult, timeline: Timeline, length_s: float, magnify: float = 1.0
    ) -> None:
        self.size_wh, self.width, self.person = size_wh, size_wh[0], result.person
        self._letters = round(_LETTERS * self.width)
        self._length_s = max(length_s, 1e-6)
        self._frames = result.frames
        self._magnify = magnify
        found: list[Found] = [*result.expressions, *result.unclassified]
        self._found = sorted(found, key=lambda each: each.onset_frame)
        self._pad = self._letters
        self._top = round(4.6 * self._letters)  # of the curve
        self.height = round(9.6 * self._letters) // 2 * 2
        self._base = self._drawn(timeline)
        self._text: tuple[object, Image] | None = None

    def current(self, index: int) -> Found | None:
        """The expression that frame `index` belongs to."""
        return next((each for each in self._found if each.onset_frame <= index <= _end(each)), None)

    def outline(self, shown: Image, outline: Matrix, index: int) -> None:
        """Draw the face's outline, in pixels of the picture, and its number where there are several; in place."""
        _draw_outline(shown, outline, self.current(index))
        if self.person is None:
            return
        (left, top), size = outline.min(0), 1.5 * self._letters / 30
        at = max(0, round(float(left))), max(round(40 * size), round(float(top)) - self._letters // 2)
        for colour, thickness in (((0, 0, 0), 6), (REST, 2)):
            cv2.putText(
                shown, str(self.person), at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, round(thickness * size) + 1,
                cv2.LINE_AA,
            )  # fmt: skip

    def at(self, index: int, seconds: float, has_face: bool) -> Image:
        """The strip for one frame, (height, width, 3) uint8 RGB."""
        started = [each for each in self._found if each.onset_frame <= index]
        last = started[-1] if started else None
        now = self.current(index)
        state = (last, now is None, has_face)
        if self._text is None or self._text[0] != state:
            self._text = state, self._said(last, now is not None, has_face)
        picture = self._text[1].copy()
        self._clock(picture, seconds)
        x = self._x(seconds)
        bottom = self.height - round(1.9 * self._letters)
        cv2.line(picture, (x, self._top), (x, bottom), LIGHT, max(2, self._letters // 10))
        return picture

    def _x(self, seconds: float) -> int:
        return round(self._pad + (self.width - 2 * self._pad) * min(seconds / self._length_s, 1.0))

    def _drawn(self, timeline: Timeline) -> Image:
        """What does not change: the curve, the expressions and the axis."""
        page, pen = style.canvas((self.width, self.height), GROUND)
        letters, bottom = self._letters, self.height - round(1.9 * self._letters)
        pen.rectangle((self._pad, self._top, self.width - self._pad, bottom), FIELD)
        for each in self._found:
            left, right = (self._x(self._seconds(each, at)) for at in ("onset", "offset"))
            middle = (left + right) / 2
            half = max((right - left) / 2, self.width / 300)
            tint = tuple(round(0.45 * a + 0.55 * b) for a, b in zip(_colour(each), GROUND, strict=True))
            pen.rectangle((middle - half, self._top, middle + half, bottom), tint)
            pen.rectangle((middle - half, self._top, middle + half, self._top + letters // 4), _colour(each))
        small = font(round(0.8 * letters))
        ends = (0.0, "la", _clock(0, self._length_s)), (1.0, "ra", _clock(self._length_s, self._length_s))
        top = f"motion of the skin, up to {_most(timeline):.1f} px in a 224 px crop"
        for share, anchor, text in (*ends, (0.5, "ma", top)):
            x = self._pad + share * (self.width - 2 * self._pad)
            pen.text((x, bottom + letters // 3), text, DIM, small, anchor=anchor)
        drawn = np.array(page)
        self._curve(drawn, timeline, bottom)
        return drawn

    def _curve(self, page: Image, timeline: Timeline, bottom: int) -> None:
        """Draw the course of motion in place; it is broken where there is no face."""
        known = np.isfinite(timeline.energy)
        if not known.any():
            return
        most = _most(timeline)
        height = bottom - self._top - self._letters // 2
        energy = np.clip(np.where(known, timeline.energy, 0) / most, 0, 1)
        points = np.array(
            [(self._x(float(at)), bottom - height * each) for at, each in zip(timeline.seconds, energy, strict=True)]
        )
        edges = np.flatnonzero(np.diff(known)) + 1
        for part, has_face in zip(np.split(points, edges), np.split(known, edges), strict=True):
            if has_face[0]:
                line = np.rint(part * 8).astype(np.int32)
                cv2.polylines(page, [line], False, LIGHT, max(1, self._letters // 12), cv2.LINE_AA, 3)

    def _said(self, last: Found | None, now: bool, has_face: bool) -> Image:
        """The lines of text: the expression of the moment, or in grey the last one."""
        page = Pillow.fromarray(self._base)
        pen = ImageDraw.Draw(page)
        letters, room = self._letters, self.width - 2 * self._pad
        big, normal = font(round(1.5 * letters), True), font(letters)
        first, second = ("no face", "") if not has_face and not now else ("no expression so far", "")
        colour: Colour = DIM
        if isinstance(last, Expression):
            first, colour = style.headline(last)
            aus = [f"AU {number} {AU_NAMES[int(number)].lower()} {100 * p:.0f} %" for number, p in last.likely_aus()]
            second = ", ".join(aus) or ("no Action Unit above 50 %" if last.aus else "")
        elif last is not None:
            first, second, colour = f"{last.kind}-expression", "found, not judged", MACRO
        if last is not None and not now:
            colour = DIM
        first = first if self.person is None else f"{self.person}: {first}"
        pen.text((self._pad, 0.8 * letters), style.fitted(first, 0.7 * room, big), colour, big)
        if self._magnify > 1 and now and last is not None and last.kind != "macro":
            pen.text((self.width - self._pad, 2.9 * letters), f"motion × {self._magnify:g}", DIM, normal, anchor="ra")
            room -= 7 * letters
        pen.text((self._pad, 2.9 * letters), style.fitted(second, room, normal), LIGHT if now else DIM, normal)
        return np.asarray(page)

    def _clock(self, picture: Image, seconds: float) -> None:
        """Draw the time into the upper right corner."""
        letters = self._letters
        width, height = round(6 * letters), round(1.4 * letters)
        page, pen = style.canvas((width, height), GROUND)
        pen.text((width, height / 2), _clock(seconds, self._length_s), LIGHT, font(letters), anchor="rm")
        x, y = self.width - self._pad - width, round(0.9 * letters)
        picture[y : y + height, x : x + width] = np.asarray(page)

    def _seconds(self, found: Found, at: str) -> float:
        seconds, frame = getattr(found, f"{at}_s"), getattr(found, f"{at}_frame")
        if frame is None:
            return self._seconds(found, "apex")
        return float(seconds) if seconds is not None else self._length_s * frame / max(self._frames - 1, 1)


def _most(timeline: Timeline) -> float:
    """The motion at the top of the curve, in pixels of a crop of 224."""
    known = timeline.energy[np.isfinite(timeline.energy)]
    return max(float(np.quantile(known, 0.999)), _LEAST_PX) if known.size else _LEAST_PX


def _end(found: Found) -> int:
    return found.apex_frame if found.offset_frame is None else found.offset_frame


def _clock(seconds: float, length_s: float) -> str:
    """A time as short as the video allows.

    >>> _clock(0.25, 2), _clock(75, 90), _clock(3700, 4000)
    ('0.25 s', '1:15', '1:01:40')
    """
    if length_s < 60:
        return f"{seconds:.2f} s"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if length_s >= 3600 else f"{rest // 60}:{rest % 60:02d}"
