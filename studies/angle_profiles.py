"""What makes the angle of a planted axis identifiable in a whole network: the loss over the angle, and what finds it.

    python -m studies.angle_profiles --tries FILE.jsonl --out studies/reports/angle-profiles.md

The tasks, clips and networks are those of `studies/angles.py`. A profile has every layer frozen at one angle: where the
loss at the planted angle is not the lowest, no way of learning can find it. `one layer` has one layer at the planted
angle and the others 45 degrees off: where its loss is as low, the angles of the others are not determined. A scan
tries frozen angles and takes the one with the lowest loss on inner subjects, who choose and do nothing else: what is
chosen is judged by its distance from the axis. Beside it, one angle for all layers is learned from several starts.
Every training is one line of the file of tries; what stands there is not trained again.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from mer_pipeline.device import hardware
from mer_pipeline.evaluation.axial import axial_mean_deg
from studies.angles import TASKS, Clips, Trained, distance_deg, draw, train

SCAN_STEP_DEG = 7.5
PROFILE_DEG = tuple(float(angle) for angle in range(0, 180, 30))
STARTS_DEG = (20.0, 65.0, 110.0, 155.0)
CLOSE_DEG = 5.0


@dataclass(frozen=True)
class Setting:
    """One training; `start_deg` is where angles start, or stay where the rate is 0."""

    task: str
    head: str
    attention: str
    start_deg: float
    angle_lr: float
    seed: int = 0
    layer: int | None = None  # the only one that is at the axis; the others are 45 degrees off
    steps: int = 120
    batch: int = 32
    lr: float = 5e-3


class Tries:
    """Trainings by their settings, kept in a file of JSON lines."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        """Read what was tried."""
        self._path, self._say = path, say
        self._data: dict[str, tuple[Clips, Clips]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._done = {
            Setting(**one["setting"]): Trained(**one["found"]) for line in lines for one in [json.loads(line)]
        }

    def __getitem__(self, setting: Setting) -> Trained:
        if setting not in self._done:
            if setting.task not in self._data:
                self._data[setting.task] = draw(setting.task)
            options = {name: value for name, value in asdict(setting).items() if name not in ("task", "layer")}
            start = setting.start_deg
            starts = None if setting.layer is None else [start + 45.0 * (at != setting.layer) for at in range(4)]
            found = train(self._data[setting.task], **options, starts_deg=starts)
            self._done[setting] = found
            line = json.dumps({"setting": asdict(setting), "found": found._asdict()})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._say(line)
        return self._done[setting]

    def rows(self) -> Iterator[str]:
        """A row of a table for every try."""
        for one, found in self._done.items():
            layer = "" if one.layer is None else f", layer {one.layer + 1}"
            yield (
                f"| {one.task} | {one.head} | {one.attention}{layer} | "
                f"{one.start_deg:.0f} | {one.angle_lr:g} | {one.seed} | {one.steps} | {found.loss:.3f} | "
                f"{found.inner_loss:.3f} | {found.accuracy:.2f} | {', '.join(f'{a:.0f}' for a in found.theta_deg)} |"
            )


def profile(tries: Tries, task: str, head: str, angles_deg: Iterable[float], seed: int = 0) -> dict[float, Trained]:
    """Angle at which every layer is frozen -> what became of it."""
    return {at: tries[Setting(task, head, "frozen", at, 0.0, seed)] for at in angles_deg}


def grid_deg(seed: int, seeds: int) -> list[float]:
    """Angles a step apart; every run has another grid, and none of them has an axis on it.

    >>> grid_deg(0, 4)[:2], grid_deg(3, 4)[-1]
    ([0.9375, 8.4375], 179.0625)
    """
    offset = (2 * seed + 1) / (2 * seeds) * SCAN_STEP_DEG
    return [offset + SCAN_STEP_DEG * at for at in range(round(180 / SCAN_STEP_DEG))]


def scan(tries: Tries, task: str, seed: int, seeds: int) -> float:
    """The frozen angle of a grid with the lowest loss on inner subjects."""
    seen = profile(tries, task, "mean", grid_deg(seed, seeds), seed)
    return min(seen, key=lambda at: seen[at].inner_loss)


def off_deg(found: Trained, task: str) -> float:
    """From the mean over layers to the planted axis."""
    return distance_deg(axial_mean_deg(found.theta_deg), TASKS[task].axes_deg)


def report(tries: Tries, seeds: int) -> list[str]:
    """The tables, made try by try."""
    tasks = ("horizontal", "vertical")
    lines = [
        "## Loss over the angle at which all layers are frozen: training (last quarter of the steps) / inner subjects",
        "",
    ]
    angles = PROFILE_DEG
    lines += [f"| task | head | {' | '.join(f'{at:.0f}' for at in angles)} |", "|---|---|" + "---|" * len(angles)]
    for head in ("mean", "branch"):
        for task in tasks:
            seen = profile(tries, task, head, angles)
            cells = [f"{one.loss:.2f} / {one.inner_loss:.2f}" for one in seen.values()]
            lines.append(f"| {task} | {head} | {' | '.join(cells)} |")
    lines += [
        "",
        "## One layer at the axis, three 45 degrees off",
        "",
        "| task | layer | training | inner |",
        "|---|---|---|---|",
    ]
    for task in tasks:
        for layer in (0, 1, 2, 3):
            found = tries[Setting(task, "mean", "soa", TASKS[task].axes_deg[0], 0.0, 0, layer)]
            lines.append(f"| {task} | {layer + 1} | {found.loss:.2f} | {found.inner_loss:.2f} |")
    lines += ["", "## One angle for all layers, learned at 0.1 rad from one start", ""]
    lines += ["| task | start | learned | from the axis | training loss |", "|---|---|---|---|---|"]
    for task in tasks:
        for start in STARTS_DEG:
            found = tries[Setting(task, "mean", "soa-shared", start, 0.1)]
            lines.append(
                f"| {task} | {start:.0f} | {found.theta_deg[0]:.1f} | {off_deg(found, task):.1f} | {found.loss:.2f} |"
            )
    lines += ["", "## Scan of frozen angles, chosen by the loss on inner subjects", ""]
    lines += ["| task | seed | chosen | from the axis |", "|---|---|---|---|"]
    errors = []
    for task in tasks:
        for seed in range(seeds):
            best = scan(tries, task, seed, seeds)
            errors.append(distance_deg(best, TASKS[task].axes_deg))
            lines.append(f"| {task} | {seed} | {best:.1f} | {errors[-1]:.1f} |")
    close = sum(error <= CLOSE_DEG for error in errors)
    return [*lines, "", f"Within {CLOSE_DEG:g} degrees of the planted axis: {close} of {len(errors)} runs."]


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tries", type=Path, required=True, help="JSON lines, one a training; added to")
    parser.add_argument("--seeds", type=int, default=4, help="scans a task")
    parser.add_argument("--out", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tries = Tries(arguments.tries, lambda line: print(line, flush=True))
    tables = report(tries, arguments.seeds)
    head = [
        "# What makes a planted angle identifiable in a whole network",
        "",
        f"{datetime.date.today():%Y-%m-%d}, `python -m studies.angle_profiles`, "
        f"{json.dumps(hardware(torch.device('cpu')))}. Tasks, clips and networks are those of `studies/angles.py`; "
        "chance is a loss of 0.69. What is done stands in the program.",
        "",
    ]
    every = [
        "",
        "## Every try",
        "",
        "| task | head | attention | start | rate | seed | steps | loss | inner | accuracy | learned |",
    ]
    every += ["|---|---|---|---|---|---|---|---|---|---|---|", *tries.rows(), ""]
    text = "\n".join([*head, *tables, *every])
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
