"""Everything that the cache knows of one clip, read for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.cache import Store
from mer_pipeline.cache.clips import artefact_of, find_row
from mer_pipeline.errors import MerError
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.stages.flow import Method, motion
from mer_pipeline.video import open_footage


@dataclass(frozen=True)
class ClipView:
    """One preprocessed clip.

    Attributes:
        facts: Its row of the manifest; None for what is not known.
        source: (H, W, 3) RGB, the onset as it was recorded.
        landmarks: The face in `source`.
        to_unit: (2, 3) matrix from pixels of `source` to the unit square that the crop shows.
        onset, apex: (size, size, 3) RGB crops.
        flow: (3, size, size) u and v in pixels of the crop, and strain.
        method: How the flow was found.
    """

    facts: dict[str, Any]
    source: Image
    landmarks: Landmarks
    to_unit: npt.NDArray[np.float64]
    onset: Image
    apex: Image
    flow: npt.NDArray[np.float32]
    method: Method


def view_clip(cache: Path, clip_id: str) -> ClipView:
    """Read a clip; motion that was not preprocessed is found by TV-L1.

    Args:
        cache: What `mer preprocess` wrote.
        clip_id: `dataset/subject/clip`, or as much of its end as names one clip.

    Raises:
        MerError: No such clip, it failed, holds no frames, or its recording or its artefacts are gone.
    """
    facts = find_row(cache, clip_id)
    if facts["status"] != "ok":
        raise MerError(f"failed at the stage {facts['stage']} ({facts['reason']})", where=facts["clip_id"])
    if facts["kind"] != "frames":
        raise MerError("a flow image, which shows no face", where=facts["clip_id"], fix="choose a clip with frames")
    store = Store(cache / "objects")
    detected, aligned, crops = (artefact_of(store, facts, stage) for stage in ("detect", "align", "crop"))
    onset_frame, apex_frame = facts["onset_frame"], facts["apex_frame"]
    frames = crops.facts["frames"]
    at_onset = frames.index(onset_frame)
    onset, apex = crops.arrays["crops"][at_onset], crops.arrays["crops"][frames.index(apex_frame)]
    method: Method = facts["motion"] or "tvl1"
    flow = artefact_of(store, facts, "motion").arrays["flow"] if facts["motion_key"] else motion(onset, apex, method)
    return ClipView(
        facts,
        open_footage(Path(facts["source"])).frame(onset_frame),
        Landmarks(detected.arrays["points_xy"][at_onset], detected.facts["scheme"]),
        aligned.arrays["to_unit"][at_onset],
        onset,
        apex,
        flow.astype(np.float32),
        method,
    )
