"""4DME as it is published: grey frames, and a sheet with a column of 0 and 1 an Action Unit and an emotion."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.fourdme import COLUMNS, EMOTIONS, LAYOUT
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.plan import SLOW
from mer_pipeline.synth.truth import PlantedClip


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The coding sheet."""
    units = [f"AU{number}" for number in AU_NUMBERS]
    first = ("subject", "clip", "fold", "emotion", "onset", "apex", "offset", "aus")
    lines: list[Line] = [header(COLUMNS, *first, *units, *EMOTIONS, "total", "blink")]
    for clip in clips:
        emotion = "+".join(part.capitalize() for part in clip.plan.emotion.split("+"))
        numbers = parse_aus(clip.plan.combination.aus).numbers
        flags = [int(number in numbers) for number in AU_NUMBERS], [int(name in emotion) for name in EMOTIONS]
        coded = [clip.subject, clip.folder, 1, emotion, *clip.numbers, clip.notation]
        lines.append([*coded, *flags[0], *flags[1], sum(flags[1]), int(clip.plan.blink is not None)])
    return {"Sheet1": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.FOURDME,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=lambda subject, index, _emotion: f"{subject}_{index + 1}",
    frame_path=lambda clip, number: f"{clip.subject}/{clip.folder}/{number}.jpg",
    sheets=sheets,
    timings=(SLOW,),
    grey=True,
)
