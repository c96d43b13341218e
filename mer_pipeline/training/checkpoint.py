"""The state of a training under way, so that an interrupted fold goes on in its middle with the same numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mer_pipeline.cache import private_folder, write_atomically
from mer_pipeline.networks import Network
from mer_pipeline.reading import JsonObject
from mer_pipeline.runs.weights import digest_of_tensors


@dataclass
class TrainingState:
    """Everything that the next epoch depends on.

    Attributes:
        network, optimiser, schedule: Under training.
        generator: Of order and augmentation.
        device: Where; its own random numbers (dropout) are kept too.
    """

    network: Network
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    device: torch.device

    def save(self, path: Path, facts: JsonObject, tensors: dict[str, Tensor]) -> None:
        """Write the state with JSON values and tensors of the caller."""
        parts = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        held = self.optimiser.state_dict()
        parts |= {f"optimiser.{at}.{name}": value for at, of in held["state"].items() for name, value in of.items()}
        parts |= {f"caller.{name}": value for name, value in tensors.items()}
        parts |= {"random.generator": self.generator.get_state(), "random.cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            parts["random.cuda"] = torch.cuda.get_rng_state(self.device)
        text = json.dumps({"schedule": self.schedule.state_dict()["last_epoch"], **facts})
        private_folder(path.parent)
        copies = {name: value.detach().cpu().contiguous().clone() for name, value in parts.items()}
        facts_with_digest = {"facts": text, "digest": digest_of_tensors(copies, text)}
        write_atomically(path, safetensors.torch.save(copies, metadata=facts_with_digest))

    def load(self, path: Path) -> tuple[JsonObject, dict[str, Tensor]] | None:
        """Bring back what `save` wrote; None where there is nothing whole, and then nothing has changed."""
        try:
            with safetensors.safe_open(path, framework="pt") as opened:
                metadata = opened.metadata() or {}
                facts = json.loads(metadata["facts"])
                parts = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        except (OSError, safetensors.SafetensorError, KeyError, ValueError):
            return None
        if metadata.get("digest") != digest_of_tensors(parts, metadata["facts"]):
            return None
        grouped: dict[str, dict[str, Tensor]] = {}
        for name, value in parts.items():
            kind, _, rest = name.partition(".")
            grouped.setdefault(kind, {})[rest] = value
        self.network.load_state_dict(grouped["network"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in grouped.get("optimiser", {}).items():
            at, _, key = name.partition(".")
            state.setdefault(int(at), {})[key] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        self._turn_to(int(facts.pop("schedule")))
        self.generator.set_state(grouped["random"]["generator"])
        torch.set_rng_state(grouped["random"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(grouped["random"]["cuda"], self.device)
        return facts, grouped.get("caller", {})

    def _turn_to(self, epoch: int) -> None:
        """Set the learning rates to those of an epoch, which depend on its number alone."""
        self.schedule.last_epoch = epoch
        assert isinstance(self.schedule, torch.optim.lr_scheduler.LambdaLR)
        rates = [
            start * factor(epoch)
            for start, factor in zip(self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        self.schedule._last_lr = rates
