"""What a run is made with: the versions and the commit of the program."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch

from mer_pipeline.version import __version__


def versions() -> dict[str, str]:
    """Of mer, torch and Python, and the commit where there is one."""
    found = {"mer": __version__, "torch": torch.__version__, "python": platform.python_version()}
    commit = _commit()
    return {**found, "commit": commit} if commit else found


def _commit() -> str | None:
    """The commit of a source checkout, with `+changes` where files differ from it; None where there is no checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run(["git", "-C", root, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:
        return None
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
