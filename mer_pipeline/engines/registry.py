"""The engines by name; one more is one more line in `ENGINES`, and what it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from mer_pipeline.engines.engine import Engine
from mer_pipeline.engines.local import Local
from mer_pipeline.engines.ray import Ray
from mer_pipeline.engines.slurm import Slurm
from mer_pipeline.errors import MerError, suggest
from mer_pipeline.reading import Option

# Name -> what it is, in words for the help, and its class.
ENGINES: dict[str, tuple[str, type[Engine]]] = {
    "local": ("processes of this machine", Local),
    "slurm": ("a job array of a Slurm cluster (extra cluster)", Slurm),
    "ray": ("a Ray cluster (extra ray)", Ray),
}


def engine_of(name: str, jobs: int | None = None, options: Mapping[str, Option] | None = None) -> Engine:
    """The engine that a user asks for.

    Raises:
        MerError: An unknown engine or option, an impossible value, or a package that is not installed.
    """
    if name not in ENGINES:
        raise MerError(f"unknown engine {name!r}", fix=suggest(name, ENGINES))
    kind, given = ENGINES[name][1], dict(options or {})
    known = [field.name for field in fields(kind.options_type)]
    if unknown := next((option for option in given if option not in known), None):
        fix = suggest(unknown, known) if known else "leave --engine-option out"
        raise MerError(f"the engine {name} has no option {unknown!r}", fix=fix)
    try:
        return kind(jobs, kind.options_type(**given))
    except ValueError as error:
        raise MerError(f"an option of the engine {name}: {error}", fix="correct --engine-option") from None
