"""Whether the learned angles of FaceSleuth follow an axis along which Action Units are planted.

Two Action Units move in every clip, one of the brows and mouth corners of either side. The label is whether the two
lie on one line orthogonal to the planted axis:

- `vertical` (90 degrees): both in one row, or in different rows and on different sides;
- `horizontal` (0 degrees): both in one column, or likewise;
- `diagonal` (45 or 135 degrees, both informative): on one diagonal of the face, or on the other.

Each place is as frequent in both classes, so no single place gives the label away. The network is FaceSleuth's motion
stream with its flattening head (`flat`), which sees where things are and needs no attention; and with the mean over the
map in its place (`mean`), where attention can relate the places that convolutions do not span.

    python studies/angles.py --out studies/reports/angles.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mer_pipeline.device import hardware
from mer_pipeline.evaluation.axial import axial_mean_deg
from mer_pipeline.inputs.normalise import normalise
from mer_pipeline.networks import OrientationAttention, angle_parameters, build, learned_angles_deg
from mer_pipeline.synth import Options
from mer_pipeline.synth.emotions import Combination
from mer_pipeline.synth.plan import Timing, draw_clip
from mer_pipeline.synth.portrait import load_portraits
from mer_pipeline.synth.scene import make_camera, render
from mer_pipeline.synth.subjects import Subject, draw_traits, make_subject

SIZE = 64
SUBJECTS, HELD_OUT, CLIPS = 12, 3, 20
UNITS = {"upper": ("2", "4"), "lower": ("12", "15", "20")}
# The person's right side is on the left of the picture.
PLACES = {"UL": ("R", "upper"), "UR": ("L", "upper"), "DL": ("R", "lower"), "DR": ("L", "lower")}
STARTS_DEG = (20.0, 65.0, 110.0, 155.0)
TWO_FRAMES = Timing((0, 0), (1, 1), (1, 1), (0, 0), (1, 1))
SHIFT_PX, NOISE = 6, 0.1


class Task(NamedTuple):
    """The axes that depend on the label, and the pairs of places that move in clips of label 0 and 1."""

    axes_deg: tuple[float, ...]
    pairs: tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


CROSSED = (("UL", "DR"), ("UR", "DL"))
TASKS = {
    "vertical": Task((90.0,), ((("UL", "UR"), ("DL", "DR")), CROSSED)),
    "horizontal": Task((0.0,), ((("UL", "DL"), ("UR", "DR")), CROSSED)),
    "diagonal": Task((45.0, 135.0), (CROSSED[:1], CROSSED[1:])),
}


class Clips(NamedTuple):
    """Onset and apex (N, 3, SIZE, SIZE), normalised, and labels (N,)."""

    onset: Tensor
    apex: Tensor
    labels: Tensor


class Trained(NamedTuple):
    """Accuracy and loss on held-out subjects, loss of the last quarter of the steps, and the angles of the layers."""

    accuracy: float
    theta_deg: list[float]
    inner_loss: float = 0.0
    loss: float = 0.0


def draw(task: str) -> tuple[Clips, Clips]:
    """Clips of a task for training, and of other subjects for testing."""
    camera = make_camera(Options(), 30.0, (0,))
    portraits = load_portraits(None)
    pictures: list[list[npt.NDArray[np.uint8]]] = []
    labels = []
    for index in range(SUBJECTS):
        rng = np.random.default_rng((7, index))
        subject = make_subject(portraits, draw_traits(rng, Options()), rng)
        for clip in range(CLIPS):
            label = clip % 2
            vocabulary = {"planted": [each for pair in TASKS[task].pairs[label] for each in _planted(pair)]}
            plan = draw_clip("planted", vocabulary, Options(amplitude_px=(3, 5)), (7, index, clip), TWO_FRAMES)
            frames = list(render(subject, plan, camera, (*plan.seed, 1)))
            pictures.append([_crop(frames[at], subject) for at in (plan.onset_frame, plan.apex_frame)])
            labels.append(label)
    images = normalise(torch.from_numpy(np.array(pictures)).permute(0, 1, 4, 2, 3))
    whole = Clips(images[:, 0], images[:, 1], torch.tensor(labels))
    train = (SUBJECTS - HELD_OUT) * CLIPS
    return Clips(*(part[:train] for part in whole)), Clips(*(part[train:] for part in whole))


def _planted(places: tuple[str, str]) -> list[Combination]:
    sides = [[PLACES[place][0] + unit for unit in UNITS[PLACES[place][1]]] for place in places]
    return [Combination("+".join(units), 1, 1) for units in product(*sides)]


def _crop(frame: npt.NDArray[np.uint8], subject: Subject) -> npt.NDArray[np.uint8]:
    (left, top), (right, bottom) = subject.points_xy.min(0), subject.points_xy.max(0)
    half = 0.55 * max(right - left, bottom - top)
    x, y = max(0, int((left + right) / 2 - half)), max(0, int((top + bottom) / 2 - half))
    side = int(2 * half)
    square = cv2.resize(frame[y : y + side, x : x + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(square, np.uint8)


class Learner:
    """FaceSleuth's motion stream in training; it can go on. Clips are shifted at random and get noise.

    Args:
        clips: What it learns from.
        head: Option of the network.
        attention: Option of the network.
        start_deg: Where angles start, and where frozen ones stay.
        seed: Of weights, order and noise.
        batch: Clips a step.
        lr: Rate of everything but the angles.
        angle_lr: Rate of the angles; 0 keeps them.
        pace: Step -> what the rates are multiplied by; 1 by default.
        gain: What the first weights of attention are multiplied by.
        shift_px: Most that clips are shifted by.
    """

    def __init__(
        self,
        clips: Clips,
        *,
        head: str,
        attention: str,
        start_deg: float,
        seed: int,
        batch: int,
        lr: float,
        angle_lr: float = 0.0,
        pace: Callable[[int], float] = lambda _: 1.0,
        gain: float = 1.0,
        shift_px: int = SHIFT_PX,
    ) -> None:
        torch.manual_seed(seed)
        self._generator = torch.Generator().manual_seed(seed)
        options: dict[str, Any] = {"attention": attention, "theta_deg": start_deg, "position": False, "au_input": False}
        widths: dict[str, Any] = {"stem": [8, 12], "channels": [12, 16, 16, 32]}
        self.network = build("facesleuth", classes=2, size=SIZE, head=head, **options, **widths)
        for part in self.network.modules():
            if isinstance(part, OrientationAttention):
                part.squeeze.weight.data *= gain
                part.restore.weight.data *= gain
        angles = angle_parameters(self.network)
        turned = {id(angle) for angle in angles}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in turned]
        self._optimiser = torch.optim.Adam([{"params": others, "lr": lr}, {"params": angles, "lr": angle_lr}])
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, pace)
        self._clips, self._batch, self._shift_px = clips, batch, shift_px
        self.losses: list[float] = []

    def advance(self, steps: int) -> None:
        """Train on."""
        self.network.train()
        for _ in range(steps):
            chosen = torch.randint(0, len(self._clips.labels), (self._batch,), generator=self._generator)
            shift = torch.randint(-self._shift_px, self._shift_px + 1, (2,), generator=self._generator).tolist()
            onset, apex = (torch.roll(images[chosen], shift, (2, 3)) for images in self._clips[:2])
            apex = apex + NOISE * torch.randn(apex.shape, generator=self._generator)
            loss = F.cross_entropy(self.network(onset, apex).logits, self._clips.labels[chosen])
            self._optimiser.zero_grad()
            loss.backward()
            self.losses.append(loss.item())
            self._optimiser.step()
            self._schedule.step()

    def judged(self, test: Clips) -> Trained:
        """What it has learned, on other subjects and on its last steps."""
        self.network.eval()
        with torch.no_grad():
            logits = self.network(test.onset, test.apex).logits
        right = (logits.argmax(1) == test.labels).float().mean().item()
        inner_loss = F.cross_entropy(logits, test.labels).item()
        last = self.losses[-max(1, len(self.losses) // 4) :]
        return Trained(right, learned_angles_deg(self.network), inner_loss, float(np.mean(last)))


def train(
    data: tuple[Clips, Clips], *, head: str, attention: str, start_deg: float, angle_lr: float, steps: int
) -> Trained:
    """Train on clips of some subjects with rates that fall to zero, and test on others; see `Learner`."""
    clips, test = data
    learner = Learner(
        clips, head=head, attention=attention, start_deg=start_deg, angle_lr=angle_lr, seed=0, batch=16, lr=2e-3,
        pace=lambda step: (1 + math.cos(math.pi * step / steps)) / 2,
    )  # fmt: skip
    learner.advance(steps)
    return learner.judged(test)


def distance_deg(angle_deg: float, axes_deg: tuple[float, ...]) -> float:
    """From an angle to the nearest of some axes, 0 to 90.

    >>> distance_deg(170.0, (0.0,))
    10.0
    """
    return min(abs((angle_deg - axis + 90) % 180 - 90) for axis in axes_deg)


def measure(steps: int, say: Callable[[str], None]) -> list[str]:
    """The tables of the report."""
    ways = [("branch", "soa", 0.1), ("mean", "soa", 0.1), ("mean", "soa", 0.005), ("mean", "soa-shared", 0.1)]
    accuracy = ["| task | head | none | horizontal (0) | cva (90) |", "|---|---|---|---|---|"]
    angles = [
        "| task | head | attention | rate, rad | start | learned, by layer | mean | from the axis | accuracy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    summary = ["| task | head | attention | rate, rad | mean from the axis: start | learned | nearest layer |",
               "|---|---|---|---|---|---|---|"]  # fmt: skip
    for task, (axes, _) in TASKS.items():
        data = draw(task)
        for head in ("branch", "mean"):
            fixed = [
                train(data, head=head, attention=mode, start_deg=45.0, angle_lr=0.0, steps=steps).accuracy
                for mode in ("none", "horizontal", "cva")
            ]
            accuracy.append(f"| {task} | {head} | {' | '.join(f'{value:.2f}' for value in fixed)} |")
            say(accuracy[-1])
        for head, attention, rate in ways:
            means, nearest = [], []
            for start in STARTS_DEG:
                found = train(data, head=head, attention=attention, start_deg=start, angle_lr=rate, steps=steps)
                mean = axial_mean_deg(found.theta_deg)
                means.append(distance_deg(mean, axes))
                nearest.append(min(distance_deg(angle, axes) for angle in found.theta_deg))
                layers = ", ".join(f"{angle:.0f}" for angle in found.theta_deg)
                angles.append(
                    f"| {task} | {head} | {attention} | {rate:g} | {start:.0f} | {layers} | {mean:.0f} | "
                    f"{means[-1]:.0f} | {found.accuracy:.2f} |"
                )
                say(angles[-1])
            before = np.mean([distance_deg(start, axes) for start in STARTS_DEG])
            summary.append(
                f"| {task} | {head} | {attention} | {rate:g} | {before:.0f} | {np.mean(means):.0f} | "
                f"{np.mean(nearest):.0f} |"
            )
    parts = {"Accuracy on held-out subjects with frozen attention": accuracy, "Every run": angles}
    lines = ["## From the planted axis, degrees, mean over four starts", "", *summary, ""]
    for title, rows in parts.items():
        lines += [f"## {title}", "", *rows, ""]
    return lines


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=400, help="of each training, 16 clips a step")
    parser.add_argument("--out", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    tables = measure(arguments.steps, print)
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    command = shlex.join(["python", "studies/angles.py", *sys.argv[1:]])
    head = [
        "# Learned angles on planted axes",
        "",
        f"{datetime.date.today():%Y-%m-%d}, commit {done.stdout.strip() or 'unknown'}, `{command}`, "
        f"{json.dumps(hardware(torch.device('cpu')))}, {time.process_time() - started:.0f} s of processor time.",
        "",
        f"{SUBJECTS} synthetic subjects, {HELD_OUT} of them held out, {CLIPS} clips each, {SIZE} x {SIZE} pixels,",
        f"{arguments.steps} steps, seed 0. The tasks are described in the program. `rate` is Adam's for the angles,",
        "decayed to zero. An angle is that of the pooling axis: 0 pools columns, 90 pools rows.",
        "",
    ]
    text = "\n".join([*head, *tables])
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
