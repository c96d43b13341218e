"""CASME II as it is published: raw frames or one AVI a clip, and the coding sheet of 2019-07-01."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.casme2 import COLUMNS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.truth import PlantedClip

# The published sheet has `/` for the apex of this clip, and so has this one where it comes so far.
WITHOUT_APEX = ("04", "EP12_01f")


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """Episode and part, most with the `f` of the published names.

    >>> [folder_label("01", i, "disgust") for i in range(4)]
    ['EP02_01f', 'EP02_02f', 'EP02_03', 'EP03_01f']
    """
    return f"EP{index // 3 + 2:02d}_{index % 3 + 1:02d}{'' if index % 3 == 2 else 'f'}"


def first_number(index: int) -> int:
    """1 for most clips; every fourth is cut from a longer recording and keeps its numbers."""
    return 1 if index % 4 != 1 else 26 + 37 * index % 200


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The coding sheet; two of its columns have no name."""
    names = ("subject", "clip", None, "onset", "apex", "offset", None, "aus", "emotion", "Objective Classes")
    lines: list[Line] = [header(COLUMNS, *names)]
    for clip in clips:
        onset, apex, offset = clip.numbers
        shown = "/" if (clip.subject, clip.folder) == WITHOUT_APEX else apex
        coded = [clip.notation, clip.plan.emotion, clip.plan.combination.objective_class]
        lines.append([clip.subject, clip.folder, None, onset, shown, offset, None, *coded])
    return {"Sheet1": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.CASME2,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=folder_label,
    frame_path=lambda clip, number: f"sub{clip.subject}/{clip.folder}/img{number}.jpg",
    sheets=sheets,
    first_number=first_number,
    videos=True,
)
