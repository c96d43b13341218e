"""What networks look at, read from the cache: one array of pictures for all clips, at the size the network wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mer_pipeline.arrays import Pictures
from mer_pipeline.cache import Artefact, Store
from mer_pipeline.errors import MerError
from mer_pipeline.inputs.pictures import resized, scale_flow, to_grey
from mer_pipeline.networks import View
from mer_pipeline.stages.keyframes import KeyFrames, uniform_frames

_NEEDS: dict[View, tuple[str, str]] = {
    "pair": ("onset and apex frames", "choose a --model that takes flow"),
    "sequence": ("frames from onset to offset", "mer preprocess --frames 8, or another --model"),
    "flow": ("optical flow", "mer preprocess --motion tvl1, or another --model"),
    "flow_sequence": ("optical flow of several frames", "mer preprocess --motion tvl1 --frames 8, or another --model"),
}


def of_view(table: pd.DataFrame, view: View, cache: Path) -> pd.Series[bool]:
    """Which clips of the manifests can be seen in a view.

    Raises:
        MerError: None, or some on another scale than others.
    """
    recorded, published = table["kind"] == "frames", table["kind"] == "flow"
    moved = recorded & table["motion_key"].notna()
    if view == "flow" and published.any() and moved.any():
        raise MerError(
            "holds published flow images, which are scaled one by one, and flow in pixels",
            where=cache,
            fix="keep them in two caches; mer preprocess --flow-images writes flow like the published",
        )
    failed = recorded & (table["status"] != "ok")
    has = {"pair": recorded, "sequence": recorded, "flow": published | moved, "flow_sequence": moved}[view]
    if not has.any():
        needs, fix = _NEEDS[view]
        raise MerError(f"no clips for a network that takes {needs}", where=cache, fix=fix)
    return has | (failed & (view != "pair") & moved.any())


def pictures(cache: Path, rows: pd.DataFrame, view: View, size: int, frames: int) -> Pictures:
    """The pictures of some clips.

    Flow in pixels is told in hundredths (see `stages.pictures`); published flow images stay as they are.

    Args:
        cache: Where the artefacts lie.
        rows: Rows of the manifest.
        view: What is wanted.
        size: Side of the result in pixels.
        frames: Length of a sequence.

    Returns:
        `pair`: (n, 2, 3, size, size) uint8 RGB, onset and apex; `sequence`: (n, frames, 1, size, size) uint8 grey;
        `flow`: (n, 1, 3, size, size) float32 u, v, strain; `flow_sequence`: (n, frames, 3, size, size) float16.

    Raises:
        MerError: An artefact is absent or damaged, or holds other frames.
    """
    store = Store(cache / "objects")
    read = {"pair": _pair, "sequence": _sequence, "flow": _flow, "flow_sequence": _flow_sequence}[view]
    result: Pictures | None = None
    records: list[dict[str, Any]] = [
        dict(zip(rows.columns, values, strict=True)) for values in rows.itertuples(index=False)
    ]
    for at, row in enumerate(records):
        stage = "motion" if view.startswith("flow") else "crop"
        artefact = store.get(stage, row[f"{stage}_key"])
        if artefact is None:
            raise MerError(f"its {stage} is absent or damaged", where=row["clip_id"], fix="run mer preprocess again")
        found = resized(read(artefact, row, frames), size)
        if result is None:
            # Filled clip by clip: a stack at the end would hold everything twice.
            result = np.empty((len(rows), *found.shape), found.dtype)
        result[at] = found
    assert result is not None
    return result


def _pair(artefact: Artefact, row: dict[str, Any], frames: int) -> Pictures:
    del frames
    at = [artefact.facts["frames"].index(row[name]) for name in ("onset_frame", "apex_frame")]
    return artefact.arrays["crops"][at].transpose(0, 3, 1, 2)


def _sequence(artefact: Artefact, row: dict[str, Any], frames: int) -> Pictures:
    offset = None if pd.isna(row["offset_frame"]) else row["offset_frame"]
    wanted = uniform_frames(KeyFrames(row["onset_frame"], row["apex_frame"], offset), frames)
    held = artefact.facts["frames"]
    if missing := sorted(set(wanted) - set(held)):
        raise _other_frames(row, f"frames {missing} are not in the cache", frames)
    crops = artefact.arrays["crops"]
    return to_grey(crops[[held.index(frame) for frame in wanted]])


def _flow(artefact: Artefact, row: dict[str, Any], frames: int) -> Pictures:
    del frames
    flow = artefact.arrays["flow"].astype(np.float32)[None]
    return flow if row["kind"] == "flow" else scale_flow(flow)


def _flow_sequence(artefact: Artefact, row: dict[str, Any], frames: int) -> Pictures:
    flows = artefact.arrays.get("flow_sequence")
    if flows is None or len(flows) != frames:
        raise _other_frames(row, f"the flow of {frames} frames is not in the cache", frames)
    return scale_flow(flows.astype(np.float32)).astype(np.float16)


def _other_frames(row: dict[str, Any], what: str, frames: int) -> MerError:
    return MerError(what, where=row["clip_id"], fix=f"run mer preprocess again with --frames {frames}")
