"""Check what `mer demo --json` found against what was planted: python scripts/check_demo.py DEMO.json.

Bounds, not digits: the last digits of a training differ between machines.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROWS = 8  # clips of the held-out subject
APEX_FRAMES = 2  # a spotted apex may lie so far from the planted one


def problems(demo: Mapping[str, Any]) -> list[str]:
    """What the demo should have found and did not, one line each.

    Args:
        demo: The document that `mer demo --json` prints.
    """
    found = [] if len(demo["rows"]) == ROWS else [f"the last table has {len(demo['rows'])} rows, not {ROWS}"]
    for row in demo["rows"]:
        if abs(row["predicted_apex"] - row["planted_apex"]) > APEX_FRAMES:
            found.append(f"{row['clip']}: apex {row['predicted_apex']}, planted {row['planted_apex']}")
    # The commonest class is what can be had without looking; one of as many classes is chance.
    chance = max(1 / len(demo["class_counts"]), demo["training"]["controls"]["majority"]["uf1"])
    if not demo["training"]["uf1"] > chance:
        found.append(f"UF1 {demo['training']['uf1']:.3f} is not above chance, {chance:.3f}")
    if not Path(demo["report"]).is_file():
        found.append(f"no report at {demo['report']}")
    return found


def main(path: str) -> int:
    """Print the problems; the exit code is 1 if there are any."""
    found = problems(json.loads(Path(path).read_text(encoding="utf-8")))
    for problem in found:
        print(f"error: the demo: {problem}", file=sys.stderr)
    if not found:
        print("the demo found what was planted")
    return min(1, len(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
