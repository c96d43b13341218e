"""The datasets whose layout on disk can be written: one module each."""

from __future__ import annotations

import importlib

from mer_pipeline.choices import SYNTHETIC
from mer_pipeline.errors import MerError
from mer_pipeline.synth.layouts.layout import LayoutWriter


def _writer(name: str) -> LayoutWriter:
    # A module's name cannot begin with the 4 of 4dme.
    module = importlib.import_module(f"{__package__}.{name.replace('-', '_').replace('4d', 'fourd')}")
    writer: LayoutWriter = module.WRITER
    return writer


LAYOUTS = {name: _writer(name) for name in SYNTHETIC}


def layout_named(name: str) -> LayoutWriter:
    """The layout of that name.

    Raises:
        MerError: There is none.
    """
    if name not in LAYOUTS:
        raise MerError(
            f"unknown layout {name!r}", fix=f"choose one of: {', '.join(LAYOUTS)}, long, flow, flow-computed"
        )
    return LAYOUTS[name]
