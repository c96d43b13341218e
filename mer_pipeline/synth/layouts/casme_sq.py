"""CAS(ME)^2 as it is published: recordings with several expressions, micro and macro, and a sheet of three parts."""

from __future__ import annotations

from collections.abc import Sequence

from mer_pipeline.datasets.casme_sq import LAYOUT, SHEETS
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter, Line, Sheets
from mer_pipeline.synth.plan import SLOW, SLOW_MACRO
from mer_pipeline.synth.truth import PlantedClip

TIMINGS = (SLOW, SLOW, SLOW_MACRO)  # of the expressions of a recording
# The name that the sheet gives to a film, its code in a folder's name, and the rest of that name.
FILMS = (("disgust1", "0101", "disgustingteeth"), ("anger1", "0401", "anger"), ("happy1", "0501", "happy"))


def film(index: int) -> tuple[str, str, str]:
    """The film of a subject's recording.

    >>> film(0), film(5)
    (('disgust1', '0101', 'disgustingteeth'), ('happy4', '0504', 'happy'))
    """
    return FILMS[index] if index < len(FILMS) else (f"happy{index - 1}", f"05{index - 1:02d}", "happy")


def folder_label(subject: str, index: int, emotion: str) -> str:  # noqa: ARG001 - the same for all layouts
    """Subject, code and title of the film.

    >>> folder_label("15", 0, "anger")
    '15_0101disgustingteeth'
    """
    _, code, title = film(index)
    return f"{subject}_{code}{title}"


def clip_name(folder: str, place: int, onset_number: int) -> str:
    """The sheet's name of an expression, and its onset.

    >>> clip_name("15_0101disgustingteeth", 1, 30)
    'disgust1_2_30'
    """
    return f"{_video(folder)}_{place + 1}_{onset_number}"


def sheets(clips: Sequence[PlantedClip]) -> Sheets:
    """The coding sheet, without a header; some macro-expressions have no offset, and joy has an odd name."""
    numbers = {subject: index + 1 for index, subject in enumerate(dict.fromkeys(clip.subject for clip in clips))}
    codes: list[Line] = []
    macros = 0
    for clip in clips:
        onset, apex, offset = clip.numbers
        macros += clip.macro
        shown = 0 if clip.macro and macros % 7 == 1 else offset
        label = "happyiness" if clip.plan.emotion == "happiness" else clip.plan.emotion
        kind = "macro-expression" if clip.macro else "micro-expression"
        name = clip.clip.rpartition("_")[0]
        codes.append([numbers[clip.subject], name, onset, apex, shown, clip.notation, label, kind, clip.plan.emotion])
    people = [[number, f"s{subject}"] for subject, number in numbers.items()]
    films = [film(index)[:2] for index in range(len({clip.folder.partition("_")[2] for clip in clips}))]
    return dict(zip(SHEETS, (codes, people, films), strict=True))


def _video(folder: str) -> str:
    code = folder.partition("_")[2][:4]
    return next(name for name, each, _ in map(film, range(100)) if each == code)


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.CASME_SQ,
    subject_label=lambda index: f"{index + 15}",
    folder_label=folder_label,
    frame_path=lambda clip, number: f"s{clip.subject}/{clip.folder}/img{number:03d}.jpg",
    sheets=sheets,
    timings=TIMINGS,
    per_folder=len(TIMINGS),
    clip_name=clip_name,
    slips=("offset",),
)
