"""SAMM as it is published: grey frames with padded numbers, and a sheet with thirteen lines of preamble."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.samm import COLUMNS, LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets, header
from mer_pipeline.synth.truth import PlantedClip

PREAMBLE = ("Micro-expressions, FACS coded", "", "Onset, apex and offset are frame numbers at 200 fps", *[""] * 10)
# Least number of a recording's frames -> digits to which it pads them.
_DIGITS = ((3000, 5), (350, 4), (0, 3))


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """Subject, film and expression.

    >>> folder_label("006", 4, "anger")
    '006_2_2'
    """
    return f"{subject}_{index // 3 + 1}_{index % 3 + 1}"


def first_number(index: int) -> int:
    """Clips are cut from recordings and keep their numbers: thousands, hundreds or fewer."""
    return (3000, 350, 20)[index % 3] + 37 * (index // 3) % 200


def frame_path(clip: PlantedClip, number: int) -> str:
    """Subject and number, padded to three, four or five digits from recording to recording."""
    digits = next(digits for least, digits in _DIGITS if clip.first_number >= least)
    return f"{clip.subject}/{clip.folder}/{clip.subject}_{number:0{digits}d}.jpg"


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The coding sheet; like the published one it has an impossible apex here and there."""
    names = (
        "subject", "clip", "Inducement Code", "onset", "apex", "offset", "Duration", "Micro", "aus", "emotion",
        "Objective Classes", "Notes",
    )  # fmt: skip
    lines: list[Line] = [*([line or None] for line in PREAMBLE), header(COLUMNS, *names)]
    for position, clip in enumerate(clips):
        onset, apex, offset = clip.numbers
        shown = offset + 12 if position % 40 == 9 else apex
        label = "Other" if clip.plan.emotion == "others" else clip.plan.emotion.capitalize()
        coded = [clip.notation, label, clip.plan.combination.objective_class, None]
        code = int(clip.folder.split("_")[1])
        lines.append([clip.subject, clip.folder, code, onset, shown, offset, offset - onset + 1, "Micro - 1/2", *coded])
    return {"MICRO_ONLY": lines}


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.SAMM,
    subject_label=lambda index: f"{index + 6:03d}",
    folder_label=folder_label,
    frame_path=frame_path,
    sheets=sheets,
    first_number=first_number,
    grey=True,
    slips=("apex",),
)
