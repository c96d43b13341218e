"""SMIC-HS as it is handed out: bitmaps of onset to offset in a folder a class, and no sheet.

The bitmaps have one channel: three would need a megabyte a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import Layout
from mer_pipeline.synth.media import Frames, write_images
from mer_pipeline.synth.plan import Timing
from mer_pipeline.synth.truth import PlantedClip

CODES = {"negative": "ne", "positive": "po", "surprise": "sur"}
TIMING = Timing(lead_in=(0, 0), rise=(6, 12), fall=(7, 14), lead_out=(0, 0), blink=(8, 12))  # 100 frames a second


def folder_label(subject: str, index: int, emotion: str) -> str:
    """Subject, class and clip.

    >>> folder_label("01", 0, "negative")
    's01_ne_01'
    """
    return f"s{subject}_{CODES[emotion]}_{index + 1:02d}"


def write_clip(out: Path, clip: PlantedClip, frames: Frames, video: bool) -> None:  # noqa: ARG001 - no videos
    """Write `HS/s01/micro/negative/s01_ne_01/image090823.bmp` and so on.

    Raises:
        OSError: A file cannot be written.
    """
    folder = out / "HS" / f"s{clip.subject}" / "micro" / clip.plan.emotion / clip.folder
    write_images(folder, clip, frames, "image{:06d}.bmp".format, grey=True)


def write_sheet(out: Path, clips: Sequence[PlantedClip]) -> None:
    """The set has none."""


LAYOUT = Layout(
    dataset="smic",
    fps=100.0,
    vocabulary=emotions.SMIC,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=folder_label,
    first_number=lambda index: 90823 + 211 * index % 9000,
    write_clip=write_clip,
    write_sheet=write_sheet,
    timing=lambda index: TIMING,  # noqa: ARG005 - whatever the clip
)
