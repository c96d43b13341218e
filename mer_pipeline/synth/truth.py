"""A clip whose truth is known, and the table of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mer_pipeline.cache.atomic import write_atomically
from mer_pipeline.synth.plan import ClipPlan


@dataclass(frozen=True)
class PlantedClip:
    """A plan with the names that a layout gives it.

    Attributes:
        dataset, subject, clip: As in the clip id `dataset/subject/clip`.
        folder: The folder or file that holds the frames, perhaps with those of other clips.
        first_number: The number in the name of the first frame; frame i has number first_number + i.
        first_frame: Where the clip begins among all frames of its folder.
        fps: Frames per second.
        pivot_xy_px: The point of the frame about which the head turns and grows.
        plan: What happens, in 0-based frames of the clip.
        macro: Whether it is a macro-expression.
    """

    dataset: str
    subject: str
    clip: str
    folder: str
    first_number: int
    first_frame: int
    fps: float
    pivot_xy_px: tuple[float, float]
    plan: ClipPlan
    macro: bool = False

    @property
    def clip_id(self) -> str:
        """`dataset/subject/clip`."""
        return f"{self.dataset}/{self.subject}/{self.clip}"

    def number(self, frame: int) -> int:
        """The number that sheet and file name give to a 0-based frame."""
        return self.first_number + frame

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The numbers of onset, apex and offset."""
        plan = self.plan
        return self.number(plan.onset_frame), self.number(plan.apex_frame), self.number(plan.offset_frame)

    @property
    def notation(self) -> str:
        """The Action Units as the set's coders write them."""
        return self.plan.combination.notation or self.plan.combination.aus


def truth_table(clips: Sequence[PlantedClip]) -> pd.DataFrame:
    """One row a clip with all that was planted; drift is that of the apex relative to the onset.

    The columns `*_frame` are 0-based indices into the folder or video, which may begin before the clip.

    A point p of the head at the onset is at `pivot + drift + scale * R(deg) (p - pivot)` at the apex, with
    R(deg) = [[cos, -sin], [sin, cos]] in pixels with y down; the planted expression comes on top.
    """
    table = pd.DataFrame([_row(clip) for clip in clips])
    return table.astype({"blink_frame": "Int64"})


def write_truth(path: Path, table: pd.DataFrame) -> None:
    """Write a table of truths as parquet.

    Raises:
        WriteError: It cannot be written.
    """
    write_atomically(path, table.to_parquet(index=False))


def _row(clip: PlantedClip) -> dict[str, object]:
    plan = clip.plan
    drift = plan.drift(plan.apex_frame)
    return {
        "clip_id": clip.clip_id,
        "dataset": clip.dataset,
        "subject": clip.subject,
        "clip": clip.clip,
        "emotion": plan.emotion,
        "aus": plan.combination.aus,
        "expression": "macro" if clip.macro else "micro",
        "onset_number": clip.numbers[0],
        "apex_number": clip.numbers[1],
        "offset_number": clip.numbers[2],
        "onset_frame": clip.first_frame + plan.onset_frame,
        "apex_frame": clip.first_frame + plan.apex_frame,
        "offset_frame": clip.first_frame + plan.offset_frame,
        "first_number": clip.first_number,
        "first_frame": clip.first_frame,
        "n_frames": plan.n_frames,
        "fps": clip.fps,
        "amplitude_px": plan.amplitude_px,
        "drift_px": math.hypot(*drift.shift_xy_px),
        "drift_x_px": drift.shift_xy_px[0] + 0.0,  # no -0.0 in a table
        "drift_y_px": drift.shift_xy_px[1] + 0.0,
        "drift_deg": drift.theta_deg + 0.0,
        "drift_scale": drift.scale,
        "pivot_x_px": clip.pivot_xy_px[0],
        "pivot_y_px": clip.pivot_xy_px[1],
        "blink_frame": None if plan.blink is None else clip.first_frame + plan.blink.frame,
        "seed": plan.seed[0],
    }
