"""Seconds an epoch of LOSO training, against the usual way on the same clips with the same network, in one run.

The usual way of public code: a DataLoader whose workers read and augment a pair of JPEG files for every clip in every
epoch. Here: all crops are in memory as bytes, go to the device as they are, and are augmented there in batches.

Two sets: one of the size of CASME II (26 subjects, 249 clips of 224x224, onset and apex; content does not matter for
speed, so a few synthetic crops are repeated with noise), and the published flow images, where their cache is given.

    python -m benchmarks.loso [--flow CACHE] [--model facesleuth-tiny] [--device auto] [--out benchmarks/reports]
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from mer_pipeline import networks
from mer_pipeline.datasets import read_dataset
from mer_pipeline.device import choose_device, hardware
from mer_pipeline.evaluation.protocols import folds_of
from mer_pipeline.inputs.normalise import MEAN, STD
from mer_pipeline.networks import Network, named_tensors
from mer_pipeline.runs.provenance import versions
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import synthesise
from mer_pipeline.training import ClipSet, Recipe, load_clips, load_recipe
from mer_pipeline.training.loop import time_steps
from mer_pipeline.video import read_image

SUBJECTS, CLIPS, SIZE = 26, 249, 224
_EPOCHS = 2


@dataclass(frozen=True)
class Row:
    """One set: seconds an epoch of both ways, and what a step costs in arithmetic."""

    name: str
    model: str
    clips: int
    batch: int
    usual_s: float
    ours_s: float
    look_s: float
    operations: float

    @property
    def ratio(self) -> float:
        """How many times faster than the usual way."""
        return self.usual_s / self.ours_s


def casme2_sized(folder: Path, clips: int = CLIPS, size: int = SIZE) -> ClipSet:
    """Clips of 26 subjects: synthetic crops, repeated with noise of their own."""
    synthesise(folder / "raw", subjects=2, clips=5, seed=0)
    preprocess(read_dataset(folder / "raw"), folder / "cache", Parameters(size=size))
    few = load_clips(folder / "cache")
    generator = torch.Generator().manual_seed(0)
    chosen = torch.arange(clips) % len(few.clip_ids)
    noise = torch.randint(-3, 4, (clips, 2, 3, size, size), generator=generator)
    groups = [f"casme2/{clip % SUBJECTS + 1:02d}" for clip in range(clips)]
    return ClipSet(
        clip_ids=[f"{group}/{at:03d}" for at, group in enumerate(groups)],
        groups=groups,
        labels=few.labels[chosen],
        images=(few.images[chosen].int() + noise).clamp(0, 255).to(torch.uint8),
        aus=few.aus[chosen],
        aus_known=few.aus_known[chosen],
        classes=few.classes,
        label_set=few.label_set,
    )


class Files(Dataset[tuple[Tensor, int]]):
    """Pictures on disk, read and augmented one clip at a time."""

    def __init__(self, clips: ClipSet, rows: tuple[int, ...], folder: Path, recipe: Recipe) -> None:
        self._labels = [int(clips.labels[row]) for row in rows]
        self._paths = [[folder / f"{row}-{at}.jpg" for at in range(clips.images.shape[1])] for row in rows]
        folder.mkdir(parents=True, exist_ok=True)
        for row, paths in zip(rows, self._paths, strict=True):
            for path, image in zip(paths, clips.images[row], strict=True):
                if not path.is_file():
                    cv2.imwrite(str(path), _as_bytes(image)[..., ::-1])
        margin = round(recipe.shift * clips.size)
        self._change = v2.Compose(
            [v2.RandomHorizontalFlip(recipe.flip), v2.RandomRotation(recipe.rotation_deg),
             v2.RandomCrop(clips.size, margin), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        frames = [read_image(path) for path in self._paths[index]]
        pair = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        return self._change(pair), self._labels[index]


def _as_bytes(image: Tensor) -> np.ndarray[Any, Any]:
    """(3, H, W) -> (H, W, 3) uint8; flow in -1..1 as the published images have it."""
    scaled = image if image.dtype == torch.uint8 else (image.float() * 127 + 128).clamp(0, 255).to(torch.uint8)
    return scaled.permute(1, 2, 0).contiguous().numpy()


def usual(clips: ClipSet, rows: tuple[int, ...], recipe: Recipe, device: torch.device, folder: Path) -> float:
    """Seconds of an epoch, the first left out."""
    torch.manual_seed(0)
    network = networks.build(recipe.network, classes=len(clips.classes), size=clips.size, **recipe.network_options).to(
        device
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.lr)
    loader = DataLoader(
        Files(clips, rows, folder, recipe), batch_size=recipe.batch, shuffle=True, drop_last=len(rows) > recipe.batch,
        num_workers=torch.get_num_threads(), persistent_workers=True,
    )  # fmt: skip
    times = []
    for _ in range(_EPOCHS + 1):
        started = time.perf_counter()
        for images, labels in loader:
            _step(network, clips, images.to(device), labels.to(device), optimiser, device)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    steps = len(rows) // recipe.batch if len(rows) > recipe.batch else 1
    return float(np.median(times[1:])) / (steps * min(recipe.batch, len(rows))) * len(rows)


def _step(
    network: Network,
    clips: ClipSet,
    images: Tensor,
    labels: Tensor,
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> None:
    with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
        output = network.run(named_tensors(clips.view, images))
        loss = F.cross_entropy(output.logits.float(), labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def measured(name: str, clips: ClipSet, recipe: Recipe, device: torch.device, folder: Path) -> Row:
    """Both ways on the largest fold."""
    fold = max(folds_of("loso", clips.clip_ids, clips.groups), key=lambda one: len(one.train))
    batches = len(fold.train) / min(recipe.batch, len(fold.train))
    step, look = time_steps(clips, fold.train, recipe, device, steps=5)
    cost = networks.multiply_accumulates(recipe.outline(clips.size, len(clips.classes)))
    # A backward pass costs about two forward passes; a multiply-accumulate is two operations.
    operations = 2 * 3 * cost * min(recipe.batch, len(fold.train)) / step
    usual_s = usual(clips, fold.train, recipe, device, folder / name.replace(" ", "-"))
    return Row(name, recipe.model, len(fold.train), recipe.batch, usual_s, step * batches, look, operations)


def matrix_rate(device: torch.device) -> float:
    """Operations a second of a large matrix product, bf16 on a GPU and float32 on a CPU."""
    side, kind = (8192, torch.bfloat16) if device.type == "cuda" else (2048, torch.float32)
    a = torch.randn(side, side, device=device, dtype=kind)
    times = []
    for _ in _repeat(5):
        started = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return float(2 * side**3 / min(times[1:]))


def _repeat(count: int) -> Iterator[int]:
    return iter(range(count))


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flow", type=Path)
    parser.add_argument("--model", default="facesleuth-tiny")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if arguments.flow:
            clips = load_clips(arguments.flow, view="flow")
            for model, settings in (("ststnet", {"batch": 128}), ("facesleuth-flow", {})):
                rows.append(measured(f"flow {model}", clips, load_recipe(model, settings), device, Path(folder)))
        clips = casme2_sized(Path(folder))
        rows.append(measured("CASME II size", clips, load_recipe(arguments.model), device, Path(folder)))
    text = report(rows, matrix_rate(device), device, arguments)
    print(text)
    if arguments.out:
        (arguments.out / f"loso-{datetime.date.today()}.md").write_text(text)


def report(rows: list[Row], rate: float, device: torch.device, arguments: argparse.Namespace) -> str:
    """The measurements as Markdown."""
    given = " --flow CACHE" if arguments.flow else ""
    command = f"python -m benchmarks.loso{given} --model {arguments.model} --device {arguments.device}"
    lines = [
        "# Training speed", "",
        f"{datetime.date.today()}, `{command}`, {json.dumps(hardware(device))}, "
        f"commit {versions().get('commit', 'none')}.", "",
        "Seconds an epoch of the largest fold; the usual way is a DataLoader that reads and augments JPEG files.", "",
        "| set | model | clips | batch | usual way, s | here, s | times faster | share of the matrix rate |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        lines.append(
            f"| {row.name} | {row.model} | {row.clips} | {row.batch} | {row.usual_s:.3f} | {row.ours_s:.3f} "
            f"| {row.ratio:.2f} | {row.operations / rate:.1%} |"
        )
    kind = "bf16" if device.type == "cuda" else "float32"
    lines += ["", f"Matrix rate, measured in the same run: {rate / 1e12:.3f} T operations a second ({kind})."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
