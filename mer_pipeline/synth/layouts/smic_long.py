"""SMIC-E as it is published, the fast camera: recordings with frames before and after, and absolute numbers."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.smic_long import COLUMNS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts import smic
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import MEDIUM
from mer_pipeline.synth.truth import PlantedClip


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The sheet of the fast camera; one expression a recording."""
    names = (
        "subject", "clip", None, "onset", "apex", "offset", "onset2", "offset2", "onset3", "offset3", None, "first",
        "last", "total1", "total2", "total3", "length", "emotion",
    )  # fmt: skip
    lines: list[Line] = [header(COLUMNS, *names)]
    for clip in clips:
        onset, _, offset = clip.numbers
        ends = clip.number(0), clip.number(clip.plan.n_frames - 1)
        intervals = [*clip.numbers, *[None] * 4, None, *ends, offset - onset + 1, 0, 0, clip.plan.n_frames]
        lines.append([int(clip.subject), clip.folder, None, *intervals, clip.plan.emotion])
    return {"HS": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.SMIC,
    subject_label=smic.WRITER.subject_label,
    folder_label=smic.folder_label,
    frame_path=lambda clip, number: f"s{clip.subject}/{clip.folder}/image{number}.jpg",
    sheets=sheets,
    first_number=lambda index: 17_581_039 + 400 * index,
    timings=(MEDIUM,),
    grey=True,
)
