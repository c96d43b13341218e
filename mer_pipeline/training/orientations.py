"""What the rows of a table say of the orientation of attention: do learned angles say anything, and does one help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from mer_pipeline.evaluation.axial import axial_mean_deg, axial_sd_deg, deviation_deg, p_against, share_of_start, well
from mer_pipeline.runs.ablation import AblationRow, Angles
from mer_pipeline.runs.results import FoldResult
from mer_pipeline.runs.run import Run

_VERTICAL_DEG = 90.0
_LEAST_AXES = 6  # frozen axes that make a scan
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
    return remarks + _of_scan(rows)


def _of_scan(rows: Sequence[AblationRow]) -> list[str]:
    """One sentence on rows that are alike but for the axis at which they are frozen; nothing of fewer than six.

    The axis is chosen by the loss while learning, so that no test clip has a say: which axis is learned soonest.
    """
    frozen = [
        (
            cast(float, row.settings["theta_deg"]),
            [_while_learning(fold) for each in row.run.trainings for fold in each.folds],
        )
        for row in rows
        if row.run and row.settings.get("attention") == "frozen" and "theta_deg" in row.settings
    ]
    if len(frozen) < _LEAST_AXES:
        return []
    axes = [axis for axis, _ in frozen]
    losses = np.array([folds for _, folds in frozen])
    found = well(axes, losses.mean(1).tolist())
    each = [well(axes, fold, shuffles=0).at_deg for fold in losses.T.tolist()]
    said = (
        f"Over {len(axes)} frozen axes the loss while learning has its well at {found.at_deg:.0f} degrees "
        f"({found.depth:.2f} deep, {found.share:.0%} of the spread, p = {found.p:.3f}; over {len(each)} folds the "
        f"axial standard deviation is {axial_sd_deg(each):.0f}, 52 is chance)"
    )
    return [f"{said}: {'that axis is learned soonest' if found.p < 0.05 else 'no axis is shown to be learned sooner'}."]


def _while_learning(fold: FoldResult) -> float:
    return float(np.mean(fold.history.loss))


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
