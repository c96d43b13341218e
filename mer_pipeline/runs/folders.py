"""Where the parts of a run lie."""

from __future__ import annotations

import hashlib
from pathlib import Path


def fold_folders(run: Path, held_out: str) -> tuple[Path, ...]:
    """Where a fold may lie, the present way first: `mine/1-02` and `mine-1/02` are two subjects."""
    plain = run / "folds" / held_out.replace("/", "-")
    if not ("-" in held_out and "/" in held_out):
        return (plain,)
    digest = hashlib.blake2b(held_out.encode(), digest_size=4).hexdigest()
    return Path(f"{plain}-{digest}"), plain  # an older version gave them one folder
