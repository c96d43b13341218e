"""CASME as it is published: frame folders as in CASME II, and a sheet with two columns for the apex."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.casme import COLUMNS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import SLOW
from mer_pipeline.synth.truth import PlantedClip


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The coding sheet; some apexes stand in the second column alone."""
    names = ("subject", "clip", None, "onset", "apex", "second_apex", "offset", None, "aus", "emotion")
    lines: list[Line] = [header(COLUMNS, *names)]
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        apexes = ("/", apex) if position % 5 == 3 else (apex, None)
        lines.append([clip.subject, clip.folder, None, onset, *apexes, offset, None, clip.notation, clip.plan.emotion])
    return {"Sheet1": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.CASME,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=lambda _subject, index, _emotion: f"EP{index + 1:02d}_1",
    frame_path=lambda clip, number: f"sub{clip.subject}/{clip.folder}/img{number}.jpg",
    sheets=sheets,
    first_number=lambda index: 1 + 17 * index % 90,
    timings=(SLOW,),
)
