"""MMEW as it is published: cropped faces in a folder an emotion, frames numbered from 1, and a coding sheet.

The pictures are a little larger than the 231x231 of the set: faces are cropped and never scaled, so that the truth is
in pixels of what lies on disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.mmew import COLUMNS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import MEDIUM
from mer_pipeline.synth.truth import PlantedClip


def folder_label(subject: str, index: int, emotion: str) -> str:
    """Subject, emotion and clip.

    >>> folder_label("03", 1, "happiness")
    'S03-04-002'
    """
    return f"S{subject}-{sorted(emotions.MMEW).index(emotion) + 1:02d}-{index + 1:03d}"


def frame_path(clip: PlantedClip, number: int) -> str:
    """`happiness/S03-04-002/1.jpg` and so on; half of `others` lie in `repression`."""
    hidden = clip.plan.emotion == "others" and int(clip.folder[-3:]) % 2 == 0
    return f"{'repression' if hidden else clip.plan.emotion}/{clip.folder}/{number}.jpg"


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The coding sheet; like the published one it has a wrong apex in one row of twenty."""
    names = ("subject", "clip", "onset", "apex", "offset", "aus", "emotion", "remarks")
    lines: list[Line] = [header(COLUMNS, *names)]
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        shown = offset + 5 if position % 20 == 9 else apex
        lines.append([f"S{clip.subject}", clip.folder, onset, shown, offset, clip.notation, clip.plan.emotion, None])
    return {"Sheet": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.MMEW,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=folder_label,
    frame_path=frame_path,
    sheets=sheets,
    timings=(MEDIUM,),
    crop_wh=(300, 300),
    slips=("apex",),
)
