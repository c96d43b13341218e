"""Whether a scan of frozen angles finds a planted axis in a whole network: 8 runs, none of which chose the settings.

    python -m studies.angle_scan --tries FILE.jsonl --out studies/reports/angle-scan.md

Two tasks, for FaceSleuth's motion stream with the head that sees no places and one angle for all layers:

- `lines`: two spots move, and the label is whether both lie on one line orthogonal to the planted axis. Where either
  lies has the same distribution in both classes, they are about as far apart as the last convolution reaches, and
  every run has an axis of its own.
- `horizontal`: the faces of `studies/angles.py`. Two of four places move, upper and lower, and the label is whether
  both are on one side: an exclusive or, so that whether the two on one *diagonal* move together is enough as well.

In a run the angle is frozen at every 20 degrees, then at angles around the centre of the well in the loss
(`mer_pipeline.evaluation.axial.well`); the centre of the well over all of them is what the run finds. The loss is that
while learning: once learned it says nothing. Loss on inner clips, which chose nothing, stands beside. A training is one
line of the file of tries, and is not done again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer_pipeline.device import hardware
from mer_pipeline.evaluation.axial import Well, well
from studies.angles import SHIFT_PX, SIZE, Clips, Learner, distance_deg, draw

COARSE_DEG = 20.0
FINE_DEG = (-10.0, -5.0, 5.0, 10.0)
CLOSE_DEG = 5.0
STEPS, BATCH, LR = {"lines": 30, "horizontal": 80}, {"lines": 32, "horizontal": 64}, 0.02
# Attention that starts near one half everywhere relates no places, and a training waits long on a plateau.
GAIN = 3.0
_CALM = 10  # steps before the loss counts: it begins far above chance
_CLIPS, _INNER, _SPOT_PX = 2000, 200, 4.0


@dataclass(frozen=True)
class Try:
    """One training with a frozen angle: the mean loss of every ten steps, and loss and accuracy on inner subjects."""

    task: str
    seed: int
    at_deg: float
    curve: tuple[float, ...]
    inner_loss: float
    accuracy: float

    @property
    def loss(self) -> float:
        """While learning: low where the axis is learned soon."""
        return float(np.mean(self.curve[_CALM // 10 :]))


class Tries:
    """Trainings kept in a file of JSON lines."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        """Read what was tried."""
        self._path, self._say = path, say
        self._data: dict[tuple[str, int], tuple[Clips, Clips]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        every = [Try(**{**one, "curve": tuple(one["curve"])}) for line in lines for one in [json.loads(line)]]
        self.done = {(one.task, one.seed, one.at_deg): one for one in every}

    def at(self, task: str, seed: int, at_deg: float) -> Try:
        """A training, from the file or done now."""
        key = (task, seed, at_deg % 180)
        if key not in self.done:
            if (task, seed) not in self._data:
                self._data = {(task, seed): planted(seed) if task == "lines" else self._drawn(task)}
            self.done[key] = train(*key, self._data[task, seed])
            line = json.dumps(asdict(self.done[key]))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._say(line)
        return self.done[key]

    def _drawn(self, task: str) -> tuple[Clips, Clips]:
        """Clips with faces, which are kept beside the tries."""
        path = self._path.with_name(f"{task}.npz")
        if not path.is_file():
            np.savez(path, *(part.numpy() for clips in draw(task) for part in clips))
        with np.load(path) as kept:
            parts = [torch.from_numpy(kept[name]) for name in kept.files]
        return Clips(*parts[:3]), Clips(*parts[3:])


def axis_deg(task: str, seed: int) -> float:
    """The planted axis of a run."""
    return 0.0 if task == "horizontal" else round(111.246 * seed % 180, 2)  # by the golden section: never two alike


def planted(seed: int) -> tuple[Clips, Clips]:
    """Clips of the task `lines` to learn from, and inner ones."""
    generator = torch.Generator().manual_seed(seed)
    axis = axis_deg("lines", seed)
    return spots(axis, _CLIPS, generator), spots(axis, _INNER, generator)


def spots(axis: float, count: int, generator: torch.Generator) -> Clips:
    """Clips with two spots 34 to 46 px apart along the lines of an axis; those of label 1 lie on two of them.

    Across the lines either spot is uniform over 36 px, whose ends join; with label 1 they are 10 to 26 px apart.
    """

    def uniform(least: float, most: float) -> Tensor:
        return least + (most - least) * torch.rand(count, generator=generator)

    labels = torch.arange(count) % 2
    first = uniform(-18, 18)
    second = (first + uniform(10, 26) * labels + 18) % 36 - 18
    cosine, sine = math.cos(math.radians(axis)), math.sin(math.radians(axis))
    picture = torch.zeros(count, SIZE, SIZE)
    for side, across in ((1, first), (-1, second)):
        along = side * uniform(17, 23)
        x, y = across * cosine - along * sine, across * sine + along * cosine
        picture += uniform(0.8, 1.2)[:, None, None] * _bump(y)[:, :, None] * _bump(x)[:, None, :]
    apex = picture[:, None].expand(-1, 3, -1, -1)
    return Clips(torch.zeros(1, 1, 1, 1).expand_as(apex), apex, labels)


def _bump(centre_px: Tensor) -> Tensor:
    place = torch.arange(SIZE) - (SIZE - 1) / 2
    return torch.exp(-((place - centre_px[:, None]) ** 2) / (2 * _SPOT_PX**2))


def train(task: str, seed: int, at_deg: float, data: tuple[Clips, Clips]) -> Try:
    """Learn with all layers frozen at an angle; all angles of a run begin with the same weights."""
    clips, inner = data
    learner = Learner(
        clips, head="mean", attention="frozen", start_deg=at_deg, seed=seed, batch=BATCH[task], lr=LR, gain=GAIN,
        pace=lambda step: min(1.0, 3 * (1 - step / STEPS[task])),
        shift_px=0 if task == "lines" else SHIFT_PX,
    )  # fmt: skip
    learner.advance(STEPS[task])
    curve = np.array(learner.losses).reshape(-1, 10).mean(1).round(4).tolist()
    found = learner.judged(inner)
    return Try(task, seed, at_deg, tuple(curve), round(found.inner_loss, 4), round(found.accuracy, 4))


def grid_deg(seed: int) -> list[float]:
    """The coarse angles of a run; the grids of four runs in a row differ.

    >>> grid_deg(0)[:2], grid_deg(3)[-1]
    ([2.5, 22.5], 177.5)
    """
    offset = (2 * (seed % 4) + 1) / 8 * COARSE_DEG
    return [offset + COARSE_DEG * at for at in range(round(180 / COARSE_DEG))]


def scan(tries: Tries, task: str, seed: int) -> tuple[Well, list[Try]]:
    """The well of a run, and all that was tried in it."""
    seen = [tries.at(task, seed, at) for at in grid_deg(seed)]
    centre = min(grid_deg(seed), key=lambda at: distance_deg(at, (_well(seen).at_deg,)))
    seen += [tries.at(task, seed, centre + off) for off in FINE_DEG]
    return _well(seen), seen


def _well(seen: Sequence[Try]) -> Well:
    return well([one.at_deg for one in seen], [one.loss for one in seen])


def report(tries: Tries, task: str, seeds: Sequence[int]) -> list[str]:
    """The tables of a task, made run by run."""
    lines = [f"## {task}", "", "| seed | axis | well at | from the axis | depth | share | p | lowest inner loss at |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    errors, every = [], []
    for seed in seeds:
        axis = axis_deg(task, seed)
        found, seen = scan(tries, task, seed)
        errors.append(distance_deg(found.at_deg, (axis,)))
        lowest = min(seen, key=lambda one: one.inner_loss)
        lines.append(
            f"| {seed} | {axis:.1f} | {found.at_deg:.1f} | {errors[-1]:.1f} | {found.depth:.2f} | {found.share:.0%} | "
            f"{found.p:.3f} | {lowest.at_deg:.1f} ({distance_deg(lowest.at_deg, (axis,)):.1f} off) |"
        )
        every += sorted(seen, key=lambda one: distance_deg(one.at_deg, (axis,)))
    close = sum(error <= CLOSE_DEG for error in errors)
    lines += ["", f"Within {CLOSE_DEG:g} degrees of the planted axis: {close} of {len(errors)} runs.", ""]
    lines += ["| seed | frozen at | from the axis | loss while learning | at the end | inner loss | accuracy |"]
    lines += ["|---|---|---|---|---|---|---|"]
    return lines + [
        f"| {one.seed} | {one.at_deg:.1f} | {distance_deg(one.at_deg, (axis_deg(task, one.seed),)):.1f} | "
        f"{one.loss:.3f} | {one.curve[-1]:.3f} | {one.inner_loss:.3f} | {one.accuracy:.2f} |"
        for one in every
    ]


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tries", type=Path, required=True, help="JSON lines, one a training; added to")
    parser.add_argument("--task", choices=list(STEPS), default="lines")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(4, 12)), help="a run each")
    parser.add_argument("--out", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tries = Tries(arguments.tries, lambda line: print(line, flush=True))
    tables = report(tries, arguments.task, arguments.seeds)
    machine = json.dumps(hardware(torch.device("cpu")))
    head = [
        "# A planted axis found by a scan of frozen angles",
        "",
        f"{datetime.date.today():%Y-%m-%d}, `python -m studies.angle_scan --task {arguments.task}`, {machine}. "
        f"{STEPS[arguments.task]} steps of {BATCH[arguments.task]} clips at rate {LR:g}, which falls to zero in the "
        f"last third; first weights of attention times {GAIN:g}; chance is a loss of 0.69. What is done stands in the "
        "program.",
        "",
    ]
    text = "\n".join([*head, *tables, ""])
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
