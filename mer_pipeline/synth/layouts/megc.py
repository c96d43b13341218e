"""The test folder of the challenge: a folder a subject, one a video, and the columns of the challenge's CSV."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.megc import COLUMNS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import SLOW
from mer_pipeline.synth.truth import PlantedClip


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The labels, and the rate."""
    lines: list[Line] = [header(COLUMNS, "subject", "clip", "onset", "offset", "emotion", "fps")]
    for clip in clips:
        onset, _, offset = clip.numbers
        lines.append([clip.subject, clip.folder, onset, offset, clip.plan.emotion, int(clip.fps)])
    return {"label": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.SMIC,
    subject_label=lambda index: f"s{index + 1}",
    folder_label=lambda _subject, index, _emotion: f"{'ab'[index % 2]}{index // 2 + 1}",
    frame_path=lambda clip, number: f"{clip.subject}/{clip.folder}/{number}.jpg",
    sheets=sheets,
    timings=(SLOW,),
    per_folder=2,
    clip_name=lambda folder, _place, onset_number: f"{folder}_{onset_number}",
    rate=30.0,
)
