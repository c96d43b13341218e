"""CAS(ME)^3 part A as it is published: recordings with several expressions each, gaps between them, and a sheet."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.casme3 import COLUMNS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import SLOW
from mer_pipeline.synth.truth import PlantedClip

_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII")
_LABELS = {"happiness": "happy", "sadness": "sad"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """A letter.

    >>> folder_label("001", 0, "anger"), folder_label("001", 27, "anger")
    ('a', 'ab')
    """
    return ("" if index < len(_LETTERS) else _LETTERS[index // len(_LETTERS) - 1]) + _LETTERS[index % len(_LETTERS)]


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The coding sheet; like the published one it has apexes at the onset, a folder in capitals, and `Others`."""
    names = ("subject", "clip", "onset", "apex", "offset", "aus", "Objective class", "emotion")
    lines: list[Line] = [header(COLUMNS, *names)]
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        shown = onset if position % 16 == 7 else apex
        folder = clip.folder.upper() if position == 4 else clip.folder
        label = _LABELS.get(clip.plan.emotion, clip.plan.emotion)
        label = "Others" if label == "others" and position % 2 else label
        objective = _ROMAN[clip.plan.combination.objective_class - 1]
        lines.append([f"spNO.{int(clip.subject)}", folder, onset, shown, offset, clip.notation, objective, label])
    return {"label": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.CASME3,
    subject_label=lambda index: f"{index + 1:03d}",
    folder_label=folder_label,
    frame_path=lambda clip, number: f"spNO.{int(clip.subject)}/{clip.folder}/color/{number}.jpg",
    sheets=sheets,
    first_number=lambda index: 61 * index % 300,
    timings=(SLOW,),
    per_folder=3,
    gap=12,
    clip_name=lambda folder, place, onset_number: f"{folder}_{onset_number}",  # noqa: ARG005 - the onset is enough
    slips=("clip", "apex"),
)
