"""SMIC-HS as it is published: bitmaps of onset to offset in a folder a class, and no sheet.

The bitmaps have one channel: three would need a megabyte a frame.
"""

from __future__ import annotations

from mer_pipeline.datasets.smic import LAYOUT
from mer_pipeline.synth import emotions
from mer_pipeline.synth.layouts.layout import LayoutWriter
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


def frame_path(clip: PlantedClip, number: int) -> str:
    """`s01/micro/negative/s01_ne_01/image090823.bmp` and so on."""
    return f"s{clip.subject}/micro/{clip.plan.emotion}/{clip.folder}/image{number:06d}.bmp"


WRITER = LayoutWriter(
    layout=LAYOUT,
    vocabulary=emotions.SMIC,
    subject_label=lambda index: f"{index + 1:02d}",
    folder_label=folder_label,
    frame_path=frame_path,
    sheets=lambda clips: {},  # noqa: ARG005 - the set has none
    first_number=lambda index: 90823 + 211 * index % 9000,
    timings=(TIMING,),
    grey=True,
)
