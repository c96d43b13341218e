"""The study of the published flow images as Markdown, with a figure of the angles."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from mer_pipeline.device import hardware
from mer_pipeline.runs.provenance import versions
from mer_pipeline.training import OPTIMISTIC, ClipSet


def write_report(found: Mapping[str, Any], clips: ClipSet, path: Path) -> None:
    """Write the report and, beside it, the figure of the angles (SVG).

    Args:
        found: What the study measured.
        clips: What it was measured on.
        path: Of the Markdown file.
    """
    figure = path.with_name(f"{path.stem}-angles.svg")
    _draw_angles(found["angles"], figure)
    lines = [
        "# Published flow images of the MEGC 2019 composite",
        "",
        f"{datetime.date.today()}, `mer preprocess megc2019_flow --out CACHE`, then `python -m studies.flow_set "
        f"CACHE --out FOLDER`, {json.dumps(hardware(torch.device('cpu')))}. Trained at {', '.join(found['commits'])}; "
        f"written at {versions().get('commit', 'none')}.",
        "",
        f"{len(clips.clip_ids)} clips of {len(set(clips.groups))} subjects ({', '.join(clips.datasets)}; SAMM's 133 "
        "clips are not among them), 28x28, three classes. The last epoch counts.",
        "",
        *_protocol("Leave one subject out", found["loso"], clips.datasets),
        *_protocol("Leave one dataset out", found["lodo"], clips.datasets),
        *_shuffled(found["shuffled"]),
        *_angles(found["angles"], figure.name),
    ]
    path.write_text("\n".join(lines).rstrip() + "\n")


def _protocol(title: str, found: Mapping[str, Any], parts: Sequence[str]) -> list[str]:
    lines = [
        f"## {title}",
        "",
        f"| system | UF1 (mean ± sd over seeds) | UF1, {OPTIMISTIC} | probabilities averaged over seeds: UF1 / UAR | "
        + " | ".join(f"UF1 {part}" for part in parts)
        + " | UF1 less the SVM's (95 % over subjects) |",
        "|" + "---|" * (5 + len(parts)),
    ]
    for name, one in found["systems"].items():
        own = f"{one['uf1']:.3f} ± {one['sd']['uf1']:.3f}" if "sd" in one else ""
        flattering = f"{one['oracle']['uf1']:.3f}" if "oracle" in one else ""
        lines.append(_row(name, own, flattering, one["averaged"], parts, one["less_svm"]))
    svm = found["controls"]["svm"]
    lines.append(_row("control: support vector machine", "", "", svm["by_part"], parts, None))
    majority = found["controls"]["majority"]
    lines += [
        f"| control: commonest class | | | {majority['uf1']:.3f} / {majority['uar']:.3f} |" + " |" * (len(parts) + 1)
    ]
    return [*lines, "", _sentence(found), ""]


def _row(
    name: str,
    own: str,
    flattering: str,
    averaged: Mapping[str, Any],
    parts: Sequence[str],
    difference: Mapping[str, float] | None,
) -> str:
    by_part = " | ".join(f"{averaged[part]['uf1']:.3f}" for part in parts)
    less = f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})" if difference else ""
    pooled = f"{averaged['all']['uf1']:.3f} / {averaged['all']['uar']:.3f}"
    return f"| {name} | {own} | {flattering} | {pooled} | {by_part} | {less} |"


def _sentence(found: Mapping[str, Any]) -> str:
    """What may be said against the support vector machine."""
    above = [name for name, one in found["systems"].items() if one["less_svm"]["low"] > 0]
    below = [name for name, one in found["systems"].items() if one["less_svm"]["high"] < 0]
    if above:
        return f"Beyond the support vector machine on the same folds (over subjects): {', '.join(above)}."
    said = "No system here is shown to be beyond the support vector machine on the same folds"
    return f"{said} (over subjects)" + (f"; {', '.join(below)} is shown to be below it." if below else ".")


def _shuffled(found: Mapping[str, Any]) -> list[str]:
    counts, chosen = found["classes"], found["selections"]
    lines = [
        "## Shuffled labels",
        "",
        f"STSTNet, {found['epochs']} epochs, LOSO, labels dealt at random ({counts}): what each way to choose the "
        "epoch makes of nothing. Chance is a UAR of 0.333.",
        "",
        "| epoch | UF1 | UAR | accuracy |",
        "|---|---|---|---|",
    ]
    words = {"last": "last", "inner": "chosen inside the training fold", "oracle": OPTIMISTIC}
    lines += [
        f"| {words[name]} | {one['uf1']:.3f} | {one['uar']:.3f} | {one['accuracy']:.3f} |"
        for name, one in chosen.items()
    ]
    svm = found["controls"]["svm"]
    return [*lines, f"| control: support vector machine | {svm['uf1']:.3f} | {svm['uar']:.3f} | |", ""]


def _angles(rows: Sequence[Mapping[str, Any]], figure: str) -> list[str]:
    lines = [
        "## What SOA's angles learn",
        "",
        "facesleuth-flow in the small size, all clips, four layers each with an angle of its own. Mean over seeds of "
        "the angle of each layer after the last epoch, and how far the angles moved from their start on average.",
        "",
        "| learning rate of the angle | start | layers 1 to 4 | mean movement | spread over seeds (greatest layer) |",
        "|---|---|---|---|---|",
    ]
    for rate, start in sorted({(row["angle_lr"], row["start_deg"]) for row in rows}):
        ends = np.array([r["theta_deg"][-1] for r in rows if (r["angle_lr"], r["start_deg"]) == (rate, start)])
        mean, spread = _axis_mean(ends), _axis_distance(ends, _axis_mean(ends)).max()
        moved = _axis_distance(ends, np.full(ends.shape[1], float(start))).mean()
        angles = ", ".join(f"{angle:.0f}" for angle in mean)
        lines.append(f"| {rate} | {start} | {angles} | {moved:.0f} deg | {spread:.0f} deg |")
    return [*lines, "", f"![angles over epochs]({figure})", ""]


def _axis_mean(angles_deg: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean of axes over rows, modulo 180."""
    doubled = np.deg2rad(2 * angles_deg)
    return np.asarray(np.rad2deg(np.arctan2(np.sin(doubled).mean(0), np.cos(doubled).mean(0))) / 2 % 180)


def _axis_distance(angles_deg: np.ndarray[Any, Any], others_deg: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Between axes, 0 to 90 degrees."""
    apart = np.abs(angles_deg - others_deg) % 180
    return np.asarray(np.minimum(apart, 180 - apart))


def _draw_angles(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    rates = sorted({row["angle_lr"] for row in rows})
    layers = len(rows[0]["theta_deg"][0])
    figure, axes = plt.subplots(len(rates), layers, figsize=(2.6 * layers, 2.4 * len(rates)), sharex=True, sharey=True)
    colours = {20: "#0072b2", 45: "#e69f00", 90: "#009e73", 135: "#cc79a7"}
    for line, rate in enumerate(rates):
        for layer in range(layers):
            axis = np.atleast_2d(axes)[line, layer]
            for row in (r for r in rows if r["angle_lr"] == rate):
                path_deg = np.array([row["start_deg"], *(angles[layer] for angles in row["theta_deg"])], float)
                # Cut where an angle passes 180 and goes on at 0.
                cuts = 1 + np.flatnonzero(np.abs(np.diff(path_deg)) > 90)
                epochs = np.insert(np.arange(len(path_deg), dtype=float), cuts, np.nan)
                shown = np.insert(path_deg, cuts, np.nan)
                axis.plot(epochs, shown, color=colours[row["start_deg"]], linewidth=1, alpha=0.8)
            axis.set(ylim=(0, 180), yticks=(0, 45, 90, 135, 180))
            axis.set_title(f"layer {layer + 1}, angle lr {rate}", fontsize=8)
            axis.tick_params(labelsize=7)
    for axis in np.atleast_2d(axes)[-1]:
        axis.set_xlabel("epoch", fontsize=8)
    for axis in np.atleast_2d(axes)[:, 0]:
        axis.set_ylabel("angle, deg", fontsize=8)
    figure.legend(
        handles=[Line2D([], [], color=colour, label=f"start {start} deg") for start, colour in colours.items()],
        loc="lower center", ncols=len(colours), fontsize=8, frameon=False,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
