"""Whether two versions give the same numbers: the runs that each trained on one cache, compared bit by bit.

git worktree add ../before COMMIT
mer synth raw --subjects 2 --clips 4 && mer preprocess raw --out cache --motion tvl1 --frames 8
for m in $(ls models | grep -v README); do
mer train --dataset cache --model $m --set epochs=2 --device cpu --out after/$m
(cd ../before && python -c 'from mer_pipeline.cli import main; main()' train ... --out before/$m)
done
python -m studies.same_numbers before after --report studies/reports/same-numbers.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from mer_pipeline.device import hardware

# What two runs of one version differ in too.
_OF_THE_CALL = ("seconds", "run", "checksum")


def compare_runs(before: Path, after: Path) -> dict[str, bool]:
    """What is equal in two run folders: predictions byte by byte, weights tensor by tensor, every entry of the metrics.

    Args:
        before: The run of the earlier version.
        after: The run of the later one, which may have more entries.
    """
    first, second = (_metrics(run / "metrics.json") for run in (before, after))
    files = sorted(path.relative_to(before) for path in before.rglob("weights.safetensors"))
    return {
        "predictions": (before / "predictions.csv").read_bytes() == (after / "predictions.csv").read_bytes(),
        "weights": bool(files) and all(_same_weights(before / file, after / file) for file in files),
        "metrics": all(second.get(name) == value for name, value in first.items()),
    }


def _metrics(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in values.items() if name not in _OF_THE_CALL}


def _same_weights(before: Path, after: Path) -> bool:
    first, second = (safetensors.torch.load_file(path) for path in (before, after))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def table(before: Path, after: Path) -> tuple[list[str], bool]:
    """A row a run of `before`, and whether all is equal; a run that `after` lacks is not."""
    rows, same = [], True
    for run in sorted(path.parent for path in before.glob("*/metrics.json")):
        found = compare_runs(run, after / run.name) if (after / run.name / "metrics.json").is_file() else {}
        words = [{True: "equal", False: "**differ**", None: "absent"}[found.get(part)] for part in _PARTS]
        uf1 = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["uf1"]
        rows.append(f"| {run.name} | {uf1:.6f} | {' | '.join(words)} |")
        same &= bool(found) and all(found.values())
    return rows, same and bool(rows)


_PARTS = ("predictions", "weights", "metrics")


def main() -> None:
    """Print the table, and write it where a report is asked for."""
    parser = argparse.ArgumentParser(description="Compare the runs of two versions bit by bit.")
    parser.add_argument("before", type=Path, help="A folder of runs of the earlier version.")
    parser.add_argument("after", type=Path, help="The runs of the same names of the later version.")
    parser.add_argument("--commits", default="", help="Which versions these are, for the report.")
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    rows, same = table(arguments.before, arguments.after)
    text = "\n".join(
        [
            f"# The same numbers, bit by bit: {'yes' if same else 'NO'}",
            "",
            f"{datetime.date.today()}, `python -m studies.same_numbers`, {arguments.commits or 'commits not given'}; "
            f"LOSO, two epochs, one thread (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}), "
            f"{json.dumps(hardware(torch.device('cpu')))}.",
            "",
            f"| run | UF1 | {' | '.join(_PARTS)} |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Predictions are compared byte by byte, weights of every fold and the final network tensor by tensor, and",
            "every entry of `metrics.json` but the seconds and the name of the folder.",
        ]
    )
    print(text)
    if arguments.report is not None:
        arguments.report.write_text(text + "\n", encoding="utf-8")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
