"""Which device computes, and what it is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil
import torch

from mer_pipeline.errors import MerError
from mer_pipeline.reading import JsonObject


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        MerError: No such device here.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise MerError(f"unknown device {name!r}", fix="choose auto, cpu, cuda, cuda:N or mps")
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(number or 0) >= present:
        raise MerError(f"device {name} is not there", fix="see mer doctor, or use --device auto")
    return torch.device(name)


def hardware(device: torch.device) -> JsonObject:
    """What computed: processor, cores, threads, and the GPU where there is one."""
    facts: JsonObject = {
        "device": str(device),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    return {**facts, "gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else facts


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def free_memory_mb(device: torch.device) -> int:
    """Memory that a program could still take on a device, in MB (10^6 bytes)."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return round(free / 1e6)


def used_memory_mb(device: torch.device) -> int:
    """Memory that this process holds on a device, in MB (10^6 bytes)."""
    held = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss
    return round(held / 1e6)
