"""Training curves as TensorBoard event files, for those who keep all their curves there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mer_pipeline.cache import private_folder
from mer_pipeline.errors import MerError


def check_tensorboard() -> None:
    """Raises MerError where the extra is not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise MerError("tensorboard is not installed", fix="pip install 'mer-pipeline[tensorboard]'") from None


def write_events(folder: Path, history: Mapping[str, Sequence[Any]]) -> None:
    """Write the curves of one fold; nothing where they were written before.

    Args:
        folder: Of the fold's event files.
        history: Name -> one value an epoch, or one list of values (angles).
    """
    if folder.is_dir() and any(folder.iterdir()):
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(private_folder(folder)))
    for name, values in history.items():
        for epoch, value in enumerate(values, 1):
            if isinstance(value, list):
                for layer, part in enumerate(value, 1):
                    writer.add_scalar(f"{name}/layer-{layer}", part, epoch)
            else:
                writer.add_scalar(name, value, epoch)
    writer.close()
