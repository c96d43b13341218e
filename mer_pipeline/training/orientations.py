"""What the rows of a table say of the orientation of attention: do learned angles say anything, and does one help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from mer_pipeline.evaluation.axial import axial_mean_deg, axial_sd_deg, deviation_deg, p_against, share_of_start
from mer_pipeline.runs.ablation import AblationRow, Angles
from mer_pipeline.runs.run import Run

_VERTICAL_DEG = 90.0
_AGREE_DEG = 10.0  # a spread over folds below this is called agreement; 52 is chance


def learned_angles(run: Run) -> Angles | None:
    """The angles of all folds and seeds after the last epoch; None where none is learned."""
    folds = [fold.history.theta_deg[-1] for training in run.trainings for fold in training.folds]
    if not folds or not folds[0]:
        return None
    means = [axial_mean_deg(layers) for layers in folds]
    return Angles(
        mean_deg=round(axial_mean_deg(means), 2),
        sd_deg=round(axial_sd_deg(means), 2),
        layers_deg=tuple(round(axial_mean_deg(layer), 2) for layer in zip(*folds, strict=True)),
        p_vertical=p_against(means, _VERTICAL_DEG),
        folds_deg=tuple(round(mean, 2) for mean in means),
    )


def orientation_remarks(rows: Sequence[AblationRow]) -> list[str]:
    """What rows with learned angles and rows with frozen ones say together; nothing where there is one of neither."""
    learned = [(cast(float, row.settings["theta_deg"]), row.angles) for row in rows if _starts(row) and row.angles]
    remarks = [_of_starts(learned)] if len(learned) > 1 else []
    first = rows[0]
    frozen = [row for row in rows[1:] if row.settings.get("attention") in ("horizontal", "frozen", "none")]
    if first.settings.get("attention") == "cva" and frozen:
        above = [row.label for row in frozen if row.difference and row.difference.clear and row.difference.value < 0]
        below = [row.label for row in frozen if row.difference and row.difference.clear and row.difference.value > 0]
        rest = [row.label for row in frozen if row.label not in above + below]
        said = [f"shown to be above {', '.join(above)}"] if above else []
        said += [f"shown to be below {', '.join(below)}"] if below else []
        said += [f"not shown to differ from {', '.join(rest)}"] if rest else []
        remarks.append(f"Attention along frozen 90 degrees is {'; '.join(said)} in UF1.")
    return remarks


def _starts(row: AblationRow) -> bool:
    return row.settings.get("attention") in ("soa", "soa-shared", "release-soa") and "theta_deg" in row.settings


def _of_starts(learned: Sequence[tuple[float, Angles]]) -> str:
    """One sentence on rows that differ in where their angles start."""
    groups = [angles.folds_deg for _, angles in learned]
    moved = np.mean([abs(deviation_deg(fold, start)) for start, angles in learned for fold in angles.folds_deg])
    away = np.mean([abs(deviation_deg(fold, _VERTICAL_DEG)) for group in groups for fold in group])
    share, p = share_of_start(groups)
    sd = axial_sd_deg([fold for group in groups for fold in group])
    found = (
        f"From {len(learned)} starts the learned axes (mean over layers, {sum(map(len, groups))} folds) moved "
        f"{moved:.0f} degrees on average and ended {away:.0f} degrees from 90 (45 is chance), with an axial standard "
        f"deviation of {sd:.0f} (52 is chance); where they started explains {share:.0%} of their spread (p = {p:.3f})"
    )
    if sd < _AGREE_DEG:
        return f"{found}: they agree wherever they start."
    if p < 0.05:
        return f"{found}: where an angle ends says where it started, not along which axis faces move."
    return f"{found}: they agree on no axis."
