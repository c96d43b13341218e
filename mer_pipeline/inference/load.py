"""Which model a user means."""

from __future__ import annotations

from pathlib import Path

from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference.model import Model
from mer_pipeline.inference.shipped import ShippedModel
from mer_pipeline.reader import NAME

RUNS = Path("runs")
LATEST = "latest"


@os_errors()
def load_model(model: str | Path | None = None, device: str = "auto", detector: Detector | None = None) -> Model:
    """Load a model.

    Args:
        model: A run folder, a fold folder, a weights file or an ONNX file; `shipped` or None for the one that is part
            of the package, `latest` for the newest finished run in `runs/`.
        device: Where a trained network runs.
        detector: Overrides the face detector that its card names.

    Raises:
        MerError: There is none, it cannot be used, or the device or its face detector is not available.
    """
    if model is None or str(model) == NAME:
        check_shipped_device(device)
        return ShippedModel(detector)
    file = newest_run() if str(model) == LATEST else check_model(Path(model))
    # Imported here because it takes torch, which the shipped model does without.
    from mer_pipeline.inference.trained import load_trained

    return load_trained(file, device, detector)


def check_model(path: Path) -> Path:
    """The path, before torch is imported for it, which takes seconds.

    Raises:
        MerError: There is nothing of that name.
    """
    if not path.exists():
        fix = "write one with mer export" if path.suffix == ".onnx" else "train one with mer train, or try mer demo"
        raise MerError("no such model", where=path, fix=fix)
    return path


def check_shipped_device(device: str) -> None:
    """The shipped model computes on the CPU.

    Raises:
        MerError: Another device was asked for.
    """
    if device not in ("auto", "cpu"):
        raise MerError(f"the model that ships runs on the CPU, not on {device}", fix="leave --device out")


def newest_run(folder: Path = RUNS) -> Path:
    """The run in a folder that was finished last.

    Raises:
        MerError: There is none.
    """
    cards = [*folder.glob("*/final/card.json"), *folder.glob("*/seed-*/final/card.json")]
    if not cards:
        raise MerError(
            "no trained network",
            where=f"{folder}/",
            fix="make one with mer train or mer demo, or leave --model out: a model is part of the package",
        )
    return max(cards, key=lambda card: card.stat().st_mtime).parents[1]
