"""Networks by name."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from mer_pipeline.networks.base import Network
from mer_pipeline.networks.facesleuth import FaceSleuth
from mer_pipeline.networks.facesleuth_flow import FaceSleuthFlow
from mer_pipeline.networks.fdp import FDP
from mer_pipeline.networks.mmnet import MMNet
from mer_pipeline.networks.resnet import ResNet18
from mer_pipeline.networks.resnet3d import ResNet3D
from mer_pipeline.networks.ststnet import STSTNet

_NETWORKS: dict[str, Callable[..., Network]] = {
    "facesleuth": FaceSleuth,
    "facesleuth_flow": FaceSleuthFlow,
    "fdp": FDP,
    "mmnet": MMNet,
    "resnet18": ResNet18,
    "resnet3d": ResNet3D,
    "ststnet": STSTNet,
}


def names() -> list[str]:
    """Names that `build` takes."""
    return sorted(_NETWORKS)


def option_defaults(name: str) -> dict[str, Any]:
    """Options of a network and their defaults, as JSON values. Raises ValueError for an unknown name."""
    parameters = inspect.signature(_constructor(name)).parameters.values()
    return {
        p.name: list(p.default) if isinstance(p.default, tuple) else p.default
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def build(name: str, *, classes: int, size: int, **options: Any) -> Network:
    """Build a network with fresh weights (torch's random state decides them).

    Args:
        name: see `names`.
        classes: emotions.
        size: of the square frames in pixels.
        options: see `option_defaults`.

    Raises:
        ValueError: for an unknown name or option (naming the nearest valid one) or an impossible value.
    """
    constructor, known = _constructor(name), option_defaults(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        found = "; ".join(f"{option!r}: {_nearest(option, known)}" for option in unknown)
        raise ValueError(f"{name} has no such option: {found}")
    if classes < 2:
        raise ValueError(f"classes is {classes}: give at least 2")
    return constructor(classes, size, **options)


def _constructor(name: str) -> Callable[..., Network]:
    if name not in _NETWORKS:
        raise ValueError(f"no network is named {name!r}: {_nearest(name, _NETWORKS)}")
    return _NETWORKS[name]


def _nearest(wrong: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    close = difflib.get_close_matches(wrong, valid, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(valid)}"
