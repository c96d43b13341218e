"""What angles SOA learns on real flow: from several starts, over seeds, at two learning rates of the angle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mer_pipeline.progress import Progress
from mer_pipeline.reading import read_json
from mer_pipeline.runs.card import write_json
from mer_pipeline.training import ClipSet, load_recipe
from mer_pipeline.training.loop import train_network

STARTS_DEG = (20, 45, 90, 135)
SEEDS = 2
# The recipe's, and the one with which planted orientations are found from every start.
ANGLE_RATES = (0.02, 0.1)
_EPOCHS = 30
# FaceSleuth's motion stream made as small as the set is.
SMALL: dict[str, Any] = {
    "options.stem": [16, 16],
    "options.channels": [16, 24, 32, 48],
    "options.au_input": False,
}


def study_angles(clips: ClipSet, out: Path, progress: Progress) -> list[dict[str, Any]]:
    """Train facesleuth-flow on all clips from every start; one row a training with its angles epoch by epoch.

    No clip is held out: the question is what the angles learn, not what they score.
    """
    total, done, rows = len(STARTS_DEG) * SEEDS * len(ANGLE_RATES), 0, []
    for rate in ANGLE_RATES:
        for start in STARTS_DEG:
            for seed in range(SEEDS):
                path = out / f"rate-{rate}-start-{start}-seed-{seed}.json"
                if not path.is_file():
                    write_json(path, _one(clips, rate, start, seed))
                rows.append(read_json(path))
                done += 1
                progress("angles", done, total, f"start {start}, seed {seed}")
    return rows


def _one(clips: ClipSet, rate: float, start: int, seed: int) -> dict[str, Any]:
    settings = {"epochs": _EPOCHS, "angle_lr": rate, "lr_decay": 0.93, "options.theta_deg": float(start)}
    recipe = load_recipe("facesleuth-flow", {**settings, **SMALL, "options.attention": "soa"})
    everybody = range(len(clips.clip_ids))
    trained = train_network(
        clips, everybody, (), recipe, seed=seed, device=torch.device("cpu"), on_epoch=lambda *_: None
    )
    return {
        "angle_lr": rate,
        "start_deg": start,
        "seed": seed,
        "theta_deg": trained.history.theta_deg,
        "loss": trained.history.loss[-1],
    }
