"""What a run is made from: the versions and the commit of the program, and a fingerprint of the clips."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from pathlib import Path

import torch

import mer_pipeline
from mer_pipeline.inputs.clip_set import ClipSet


def fingerprint(clips: ClipSet) -> str:
    """A hash of everything that training reads of the clips."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\n".join(clips.clip_ids).encode())
    for tensor in (clips.labels, clips.aus, clips.aus_known, clips.images):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Of mer, torch and Python, and the commit where there is one."""
    found = {"mer": mer_pipeline.__version__, "torch": torch.__version__, "python": platform.python_version()}
    commit = _commit()
    return {**found, "commit": commit} if commit else found


def _commit() -> str | None:
    """The commit of a source checkout, with `+changes` where files differ from it; None where there is no checkout."""
    root = Path(mer_pipeline.__file__).parents[1]
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
