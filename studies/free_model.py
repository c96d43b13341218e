"""The model that ships, from nothing: draw and compute motion of the skin, train small readers on it, calibrate them.

    python -m studies.free_model                  # writes the weights that ship
    python -m studies.free_model --images FOLDER  # how they do on published flow images, none of which they saw

No recording enters: `synth.skin` draws faces, what their muscles do, and pictures of them. The same machine gives the
same bits. Every figure that was ever taken on real images is listed in the dated report, since each could choose.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.optimize import minimize_scalar
from torch import nn
from torch.nn import functional

from mer_pipeline.evaluation.metrics import DetailedScores, scores
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.reader import GROUPS, FlowReader, shipped
from mer_pipeline.reader.features import cells, mirrored, normalised
from mer_pipeline.reader.reader import CellPerceptron, mean_logits
from mer_pipeline.reading import Json
from mer_pipeline.stages.flow import read_flow_image
from mer_pipeline.synth.skin.computed import compute_motion
from mer_pipeline.synth.skin.drawn import SkinMotion, draw_motion
from mer_pipeline.synth.skin.people import Crops

WEIGHTS = Path(__file__).parents[1] / "mer_pipeline" / "reader" / "weights.safetensors"
CHUNK = 500
_BLINK = AU_NUMBERS.index(45)
# As the stages cut them: the pupils, the part of the crop that is read, its upright; see `reader.features.window`.
_ALIGNED = Crops(pupils=(0.50, 0.56), eyes=(0.235, 0.265), aspect=(0.97, 1.03), centre=0.01, roll=0.01)


@dataclass(frozen=True)
class Kind:
    """How clips are made: by what, from seeds of their own, and in which crops."""

    make: Callable[..., SkinMotion]
    apart: tuple[int, ...] = ()
    crops: Crops = field(default_factory=Crops)


# The held-out ones are of other people.
_KINDS: Mapping[str, Kind] = {
    "drawn": Kind(draw_motion, (1,)),
    "computed": Kind(compute_motion),
    "held-out": Kind(compute_motion, (2,)),
    "aligned-drawn": Kind(draw_motion, (3,), _ALIGNED),
    "aligned-computed": Kind(compute_motion, (4,), _ALIGNED),
    "aligned-held-out": Kind(compute_motion, (5,), _ALIGNED),
}


@dataclass(frozen=True)
class Settings:
    """Everything that shapes the weights.

    Attributes:
        kinds: Drawn, computed and held-out clips, of `_KINDS`.
        drawn, computed, held_out: How many clips of each; those held out are computed ones, for calibration.
        repeats: How often the computed clips are seen for once that the drawn ones are.
        cells: Cells a side of each member.
        hidden: Hidden units.
        dropout: Of hidden units.
        noise: Least and greatest noise on the cells, in their standard deviations: the reader must not trust the
            drawing.
        units: What the loss of the Action Units weighs against that of the groups.
        epochs, batch, lr, decay: Of AdamW with one cycle.
        smoothing: Of the labels.
        seed: Of everything.
    """

    kinds: tuple[str, str, str] = ("drawn", "computed", "held-out")
    drawn: int = 40_000
    computed: int = 10_000
    held_out: int = 1_500
    repeats: int = 2
    cells: tuple[int, ...] = (4, 7, 14, 4, 7, 14)
    hidden: int = 128
    dropout: float = 0.4
    noise: tuple[float, float] = (0.5, 2.0)
    units: float = 1.0
    epochs: int = 10
    batch: int = 256
    lr: float = 2e-3
    decay: float = 1e-3
    smoothing: float = 0.1
    seed: int = 12


# For the Action Units of aligned crops: places are sure there, so that finer cells and less noise do.
ALIGNED = Settings(
    kinds=("aligned-drawn", "aligned-computed", "aligned-held-out"),
    held_out=3_000, cells=(7, 14, 7, 14), noise=(0.3, 1.0), units=4.0,
)  # fmt: skip


@dataclass(frozen=True)
class Data:
    """Normalised fields (n, 2, 28, 28), Action Units (n, 21) and groups (n,)."""

    fields: npt.NDArray[np.float32]
    aus: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]


def _chunk(job: tuple[str, int, int]) -> Data:
    name, seed, index = job
    kind = _KINDS[name]
    motion = kind.make((seed, *kind.apart, index), CHUNK, crops=kind.crops)
    aus = motion.aus
    if kind.crops is _ALIGNED:  # coders leave blinks out, but who reads faces may name them
        aus[[each.kind == "blink" and each.contractions[0].strength > 0 for each in motion.contents], _BLINK] = 1
    return Data(normalised(motion.flow), aus, motion.groups)


def make_data(kind: str, clips: int, seed: int, folder: Path | None, jobs: int = 2) -> Data:
    """Clips in chunks of `CHUNK`, each from a seed of its own; chunks that a folder holds are read from it."""
    chunks: list[Data] = []
    # One thread each: solvers that wait for each other's take three times as long.
    with ProcessPoolExecutor(jobs, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        wanted = [(kind, seed, index) for index in range(clips // CHUNK)]
        files = [None if folder is None else folder / f"{'-'.join(map(str, job))}.npz" for job in wanted]
        pending = {
            job: pool.submit(_chunk, job)
            for job, file in zip(wanted, files, strict=True)
            if file is None or not file.exists()
        }
        for job, file in zip(wanted, files, strict=True):
            if job in pending:
                chunks.append(pending.pop(job).result())
                if file is not None:
                    np.savez(file, **vars(chunks[-1]))
            elif file is not None:
                chunks.append(Data(**np.load(file)))
    return Data(*(np.concatenate([getattr(each, name) for each in chunks]) for name in ("fields", "aus", "groups")))


def train_member(data: Data, count: int, settings: Settings, seed: int) -> CellPerceptron:
    """One perceptron over `count` x `count` cells, by AdamW on groups and Action Units together."""
    torch.manual_seed(seed)
    both = [torch.from_numpy(cells(each, count)) for each in (data.fields, mirrored(data.fields))]
    aus, groups = torch.from_numpy(data.aus), torch.from_numpy(data.groups)
    network = nn.Sequential(
        nn.Dropout(0.1),
        nn.Linear(2 * count**2, settings.hidden),
        nn.ReLU(),
        nn.Dropout(settings.dropout),
        nn.Linear(settings.hidden, len(GROUPS) + aus.shape[1]),
    )
    optimiser = torch.optim.AdamW(network.parameters(), settings.lr, weight_decay=settings.decay)
    steps = len(groups) // settings.batch
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.lr, total_steps=settings.epochs * steps)
    least, greatest = settings.noise
    for _ in range(settings.epochs):
        order = torch.randperm(len(groups))
        for step in range(steps):
            rows = order[step * settings.batch : (step + 1) * settings.batch]
            shown = both[int(torch.rand(()) < 0.5)][rows]
            level = least + (greatest - least) * torch.rand(len(rows), 1, 1, 1)
            shown = shown + level * torch.randn_like(shown)
            shown = shown / (shown.std((2, 3), keepdim=True) + 1e-6)
            logits = network(shown.flatten(1))
            loss = functional.cross_entropy(
                logits[:, : len(GROUPS)], groups[rows], label_smoothing=settings.smoothing
            ) + settings.units * functional.binary_cross_entropy_with_logits(logits[:, len(GROUPS) :], aus[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
    hidden, out = network[1], network[4]
    parts = {
        f"{name}.{part}": values
        for name, layer in (("hidden", hidden), ("out", out))
        for part, values in layer.named_parameters()
    }
    # As they are shipped, in half precision.
    return CellPerceptron(count, {name: values.detach().half().float().numpy() for name, values in parts.items()})


def temperature(members: Sequence[CellPerceptron], held_out: Data) -> float:
    """What the logits of the groups are divided by, by likelihood on held-out clips."""
    logits = mean_logits(members, held_out.fields)[:, : len(GROUPS)]
    rows = np.arange(len(logits))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp.reduce(scaled, 1) - scaled[rows, held_out.groups]))

    return round(float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x)), 4)


def thresholds(members: Sequence[CellPerceptron], held_out: Data) -> list[float]:
    """For each Action Unit the logit from which naming it has the highest F1 on held-out clips."""
    units = mean_logits(members, held_out.fields)[:, len(GROUPS) :]
    return [round(_best_threshold(units[:, at], held_out.aus[:, at] > 0), 4) for at in range(units.shape[1])]


def _best_threshold(values: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> float:
    """The logit above which naming an Action Unit gives the highest F1; 0 where it does not occur.

    What is less probable than one in twenty is not named: rare units have too few clips to say where F1 is highest.
    """
    if not truth.any():
        return 0.0
    order = np.argsort(-values)
    right = np.cumsum(truth[order])
    f1 = 2 * right / (np.arange(1, len(values) + 1) + truth.sum())
    return max(float(values[order[int(f1.argmax())]]), float(np.log(0.05 / 0.95)))


def train_members(settings: Settings, folder: Path | None) -> tuple[list[CellPerceptron], Data]:
    """Make the data and train every member; the held-out clips are returned too."""
    counts = settings.drawn, settings.computed, settings.held_out
    drawn, computed, held_out = (
        make_data(kind, count, settings.seed, folder) for kind, count in zip(settings.kinds, counts, strict=True)
    )
    parts = [drawn, *(computed,) * settings.repeats]
    data = Data(*(np.concatenate([getattr(each, name) for each in parts]) for name in ("fields", "aus", "groups")))
    return [train_member(data, count, settings, seed) for seed, count in enumerate(settings.cells)], held_out


def train_reader(usual: Settings, aligned: Settings, folder: Path | None) -> tuple[FlowReader, Data]:
    """Train and calibrate everything; the held-out clips of `usual` are returned too."""
    members, held_out = train_members(usual, folder)
    of_crops, held_out_crops = train_members(aligned, folder)
    card: dict[str, Json] = {
        "temperature": temperature(members, held_out),
        "au_thresholds": [*thresholds(members, held_out)],
        "aligned_au_thresholds": [*thresholds(of_crops, held_out_crops)],
    }
    return FlowReader(members, of_crops, card), held_out


def score_images(reader: FlowReader, folder: Path, datasets: Sequence[str]) -> DetailedScores:
    """Published flow images of some sets, all of them expressions, so that `none` is left out."""
    table = pd.read_csv(folder / "labels.csv", dtype=str)
    table = table[table["dataset"].isin(datasets)]
    flow = np.stack([read_flow_image(folder / image) for image in table["image"]])
    chosen = reader.read(flow, aligned=False).groups[:, :3].argmax(1)
    return scores(table["emotion"].tolist(), [GROUPS[at] for at in chosen], GROUPS[:3])


def score_held_out(reader: FlowReader, data: Data) -> dict[str, float]:
    """Accuracy over the four groups and F1 over the Action Units of computed clips that training never saw."""
    reading = reader.read(data.fields, aligned=False)
    found, truth = reading.aus >= 0.5, data.aus > 0
    both = 2 * (found & truth).sum(0) / np.maximum(found.sum(0) + truth.sum(0), 1)
    return {
        "accuracy": float((reading.groups.argmax(1) == data.groups).mean()),
        "f1_of_aus": float(both[truth.any(0)].mean()),
    }


def main() -> None:
    """Train and write the weights, or score those that ship."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--data", type=Path, help="keep the clips here and read what is there")
    parser.add_argument("--images", type=Path, help="score the shipped reader on published flow images")
    parser.add_argument("--dataset", nargs="+", default=["casme2"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.images:
        for datasets in (*([name] for name in arguments.dataset), arguments.dataset):
            found = score_images(shipped(), arguments.images, datasets)
            print(f"{' + '.join(datasets)}: UF1 {found.overall.uf1:.3f}, UAR {found.overall.uar:.3f}")
        return
    reader, held_out = train_reader(Settings(), ALIGNED, arguments.data)
    arguments.out.write_bytes(reader.as_bytes())
    print(json.dumps(score_held_out(reader, held_out)))


if __name__ == "__main__":
    main()
