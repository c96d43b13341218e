"""Networks by name: a module of this folder that registers a class has added a network."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

from mer_pipeline.networks.base import Network
from mer_pipeline.networks.prior import Prior
from mer_pipeline.reading import Option

_Class = TypeVar("_Class", bound=type[Network])
_NETWORKS: dict[str, type[Network]] = {}
_EARLIER: dict[str, str] = {}  # names in old recipes and cards -> names


def register(name: str, *earlier: str) -> Callable[[_Class], _Class]:
    """Register a network.

    Args:
        name: In recipes and cards, with hyphens.
        earlier: Names that it had before, which old recipes and cards have.
    """

    def add(network: _Class) -> _Class:
        _NETWORKS[name] = network
        _EARLIER.update(dict.fromkeys(earlier, name))
        return network

    return add


def names() -> list[str]:
    """Names that `build` takes."""
    return sorted(_all())


def present_name(name: str) -> str:
    """The name of a network that may be called by an earlier one."""
    _all()
    return _EARLIER.get(name, name)


def option_defaults(name: str) -> dict[str, Option]:
    """Options of a network and their defaults, as JSON values. Raises ValueError for an unknown name."""
    parameters = inspect.signature(_class(name)).parameters.values()
    return {
        p.name: list(p.default) if isinstance(p.default, tuple) else p.default
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }


def build(name: str, *, classes: int, size: int, prior: Option = False, **options: Any) -> Network:
    """Build a network with fresh weights (torch's random state decides them).

    Args:
        name: See `names`.
        classes: Emotions.
        size: Of the square pictures, in pixels.
        prior: Whether a reader's answer is added to its own; `Prior.start` says which.
        options: See `option_defaults`.

    Raises:
        ValueError: An unknown name or option (the nearest valid one is named), an impossible value, or a prior beside a
            network that is not shown flow.
    """
    network: Callable[..., Network] = _class(name)
    known = option_defaults(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        found = "; ".join(f"{option!r}: {_nearest(option, known)}" for option in unknown)
        raise ValueError(f"{name} has no such option: {found}")
    if classes < 2:
        raise ValueError(f"classes is {classes}: give at least 2")
    built = network(classes, size, **options)
    if prior:
        if built.view != "flow":
            raise ValueError(f"a prior reads flow, and {name} is shown {built.view}: take a network of flow")
        built.prior = Prior(classes, size)
    return built


@cache
def _modules() -> None:
    """Import the modules beside this one, which register their networks."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)


def _all() -> dict[str, type[Network]]:
    _modules()
    return _NETWORKS


def _class(name: str) -> type[Network]:
    found = _all().get(present_name(name))
    if found is None:
        raise ValueError(f"no network is named {name!r}: {_nearest(name, _NETWORKS)}")
    return found


def _nearest(wrong: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    close = difflib.get_close_matches(wrong, valid, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(valid)}"
