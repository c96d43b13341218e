"""The measurements of `studies.alignment` as tables, a page of Markdown and a plot."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mer_pipeline.device import hardware
from studies.alignment import JUDGED, METHODS, SIZE, WAYS, Planted, StillFlow


def planted_rows(measured: Planted) -> list[list[str]]:
    """The table of the clips with motion: what, target, then one column a way."""
    drift = {way: np.concatenate(parts) for way, parts in measured.residual_px.items()}

    def row(what: str, target: str, in_words: Callable[[str], str]) -> list[str]:
        return [what, target, *(in_words(way) for way in WAYS)]

    def share(errors: dict[str, list[int]], way: str, most: int) -> str:
        return f"{100 * np.mean(np.abs(errors[way]) <= most):.0f} %" if errors[way] else "-"

    def kept(way: str) -> str:
        return f"{100 * np.median(measured.kept[way]):.1f} % ({100 * np.min(measured.kept[way]):.1f} %)"

    return [
        row("residual drift, still regions, median", "< 0.1 px", lambda way: f"{np.median(drift[way]):.3f}"),
        row("residual drift, 95th percentile", "< 0.2 px", lambda way: f"{np.quantile(drift[way], 0.95):.3f}"),
        row("AU motion kept, median (worst clip)", ">= 95 %", kept),
        row("apex within 2 frames", ">= 90 %", lambda way: share(measured.apex_error, way, 2)),
        row("onset within 4 frames", ">= 80 %", lambda way: share(measured.onset_error, way, 4)),
    ]


def still_rows(name: str, lengths: StillFlow) -> list[list[str]]:
    """The table of the still faces: greatest flow without noise and drift, else the 95th percentile."""
    exact = name == "no noise"
    target = {"no noise": "< 0.02 px", "sensor noise": "< 0.15 px"}.get(name, "")
    rows = []
    for method in METHODS:
        for part in ("crop", "face"):
            values = [lengths[way, method, part] for way in WAYS]
            shown = [f"{v.max() if exact else np.quantile(v, 0.95):.3f}" for v in values]
            rows.append([f"{name}: {method}, {part}, {'greatest' if exact else '95th pct'}", target, *shown])
    return rows


def real_rows(counts: dict[str, Any], jitter: dict[str, npt.NDArray[np.float64]]) -> list[list[str]]:
    """The table of the filmed clip; movements are compared on the frames that every way could place."""
    common = ~np.isnan(np.stack(list(jitter.values()))).any(0)
    frames = counts["frames"]
    rows = [
        ["frames with landmarks", "all", *[f"{counts['with_face']} of {frames}"] * len(WAYS)],
        ["frames placed", "", f"{counts['registered']} of {frames}", *[f"{counts['with_face']} of {frames}"] * 2],
    ]
    for region in JUDGED:
        shown = [jitter[f"{way}, {region}"][common] for way in WAYS]
        figures = (f"{np.median(j):.3f} ({np.quantile(j, 0.95):.3f})" for j in shown)
        rows.append([f"{region}, median (95th pct) of {common.sum()} frames, px", "", *figures])
    return rows


def draw(path: Path, jitter: dict[str, npt.NDArray[np.float64]]) -> None:
    """Plot the jitter over time; no picture of a face."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(JUDGED), 1, figsize=(10, 5), sharex=True, constrained_layout=True)
    for axis, region in zip(axes, JUDGED, strict=True):
        for way in reversed(WAYS):
            axis.plot(jitter[f"{way}, {region}"], linewidth=0.8, label=way)
        axis.set(title=region, ylabel="px of a 224 px crop")
        axis.legend(loc="upper right")
    axes[-1].set_xlabel("frame")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def report(command: str, tables: dict[str, list[list[str]]], measured: Planted) -> str:
    """The measurements as a page of Markdown."""
    lines = ["# Alignment and spotting", ""]
    lines += [f"{datetime.date.today():%Y-%m-%d}, `{command}`, {json.dumps(hardware(torch.device('cpu')))}.", ""]
    for title, rows in tables.items():
        lines += [f"## {title}", "", f"| | target | {' | '.join(WAYS)} |", "|---|---|" + "---|" * len(WAYS)]
        lines += [f"| {' | '.join(row)} |" for row in rows] + [""]
    clips = len(measured.kept["stable"])
    lines += [
        "`stable` and `none` are the values of `--registration`; the usual way warps every frame by its own landmarks.",
        f"Registration converged in {clips - measured.unregistered} of {clips} clips with motion. Drift is in pixels",
        f"of the 640x480 frame, flow and movement in pixels of the {SIZE} pixel crop; `face` is what lies inside the",
        "landmarks, `crop` all of it. The backdrop has no texture, and DIS invents motion there once it has noise.",
        "",
    ]
    return "\n".join(lines)
