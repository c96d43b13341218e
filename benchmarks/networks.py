"""What networks and oriented attention cost: time forward and backward, and peak memory.

Every model of the zoo is measured in a process of its own. Attention is measured against the 3x3 convolution of its own
block, in the sizes of FaceSleuth's release, and beside a plain way to write the same operator (`index_add`).

    python benchmarks/networks.py --out benchmarks/reports/networks.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_pipeline import networks
from mer_pipeline.device import choose_device, hardware
from mer_pipeline.networks import OrientationAttention, example_batch, multiply_accumulates
from mer_pipeline.networks.orientation import bin_count, centre_position
from mer_pipeline.recipe import load_recipe, model_names

# Side, channels before and after, and stride of the four blocks of the release at 224 x 224.
BLOCKS = ((112, 128, 128, 1), (56, 128, 128, 2), (28, 128, 256, 2), (14, 256, 512, 2))
MODES = {"soa": (33.0, True), "horizontal": (0.0, False), "cva": (90.0, False)}  # soa-shared costs what soa does
MEMORY_MAPS = ((56, 64), (56, 128), (112, 64), (112, 128), (224, 64))
LIMIT = 1.0


def measure_model(name: str, batch: int, times: int, device: torch.device) -> dict[str, Any]:
    """Milliseconds a clip and peak memory of one model of the zoo."""
    recipe = load_recipe(name)
    torch.manual_seed(0)
    size = recipe.size or 224
    network = networks.build(recipe.network, classes=5, size=size, **recipe.network_options).to(device)
    inputs = {key: torch.rand_like(value) if value.is_floating_point() else value
              for key, value in example_batch(network, batch, device).items()}  # fmt: skip
    labels = torch.zeros(batch, dtype=torch.long, device=device)

    def forward() -> None:
        with torch.no_grad():
            network.run(inputs)

    def step() -> None:
        network.zero_grad(set_to_none=True)
        output = network.run(inputs)
        loss = F.cross_entropy(output.logits, labels)
        loss = loss if output.au_logits is None else loss + output.au_logits.square().mean()
        (loss if output.own_loss is None else loss + output.own_loss).backward()

    before = fresh_peak_mib(device)
    network.eval()
    forward_s, forward_mib = seconds(forward, times, device), peak_mib(device) - before
    network.train()
    return {
        "size": size,
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs": multiply_accumulates(network),
        "forward_ms": 1000 * forward_s / batch,
        "step_ms": 1000 * seconds(step, times, device) / batch,
        "forward_mib": forward_mib,
        "step_mib": peak_mib(device) - before,
    }


def measure_blocks(batch: int, times: int, device: torch.device) -> list[dict[str, Any]]:
    """Forward and backward of each attention mode as a share of its block's 3x3 convolution."""
    rows = []
    for side, before, channels, stride in BLOCKS:
        x = torch.rand(batch, before, side * stride, side * stride, device=device)
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        y = torch.rand(batch, channels, side, side, device=device)
        y = y.contiguous(memory_format=torch.channels_last).requires_grad_()
        convolution = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False).to(device)
        convolution = convolution.to(memory_format=torch.channels_last)
        ways: dict[str, tuple[nn.Module, Tensor]] = {"convolution": (convolution, x)}
        for mode, (theta_deg, learnable) in MODES.items():
            ways[mode] = (OrientationAttention(channels, theta_deg, learnable).to(device), y)
        if side == BLOCKS[0][0]:
            ways["index_add"] = (Scatter(ways["soa"][0]), y)  # type: ignore[arg-type]
        taken = {name: seconds(_forward_backward(part, given), times, device) for name, (part, given) in ways.items()}
        rows.append({"side": side, "channels": channels, **taken})
    return rows


def _forward_backward(part: nn.Module, given: Tensor) -> Callable[[], None]:
    def work() -> None:
        given.grad = None
        part.zero_grad(set_to_none=True)
        part(given).sum().backward()

    return work


class Scatter(nn.Module):
    """The attention as one would first write it: weighted copies of the map added into the lines, and gathered back.

    It has the weights of an `OrientationAttention` and gives the same numbers.
    """

    def __init__(self, attention: OrientationAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, channels, height, width = x.shape
        theta = self.attention.orientation.theta_rad
        y, z = (torch.arange(n, device=x.device) - (n - 1) / 2 for n in (height, width))
        place = (z[None, :] * theta.cos() + y[:, None] * theta.sin()).flatten() + centre_position(theta, height, width)
        low = place.detach().floor().long()
        share = (place - low)[:, None]
        rows = x.permute(0, 2, 3, 1).reshape(batch, -1, channels)
        sums = rows.new_zeros(batch, bin_count(height, width), channels)
        sums = sums.index_add(1, low, rows * (1 - share)).index_add(1, low + 1, rows * share)
        held = rows.new_zeros(sums.shape[1], 1).index_add(0, low, 1 - share).index_add(0, low + 1, share)
        means = (sums + (1 - held).clamp(min=0) * rows.mean(dim=1, keepdim=True)) / held.clamp(min=1)
        values = self.attention.restore(self.attention.squeeze(means).relu()).sigmoid()
        read = values[:, low] * (1 - share) + values[:, low + 1] * share
        weighted: Tensor = (rows * read).view(batch, height, width, channels).permute(0, 3, 1, 2)
        return weighted


def measure_memory(side: int, channels: int, batch: int, plain: bool, device: torch.device) -> dict[str, Any]:
    """Peak memory of one forward and backward pass of `soa`, without the map itself."""
    attention: nn.Module = OrientationAttention(channels, 33.0).to(device)
    attention = Scatter(attention) if plain else attention  # type: ignore[arg-type]
    work = _forward_backward(attention, torch.zeros(1, channels, 8, 8, device=device, requires_grad=True))
    work()  # loads the kernels
    x = torch.rand(batch, channels, side, side, device=device).contiguous(memory_format=torch.channels_last)
    before = fresh_peak_mib(device)
    _forward_backward(attention, x.requires_grad_())()
    return {"mib": peak_mib(device) - before, "map_mib": x.numel() * 4 / 2**20}


def seconds(work: Callable[[], None], times: int, device: torch.device) -> float:
    """The median time of some work, after one run that does not count.

    On the CPU, in one thread, it is the processor's time: other programs do not count.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    taken = []
    for _ in range(times + 1):
        started = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(clock() - started)
    return statistics.median(taken[1:])


def fresh_peak_mib(device: torch.device) -> float:
    """Forget the peak so far; return what is held now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")
    return peak_mib(device)


def peak_mib(device: torch.device) -> float:
    """The most memory that this process held since then, or its tensors on the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run something in a fresh process, in one thread, and return what it returns."""
    with multiprocessing.get_context("spawn").Pool(1, torch.set_num_threads, (1,)) as pool:
        return pool.apply(work, arguments)


def report(
    command: str, facts: dict[str, Any], batch: int, models: dict[str, Any], blocks: list[Any], memory: list[Any]
) -> str:
    """The measurements as a page of Markdown."""
    lines = [
        "# Networks and oriented attention",
        "",
        f"{datetime.date.today():%Y-%m-%d}, commit {_commit()}, `{command}`, {json.dumps(facts)}.",
        "",
        "## The zoo",
        "",
        "Random weights, float32, 5 classes; on a CPU one thread, processor time. A step is forward and backward",
        f"with the network's own loss, without the optimiser. Memory is what passes of {batch} clips add to a process",
        "(on a GPU, its tensors): gradients of the weights are in it, the weights are not.",
        "",
        "| model | side | parameters | multiply-accumulates | forward, ms a clip | step | forward, MiB | step |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in models.items():
        lines.append(
            f"| {name} | {row['size']} | {row['parameters']:,} | {row['macs'] / 1e6:,.1f} M | "
            f"{row['forward_ms']:.1f} | {row['step_ms']:.1f} | {row['forward_mib']:.0f} | {row['step_mib']:.0f} |"
        )
    lines += ["", "## Attention against the 3x3 convolution of its block", ""]
    lines += [
        f"Forward and backward, as a share of the convolution's. The limit is {LIMIT:g}; `soa-shared` is `soa`.",
        "",
    ]
    lines += [f"| map | convolution, ms | {' | '.join(MODES)} | `index_add` |", "|---|---|---|---|---|---|"]
    for row in blocks:
        shares = [f"{row[mode] / row['convolution']:.3f}" for mode in MODES]
        shares.append(f"{row['index_add'] / row['convolution']:.3f}" if "index_add" in row else "")
        side = f"{row['channels']} x {row['side']} x {row['side']}"
        lines.append(f"| {side} | {1000 * row['convolution']:.1f} | {' | '.join(shares)} |")
    worst = max(row[mode] / row["convolution"] for row in blocks for mode in MODES)
    lines += ["", f"The largest share is **{worst:.2f}**: {'within' if worst <= LIMIT else 'ABOVE'} the limit.", ""]
    lines += ["## Peak memory of `soa`", "", "Added by one forward and backward pass; a map is C x H x W floats.", ""]
    lines += ["| map | one map, MiB | added, MiB | in maps | `index_add`, in maps |", "|---|---|---|---|---|"]
    for row in memory:
        ours, plain = row["ours"], row["index_add"]
        lines.append(
            f"| {row['batch']} x {row['channels']} x {row['side']} x {row['side']} | {ours['map_mib']:.0f} | "
            f"{ours['mib']:.0f} | {ours['mib'] / ours['map_mib']:.1f} | {plain['mib'] / plain['map_mib']:.1f} |"
        )
    return "\n".join([*lines, ""])


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batch", type=int, default=4, help="clips a pass")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device, batch, times = choose_device(arguments.device), arguments.batch, arguments.times
    models = {name: alone(measure_model, name, batch, times, device) for name in model_names()}
    blocks = alone(measure_blocks, batch, times, device)
    memory = [
        {"side": side, "channels": channels, "batch": batch,
         "ours": alone(measure_memory, side, channels, batch, False, device),
         "index_add": alone(measure_memory, side, channels, batch, True, device)}
        for side, channels in MEMORY_MAPS
    ]  # fmt: skip
    command = shlex.join(["python", "benchmarks/networks.py", *sys.argv[1:]])
    text = report(command, hardware(device), batch, models, blocks, memory)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
