"""Stage `keyframes`: which frames of a clip are needed, annotated or spotted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.errors import MerError
from mer_pipeline.stages.align import face_to_unit, warp
from mer_pipeline.stages.detect import FaceMesh, Landmarks
from mer_pipeline.video import Footage

VERSION = 1

FrameSource = Literal["annotated", "spotted"]
Energy = npt.NDArray[np.float64]

# The picture that motion energy is measured on: small, since a sum over regions needs no detail.
_SIZE = 128
# Where expressions show, as (x0, y0, x1, y1) of the unit face: brows, nose sides and cheeks, mouth and chin. The eyes
# are left out, so that a blink is no expression.
_REGIONS_XYXY = ((0.18, 0.16, 0.82, 0.32), (0.25, 0.46, 0.75, 0.62), (0.25, 0.62, 0.75, 0.97))
# A longer clip is searched in windows of this length, so that a head that moves slowly stays comparable with the first
# frame of its window; a micro-expression lasts up to half a second.
_WINDOW_S = 1.0
_FALLBACK_FPS = 200.0  # frame folders say nothing; the high-speed sets record at 100 to 200
_MAX_LOOKS = 12  # frames in which a first face is looked for


@dataclass(frozen=True)
class KeyFrames:
    """The frames of one expression, 0-based indices into the decoded clip.

    Attributes:
        onset_frame, apex_frame: Start and peak.
        offset_frame: End; None where neither annotated nor spotted.
        onset_source, apex_source: `annotated` or `spotted`.
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int | None
    onset_source: FrameSource = "annotated"
    apex_source: FrameSource = "annotated"

    def __post_init__(self) -> None:
        end = self.apex_frame if self.offset_frame is None else self.offset_frame
        if not 0 <= self.onset_frame <= self.apex_frame <= end:
            raise ValueError(
                f"expected 0 <= onset <= apex <= offset, got {self.onset_frame}, {self.apex_frame}, {self.offset_frame}"
            )

    @property
    def needed(self) -> tuple[int, ...]:
        """The frames that later stages read, ascending."""
        return tuple(sorted({self.onset_frame, self.apex_frame}))


@dataclass
class Looked:
    """What was seen while frames were searched for a face.

    Attributes:
        frames: How many frames were looked at.
        with_face: How many of them had one.
        faces: The largest number of faces in one frame.
    """

    frames: int = 0
    with_face: int = 0
    faces: int = 0

    def at(self, mesh: FaceMesh, image: npt.NDArray[np.uint8]) -> Landmarks | None:
        """Look at one frame; the largest face."""
        found = mesh(image)
        self.frames += 1
        self.with_face += bool(found)
        self.faces = max(self.faces, len(found))
        return found[0] if found else None


def find_keyframes(
    footage: Footage,
    face_mesh: Callable[[], FaceMesh],
    *,
    onset_frame: int | None = None,
    apex_frame: int | None = None,
    offset_frame: int | None = None,
    fps: float | None = None,
    looked: Looked | None = None,
) -> KeyFrames:
    """Take what is annotated and spot the rest; with onset and apex given, no frame is decoded.

    Args:
        footage: The clip.
        face_mesh: Gives the face finder; called only where something must be spotted.
        onset_frame, apex_frame, offset_frame: What is annotated.
        fps: Frames a second, where the footage does not say.
        looked: Counts the frames in which a face was looked for.

    Raises:
        MerError: The clip is too short, or a search found no face.
    """
    if len(footage) < 2:
        raise MerError("a clip of one frame has no motion", where=footage.path, fix="give a clip with onset and apex")
    for name, frame in (("onset", onset_frame), ("apex", apex_frame), ("offset", offset_frame)):
        if frame is not None and not 0 <= frame < len(footage):
            what = f"{name} {frame} is outside the frames 0..{len(footage) - 1}"
            raise MerError(what, where=footage.path, fix="frames count from 0; correct the annotation")
    if onset_frame is not None and apex_frame is not None and onset_frame > apex_frame:
        raise MerError(f"onset {onset_frame} is after apex {apex_frame}", where=footage.path, fix="swap them")
    if onset_frame is not None and apex_frame is not None:
        return KeyFrames(onset_frame, apex_frame, offset_frame)
    mesh, looked = face_mesh(), looked if looked is not None else Looked()
    start = 0 if onset_frame is None else onset_frame
    stop = len(footage) if offset_frame is None else offset_frame + 1
    if onset_frame is not None:
        energy = _energy(footage, mesh, start, stop, looked)
        apex, end = start + int(np.argmax(energy)), offset_frame
        return KeyFrames(onset_frame, max(apex, start), end, apex_source="spotted")
    spotted = _search(footage, mesh, start, stop, fps or footage.fps or _FALLBACK_FPS, looked)
    apex = spotted.apex_frame if apex_frame is None else apex_frame
    onset = min(spotted.onset_frame, apex)
    end = max(spotted.offset_frame or apex, apex) if offset_frame is None else offset_frame
    return KeyFrames(onset, apex, end, "spotted", "spotted" if apex_frame is None else "annotated")


def _search(footage: Footage, mesh: FaceMesh, start: int, stop: int, fps: float, looked: Looked) -> KeyFrames:
    """The interval that stands out most from its window."""
    window = max(8, round(_WINDOW_S * fps))
    best: tuple[float, KeyFrames] | None = None
    for begin in range(start, max(start + 1, stop - window // 2), max(1, window // 2)):
        end = min(begin + window, stop)
        try:
            energy = _energy(footage, mesh, begin, end, looked)
        except _NoFaceError:
            continue
        salience = float(energy.max() / (np.median(np.abs(np.diff(energy))) + 1e-3))
        onset, apex, offset = interval(energy)
        if best is None or salience > best[0]:
            best = salience, KeyFrames(begin + onset, begin + apex, begin + offset, "spotted", "spotted")
    if best is None:
        raise MerError(
            f"no face was found in the {looked.frames} frames that were looked at",
            where=footage.path,
            fix="check that a face is visible and upright",
        )
    return best[1]


def interval(energy: Energy) -> tuple[int, int, int]:
    """Onset, apex and offset of the highest peak of an energy curve: where it leaves and re-enters the noise floor.

    Args:
        energy: (frames,) motion energy against the first frame.

    >>> interval(np.array([0, 0, 0, 1, 3, 5, 3, 1, 0, 0], float))
    (2, 5, 8)
    """
    apex = int(np.argmax(energy))
    floor = float(np.quantile(energy, 0.1))
    level = floor + 0.15 * (float(energy[apex]) - floor)
    before = np.flatnonzero(energy[: apex + 1] <= level)
    after = np.flatnonzero(energy[apex:] <= level)
    onset = int(before[-1]) if before.size else 0
    offset = apex + int(after[0]) if after.size else len(energy) - 1
    return onset, apex, offset


class _NoFaceError(Exception):
    """A window without a face; the search goes on."""


def _energy(footage: Footage, mesh: FaceMesh, start: int, stop: int, looked: Looked) -> Energy:
    """Motion energy of frames start..stop-1 against the first of them that has a face, (stop - start,)."""
    to_unit: npt.NDArray[np.float64] | None = None
    reference: npt.NDArray[np.float32] | None = None
    energy = np.zeros(stop - start)
    stride = max(1, (stop - start) // _MAX_LOOKS)
    for index, image in footage.read(range(start, stop)):
        if to_unit is None:
            if (index - start) % stride:
                continue
            landmarks = looked.at(mesh, image)
            if landmarks is None:
                continue
            to_unit = face_to_unit(landmarks)
        grey = _texture(image, to_unit)
        if reference is None:
            reference = grey
        energy[index - start] = _difference(reference, grey)
    if to_unit is None:
        raise _NoFaceError
    smooth = cv2.GaussianBlur(energy[None], (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)[0]
    return np.asarray(smooth, np.float64)


def _texture(image: npt.NDArray[np.uint8], to_unit: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The face without its slow shades, so that a change of light is no motion."""
    grey = cv2.cvtColor(warp(image, to_unit, _SIZE), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), 1.0) - cv2.GaussianBlur(grey, (0, 0), 8.0)


def _difference(reference: npt.NDArray[np.float32], grey: npt.NDArray[np.float32]) -> float:
    """Mean absolute difference in the regions after undoing a shift of the whole face."""
    window = cv2.createHanningWindow((_SIZE, _SIZE), cv2.CV_32F)
    # Copies, because OpenCV applies the window to its arguments in place.
    (dx, dy), _ = cv2.phaseCorrelate(reference.copy(), grey.copy(), window)
    if np.hypot(dx, dy) < 0.1 * _SIZE:
        moved = np.array([[1, 0, -dx], [0, 1, -dy]], np.float64)
        shifted = cv2.warpAffine(grey, moved, (_SIZE, _SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        grey = np.asarray(shifted, np.float32)
    return float(np.mean([np.abs(reference[box] - grey[box]).mean() for box in _boxes()]))


def _boxes() -> Iterator[tuple[slice, slice]]:
    for x0, y0, x1, y1 in _REGIONS_XYXY:
        yield slice(round(y0 * _SIZE), round(y1 * _SIZE)), slice(round(x0 * _SIZE), round(x1 * _SIZE))
