"""SAMM Long Videos as they are published: a folder a recording, and the sheet of SAMM, which has the emotions."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets import samm
from mer_pipeline.datasets.samm_long import COLUMNS, LAYOUT, SHEET
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import FAST, FAST_MACRO
from mer_pipeline.synth.truth import PlantedClip

PREAMBLE = ("SAMM Long Videos", "", "Onset, apex and offset are frame numbers at 200 fps", *[""] * 6)


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """Both sheets."""
    names = ("subject", "clip", "Inducement Code", "onset", "apex", "offset", "Duration", "type", "aus", "Notes")
    lines: list[Line] = [*([line or None] for line in PREAMBLE), header(COLUMNS, *names)]
    own: list[Line] = [header(samm.COLUMNS, "subject", "clip", "onset", "apex", "offset", "Micro", "aus", "emotion")]
    for clip in clips:
        onset, apex, offset = clip.numbers
        name, kind = clip.clip.rpartition("_")[0], "Macro" if clip.macro else "Micro - 1/2"
        coded = [clip.notation, None]
        lines.append([clip.subject, name, 1, onset, apex, offset, offset - onset + 1, kind, *coded])
        if not clip.macro:
            label = "Other" if clip.plan.emotion == "others" else clip.plan.emotion.capitalize()
            own.append([clip.subject, name, onset, apex, offset, kind, clip.notation, label])
    return {SHEET: lines, f"{samm.LAYOUT.sheet_example}/MICRO_ONLY": own}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.SAMM,
    subject_label=lambda index: f"{index + 6:03d}",
    folder_label=lambda subject, index, _emotion: f"{subject}_{index + 1}",
    frame_path=lambda clip, number: f"{clip.folder}/{clip.folder}_{number:04d}.jpg",
    sheets=sheets,
    timings=(FAST, FAST, FAST_MACRO),
    per_folder=3,
    clip_name=lambda folder, place, onset_number: f"{folder}_{place + 1}_{onset_number}",
    grey=True,
)
