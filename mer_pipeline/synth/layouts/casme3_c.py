"""CAS(ME)^3 part C as it is published: one recording a subject, and two workbooks, neither with an apex."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.casme3_c import LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets
from mer_pipeline.synth.plan import SLOW, SLOW_MACRO
from mer_pipeline.synth.truth import PlantedClip


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The micro-expressions with commas between the Action Units, one of them full-width; and all expressions."""
    micro: list[Line] = [("sub", "count", "onset", "offset", "au", "emotion")]
    everything: list[Line] = [("Subject", "Onset", "Offset", "diff", "Exp_type", "risk")]
    for position, clip in enumerate(clips):
        onset, _, offset = clip.numbers
        everything.append([int(clip.subject), onset, offset, offset - onset, int(not clip.macro), 1])
        if not clip.macro:
            aus = clip.notation.replace("+", "\uff0c" if position % 5 == 1 else ",")
            micro.append([int(clip.subject), position + 1, onset, offset, aus, clip.plan.emotion])
    return {"mockCrimeME": micro, "CAS(ME)3_part_C.xls/organize": everything}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.CASME_SQ,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=lambda _subject, _index, _emotion: "a",
    frame_path=lambda clip, number: f"{clip.subject}/a/color/{number}.jpg",
    sheets=sheets,
    timings=(SLOW, SLOW, SLOW_MACRO),
    per_folder=200,
    clip_name=lambda folder, _place, onset_number: f"{folder}_{onset_number}",
)
