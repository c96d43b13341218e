"""How one dataset looks on disk: its camera, its labels, its names, and its writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.synth.emotions import Combination
from mer_pipeline.synth.media import Frames
from mer_pipeline.synth.plan import FAST, Timing
from mer_pipeline.synth.truth import PlantedClip


def _always_fast(index: int) -> Timing:  # noqa: ARG001 - a layout may tell by the index
    return FAST


def _same(folder: str, place: int, onset_number: int) -> str:  # noqa: ARG001 - where a folder is a clip
    return folder


@dataclass(frozen=True)
class Layout:
    """How one dataset looks on disk.

    Attributes:
        dataset: Its name, the first part of every clip id.
        fps: Frames per second of its camera.
        vocabulary: The emotions it labels, and the Action Units that its coders saw in each.
        subject_label: Subject index from 0 -> the subject as in a clip id.
        folder_label: Subject, folder index from 0 within it, and emotion -> the clip's folder or file.
        first_number: Folder index from 0 over all subjects -> the number of the folder's first frame.
        write_clip: Writes the RGB frames of a clip below a folder, as a video if the last argument is true.
        write_sheet: Writes the coding sheet of all clips into a folder.
        timing: Clip index from 0 within a subject -> how long its parts last.
        per_folder: How many clips of a subject share a folder.
        gap: How many numbers are left out between two clips of a folder.
        clip_name: A folder, the clip's place in it from 0, and the number of its onset -> the clip as in a clip id.
        crop_wh: Frames are cropped to this size around the face; None for whole frames.
        videos: Whether the set is handed out as videos too.
    """

    dataset: str
    fps: float
    vocabulary: Mapping[str, Sequence[Combination]]
    subject_label: Callable[[int], str]
    folder_label: Callable[[str, int, str], str]
    first_number: Callable[[int], int]
    write_clip: Callable[[Path, PlantedClip, Frames, bool], None]
    write_sheet: Callable[[Path, Sequence[PlantedClip]], None]
    timing: Callable[[int], Timing] = _always_fast
    per_folder: int = 1
    gap: int = 0
    clip_name: Callable[[str, int, int], str] = _same
    crop_wh: tuple[int, int] | None = None
    videos: bool = False
