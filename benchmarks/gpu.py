"""What a GPU gives, in one command of less than eight minutes: the zoo's answers, seconds an epoch, a folder of clips.

- Every network of the zoo is trained for two steps from the same weights and asked for its answers, on the CPU in
  float32 and on the device in bf16. The difference is held against what bf16 alone makes on the CPU.
- Seconds an epoch of the largest fold of a set of the size of CASME II (249 clips of 224 px, 26 subjects), its share of
  the measured matrix rate, its peak memory, and a DataLoader that reads and augments JPEG files, in the same run.
- A training step in other ways (`benchmarks/ways.py`): compiled, by CUDA graphs, the networks of several folds as one.
- `mer predict` over a folder of clips, one after another: clips a second on the device and on the CPU.

    python -m benchmarks.gpu --out benchmarks/reports
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.loso import CLIPS, SIZE, SUBJECTS, Row, casme2_sized, matrix_rate, measured
from benchmarks.predict import make_model
from benchmarks.ways import FOLDS, Way, ways
from mer_pipeline import networks
from mer_pipeline.device import choose_device, hardware, used_memory_mb
from mer_pipeline.inference import Predictor
from mer_pipeline.networks import Network, example_batch
from mer_pipeline.recipe import load_recipe, model_names
from mer_pipeline.runs.provenance import versions
from mer_pipeline.synth import synthesise

EPOCHS = 99
# An epoch of the papers' release, which is to be beaten, and what is aimed at on an H200; seconds.
RELEASE_S, AIM_S = 2.6, 0.12
_STEPS, _BATCH = 2, 2
WAYS = ("ststnet", "facesleuth-flow", "facesleuth-tiny", "facesleuth")
_STEPS_OF_WAYS, _BATCH_OF_WAYS = 10, 32
# How many times the CPU's own bf16 noise a device may differ: its sums run in another order.
_MOST_NOISE, _LEAST = 4.0, 1e-4


@dataclass(frozen=True)
class Answers:
    """How far a network's answers on the device are from those of the CPU, as shares of the largest logit."""

    model: str
    differs: float
    noise: float

    @property
    def right(self) -> bool:
        """Whether bf16 alone may account for it."""
        return self.differs <= max(_LEAST, _MOST_NOISE * self.noise)


def answers(model: str, device: torch.device, size: int) -> Answers:
    """Train a little and ask, on both; in evaluation mode, so that nothing is drawn at random."""
    recipe = load_recipe(model)
    torch.manual_seed(0)
    network = networks.build(recipe.network, classes=5, size=size or recipe.size or SIZE, **recipe.network_options)
    inputs = {
        name: torch.rand_like(value) if value.is_floating_point() and name != "aus" else value
        for name, value in example_batch(network, _BATCH).items()
    }
    plain = _answer(network, inputs, torch.device("cpu"), half=False)
    noisy = _answer(network, inputs, torch.device("cpu"), half=True)
    there = _answer(network, inputs, device, half=device.type == "cuda")
    scale = float(plain.abs().max())
    return Answers(model, float((there - plain).abs().max()) / scale, float((noisy - plain).abs().max()) / scale)


def _answer(network: Network, inputs: dict[str, Tensor], device: torch.device, half: bool) -> Tensor:
    mine = copy.deepcopy(network).to(device).eval()
    given = {name: value.to(device) for name, value in inputs.items()}
    optimiser = torch.optim.SGD(mine.parameters(), lr=1e-3)
    labels = torch.arange(_BATCH, device=device)
    for _ in range(_STEPS):
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = F.cross_entropy(mine.run(given).logits.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        return mine.run(given).logits.float().cpu()


@dataclass(frozen=True)
class Folder:
    """Clips a second of `mer predict`, one after another."""

    device: str
    clips: int
    rate: float


def predict_folder(folder: Path, clips: int, device: torch.device) -> Folder:
    """Predict synthetic clips with a network of fresh weights; the first, which loads the models, is left out."""
    raw = folder / "raw-clips"
    if not raw.is_dir():
        synthesise(raw, subjects=1, clips=clips + 1)
        make_model(folder)
    paths = sorted((raw / "CASME2-RAW" / "sub01").iterdir())[: clips + 1]
    with Predictor(folder / "run", str(device)) as predictor:
        predictor(paths[0], fps=200)
        started = time.perf_counter()
        for path in paths[1:]:
            predictor(path, fps=200)
    return Folder(str(device), clips, clips / (time.perf_counter() - started))


def report(
    command: str, device: torch.device, zoo: Sequence[Answers], epoch: Row, rate: float, memory_mb: int,
    taken: Mapping[str, Sequence[Way]], folders: Sequence[Folder], seconds: float,
) -> str:  # fmt: skip
    """The measurements as a page of Markdown."""
    kind = "bf16" if device.type == "cuda" else "float32"
    lines = [
        "# On a GPU", "",
        f"{datetime.date.today()}, `{command}`, {json.dumps(hardware(device))}, commit "
        f"{versions().get('commit', 'none')}, {seconds:.0f} s.", "",
        "## Answers", "",
        f"Of every network after {_STEPS} steps from the same weights: the largest difference of a logit from the CPU "
        "in float32, as a share of the largest logit, and what bf16 alone makes on the CPU.", "",
        "| network | differs | bf16 noise of the CPU | |", "|---|---|---|---|",
        *(f"| {one.model} | {one.differs:.2e} | {one.noise:.2e} | {'right' if one.right else '**WRONG**'} |"
          for one in zoo), "",
        "## Seconds an epoch", "",
        f"{epoch.model}, the largest fold ({epoch.clips} clips), batch {epoch.batch}.", "",
        f"- here: **{epoch.ours_s:.3f} s** an epoch (the papers' release: {RELEASE_S} s; aim on an H200: {AIM_S} s); "
        f"{SUBJECTS} folds of {EPOCHS} epochs: {SUBJECTS * EPOCHS * epoch.ours_s / 60:.1f} minutes",
        f"- a DataLoader that reads and augments JPEG files: {epoch.usual_s:.3f} s, {epoch.ratio:.1f} times as long",
        f"- {epoch.operations / rate:.1%} of the matrix rate measured in the same run ({rate / 1e12:.2f} T operations "
        f"a second, {kind})",
        f"- peak memory: {memory_mb:,} MB", "",
        "## Ways to take a step", "",
        f"Milliseconds that a fold's step takes; {FOLDS} folds as one are another order of sums, so other numbers.", "",
        *(f"- {model}, {way.name}: {f'{1000 * way.seconds:.1f}' if way.seconds else way.why}"
          for model, ways in taken.items() for way in ways), "",
        "## A folder of clips", "",
        *(f"- {one.device}: {one.rate:.2f} clips a second ({one.clips} clips)" for one in folders), "",
    ]  # fmt: skip
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, and with --out write the report; 1 where a network answers wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="facesleuth", help="whose epoch is measured")
    parser.add_argument("--zoo", nargs="*", default=model_names(), help="whose answers are compared")
    parser.add_argument("--ways", nargs="*", default=WAYS, help="whose step is taken in several ways")
    parser.add_argument("--size", type=int, default=0, help="side of the pictures; the recipe's, or 224")
    parser.add_argument("--clips", type=int, default=CLIPS, help="of the set whose epoch is measured")
    parser.add_argument("--folder", type=int, default=30, help="clips that mer predict is given")
    parser.add_argument("--out", type=Path, help="the folder of the report")
    arguments = parser.parse_args(given)
    started, device = time.perf_counter(), choose_device(arguments.device)
    zoo = [answers(model, device, arguments.size) for model in arguments.zoo]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = casme2_sized(folder, arguments.clips, arguments.size or SIZE)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        epoch = measured("CASME II size", clips, load_recipe(arguments.model), device, folder)
        memory_mb = used_memory_mb(device)
        taken = {name: ways(name, device, arguments.size, _BATCH_OF_WAYS, _STEPS_OF_WAYS) for name in arguments.ways}
        devices = list(dict.fromkeys((device, torch.device("cpu"))))
        folders = [predict_folder(folder, arguments.folder, each) for each in devices]
    command = f"python -m benchmarks.gpu {' '.join(sys.argv[1:] if given is None else given)}".strip()
    rate, seconds = matrix_rate(device), time.perf_counter() - started
    text = report(command, device, zoo, epoch, rate, memory_mb, taken, folders, seconds)
    print(text)
    if arguments.out:
        (arguments.out / f"gpu-{datetime.date.today()}.md").write_text(text)
    return 0 if all(one.right for one in zoo) else 1


if __name__ == "__main__":
    sys.exit(main())
