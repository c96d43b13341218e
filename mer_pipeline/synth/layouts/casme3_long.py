"""CAS(ME)^3 part A as long videos: the frames of `casme3`, macro-expressions too, and a sheet of blinks."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.casme3_long import COLUMNS, LAYOUT, SHEETS
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts import casme3
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import SLOW, SLOW_MACRO
from mer_pipeline.synth.truth import PlantedClip


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """Both sheets; like the published one it has apexes at the onset."""
    names = ("subject", "clip", "onset", "apex", "offset", "aus", "type", "emotion")
    lines: list[Line] = [header(COLUMNS, *names)]
    blinks: list[Line] = [header(COLUMNS, "subject", "clip", "onset", "offset")]
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        person = [f"spNO.{int(clip.subject)}", clip.folder]
        kind = "Macro-expression" if clip.macro else "Micro-expression"
        label = clip.plan.emotion.removeprefix("class ").upper()
        lines.append([*person, onset, onset if position % 16 == 7 else apex, offset, clip.notation, kind, label])
        if clip.plan.blink is not None:
            blinks.append([*person, clip.number(clip.plan.blink.start_frame), clip.number(clip.plan.blink.end_frame)])
    return dict(zip(SHEETS, (lines, blinks), strict=True))


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.CASME3_LONG,
    subject_label=casme3.WRITER.subject_label,
    folder_label=casme3.folder_label,
    frame_path=casme3.WRITER.frame_path,
    sheets=sheets,
    first_number=lambda index: 8 + index % 2,  # the frames before are missing
    timings=(SLOW, SLOW, SLOW_MACRO),
    per_folder=3,
    clip_name=casme3.WRITER.clip_name,
    slips=("apex",),
)
