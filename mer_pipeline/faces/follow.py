"""One face through the frames of a clip: the one that persists and is largest; where it is lost there is a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError
from mer_pipeline.faces.landmarks import FaceFinder, Landmarks

# Two boxes of one head in two frames of an expression overlap more than this, those of two heads do not.
_SAME_FACE_IOU = 0.3


@dataclass(frozen=True)
class Followed:
    """The face that was followed.

    Attributes:
        landmarks: Of each frame in which it was found, by frame index.
        gap_frames: The frames in which it was not, ascending.
        faces: How many distinct faces there are.
        warnings: What the user should know.
    """

    landmarks: Mapping[int, Landmarks]
    gap_frames: tuple[int, ...]
    faces: int
    warnings: tuple[str, ...]


@dataclass
class DetectionCounts:
    """What was seen while frames were searched for a face.

    Attributes:
        frames: How many frames were looked at.
        with_face: How many of them had one.
        faces: The largest number of faces in one frame.
    """

    frames: int = 0
    with_face: int = 0
    faces: int = 0

    def at(self, finder: FaceFinder, image: Image) -> Landmarks | None:
        """The largest face of one frame."""
        found = self.all(finder, image)
        return found[0] if found else None

    def all(self, finder: FaceFinder, image: Image) -> list[Landmarks]:
        """Every face of one frame, largest first."""
        found = finder(image)
        self.frames += 1
        self.with_face += bool(found)
        self.faces = max(self.faces, len(found))
        return found


def follow(found: Mapping[int, Sequence[Landmarks]]) -> Followed | None:
    """Follow the face that is in most frames and, among equals, has the largest mean area.

    Returns:
        None where no frame has a face.
    """
    tracks: list[dict[int, Landmarks]] = []
    for frame in sorted(found):
        free = list(tracks)
        for face in found[frame]:
            near = max(free, key=lambda track: _last(track).box.iou(face.box), default=None)
            if near is not None and _last(near).box.iou(face.box) >= _SAME_FACE_IOU:
                free = [track for track in free if track is not near]
                near[frame] = face
            else:
                tracks.append({frame: face})
    if not tracks:
        return None
    chosen = max(tracks, key=lambda track: (len(track), _mean_area(track)))
    gap_frames = tuple(frame for frame in sorted(found) if frame not in chosen)
    warnings = []
    if len(tracks) > 1:
        x0, y0, x1, y1 = (round(edge) for edge in next(iter(chosen.values())).box.box_xyxy)
        warnings.append(f"{len(tracks)} faces; took the one at {x0},{y0}..{x1},{y1}, the largest that persists")
    if gap_frames:
        warnings.append(f"the face is lost in frames {spans(gap_frames)}")
    return Followed(chosen, gap_frames, len(tracks), tuple(warnings))


def having(face: Followed | None, needed: Mapping[str, int], where: object) -> Followed:
    """The face, if it was found in every frame that the clip cannot do without.

    Args:
        face: What was followed.
        needed: What the frames are, and their indices; the first names the clip's face.
        where: The clip's file, for the error.

    Raises:
        MerError: There is no face, or it is lost in such a frame.
    """
    fix = "check that the face is visible"
    if face is None:
        raise MerError(f"no face found in frame {next(iter(needed.values()))}", where=where, fix=fix)
    for name, frame in needed.items():
        if frame in face.gap_frames:
            lost = f"the face is lost in frames {spans(face.gap_frames)}, and {frame} is the {name}"
            raise MerError(lost, where=where, fix=fix)
    return face


def spans(frames: Sequence[int]) -> str:
    """Ascending frame numbers as text, runs joined.

    >>> spans([3, 4, 5, 9])
    '3-5,9'
    """
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _last(track: Mapping[int, Landmarks]) -> Landmarks:
    return track[max(track)]


def _mean_area(track: Mapping[int, Landmarks]) -> float:
    return sum(face.box.area for face in track.values()) / len(track)
