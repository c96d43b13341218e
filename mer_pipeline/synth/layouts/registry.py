"""The datasets whose layout on disk can be written: one row each, in a module of its own."""

from __future__ import annotations

from mer_pipeline.errors import MerError
from mer_pipeline.synth.layouts import casme2, casme3, casme_sq, mmew, samm, smic
from mer_pipeline.synth.layouts.layout import LayoutWriter

LAYOUTS: dict[str, LayoutWriter] = {
    module.WRITER.dataset: module.WRITER for module in (casme2, samm, mmew, smic, casme_sq, casme3)
}


def layout_named(name: str) -> LayoutWriter:
    """The layout of that name.

    Raises:
        MerError: There is none.
    """
    if name not in LAYOUTS:
        raise MerError(f"unknown layout {name!r}", fix=f"choose one of: {', '.join(LAYOUTS)}, long")
    return LAYOUTS[name]
