"""Training curves as TensorBoard event files, for those who keep all their curves there."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from mer_pipeline.cache import private_folder
from mer_pipeline.errors import MerError
from mer_pipeline.runs.results import History


def check_tensorboard() -> None:
    """Make sure that event files can be written.

    Raises:
        MerError: The extra is not installed.
    """
    if find_spec("tensorboard") is None:
        raise MerError("tensorboard is not installed", fix="pip install 'mer-pipeline[tensorboard]'")


def write_events(folder: Path, history: History) -> None:
    """Write the curves of one fold; nothing where they were written before."""
    if folder.is_dir() and any(folder.iterdir()):
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(private_folder(folder)))
    for name, values in asdict(history).items():
        for epoch, value in enumerate(values, 1):
            if isinstance(value, list):
                for layer, part in enumerate(value, 1):
                    writer.add_scalar(f"{name}/layer-{layer}", part, epoch)
            else:
                writer.add_scalar(name, value, epoch)
    writer.close()
