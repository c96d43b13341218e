"""A set of flow images with known Action Units, in the layout of the published ones, without any recording."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from mer_pipeline.cache.atomic import csv_bytes, private_folder, write_atomically
from mer_pipeline.progress import Progress
from mer_pipeline.stages.flow import flow_image, strain
from mer_pipeline.synth.skin.computed import compute_motion
from mer_pipeline.synth.skin.drawn import Maker, draw_motion

# Layout -> what makes its fields: drawn ones are quick, computed ones have what a solver makes of them.
MAKERS: Mapping[str, Maker] = {"flow": draw_motion, "flow-computed": compute_motion}


def write_flow_images(out: Path, layout: str, subjects: int, clips: int, seed: int, progress: Progress) -> None:
    """Write `labels.csv` and `images/`: u, v and strain of every clip, as `stages.flow.flow_image` scales them.

    Raises:
        WriteError: A file cannot be written.
    """
    private_folder(out / "images")
    rows = []
    for subject in range(1, subjects + 1):
        motion = MAKERS[layout]((seed, subject), clips, none=0.0, one_face=True)
        for clip, (flow, content) in enumerate(zip(motion.flow, motion.contents, strict=True), 1):
            name = f"images/drawn_{subject:02d}_{clip:03d}.png"
            picture = flow_image(np.concatenate([flow, strain(flow)[None]]))
            coded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
            write_atomically(out / name, coded.tobytes())
            rows.append(("drawn", f"{subject:02d}", f"{clip:03d}", content.group, content.coded, name))
        progress("synth", subject, subjects, f"subject {subject:02d}")
    # Last: a folder without it is seen to be unfinished.
    header = ("dataset", "subject", "clip", "emotion", "aus", "image")
    write_atomically(out / "labels.csv", csv_bytes(header, rows))
