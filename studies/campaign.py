"""Whether anything that people, programs and disks do to `mer` ends in a traceback, a hang, a crash or a wrong result.

Cases are drawn from a seed, run in processes with limits of memory and time, and what comes of them is compared bit for
bit with an undisturbed result. A case is run again by its category and number:

    python -m studies.campaign --minutes 60 --report studies/reports/campaign.md
    python -m studies.campaign --seed 7 --only videos --cases 12-13
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import torch

from mer_pipeline.device import hardware
from studies.campaign_cases import Cases
from studies.campaign_disturbed import DisturbedCases
from studies.campaign_edge import EdgeCases
from studies.campaign_set import Undisturbed, prepare, stand_in_for_wheel
from studies.children import MOST_BYTES, MOST_S, Case, Tally, finished, run_cases, start

# How many cases each category aims at, how many a process runs, and the seconds that one may take: where it runs
# several processes after each other, each of these may take three times `MOST_S`, since other work may share the cores.
AIMS = {
    "videos": (2000, 50, MOST_S),
    "sheets": (2000, 100, MOST_S),
    "cards": (500, 25, MOST_S),
    "caches": (200, 10, MOST_S),
    "models": (150, 10, MOST_S),
    "killings": (60, 1, 10 * MOST_S),
    "together": (40, 1, 10 * MOST_S),
    "disks": (60, 1, 10 * MOST_S),
    "names": (100, 10, MOST_S),
    "server": (12, 1, 5 * MOST_S),
}
_ROUNDS = 20  # every category has its turn so often, so that a campaign that is cut off has some of each


def cases_of(made: Undisturbed) -> dict[str, Case]:
    """The categories by name."""
    rooms = (Cases(made), DisturbedCases(made), EdgeCases(made))
    return {name: next(getattr(each, name) for each in rooms if hasattr(each, name)) for name in AIMS}


def prepared(folder: Path, wheel: Path | None = None) -> Undisturbed:
    """Make the undisturbed set in a process of its own: one that has computed may not be forked safely."""

    def work() -> None:
        made = prepare(folder, wheel=wheel)
        (folder / "made.json").write_text(json.dumps([made.digests, sorted(sys.modules)]))

    code = finished(start(work), 600)
    if code:
        raise RuntimeError(f"the undisturbed set cannot be made (exit code {code})")
    digests, modules = json.loads((folder / "made.json").read_text())
    for name in modules:  # each child would import them anew, which takes longer than most cases
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if wheel is None:
        stand_in_for_wheel()
    return Undisturbed(folder, digests)


def _turns(only: list[str], cases: range | None) -> Iterator[tuple[str, range]]:
    if cases is not None:
        yield from ((name, cases) for name in only)
        return
    for turn in itertools.count():
        for name in only:
            share = max(1, AIMS[name][0] // _ROUNDS)
            yield name, range(turn * share, (turn + 1) * share)


def run(
    made: Undisturbed,
    seed: int,
    minutes: float,
    only: list[str],
    cases: range | None,
    tell: Callable[[list[Tally]], None],
) -> None:
    """Run categories in turn until the time is over; `tell` is given what there is after each turn."""
    tallies = {name: Tally(name) for name in only}
    known, until = cases_of(made), time.monotonic() + 60 * minutes
    for name, numbers in _turns(only, cases):
        if time.monotonic() > until:
            break
        before = len(tallies[name].faults)
        run_cases(known[name], seed, numbers, tallies[name], AIMS[name][1], AIMS[name][2])
        for number, what in tallies[name].faults[before:]:
            print(f"{name} {number}: {what}", flush=True)
        tell(list(tallies.values()))


def report(tallies: list[Tally], seed: int, seconds: float) -> str:
    """The dated report."""
    kills = sum(
        count * int(kind.split(" ")[2]) for each in tallies for kind, count in each.counts.items() if " kills" in kind
    )
    machine = json.dumps(hardware(torch.device("cpu")))
    cases, faults = (sum(counts) for counts in zip(*((each.cases, len(each.faults)) for each in tallies), strict=True))
    lines = [
        f"# A campaign of faults, {datetime.date.today().isoformat()}",
        "",
        f"`python -m studies.campaign --seed {seed}`, {seconds / 60:.1f} minutes, on {machine}.",
        f"Every case ran in a process with at most {MOST_BYTES >> 30} GiB of its own and {MOST_S:.0f} s. A fault is a",
        "traceback, a crash, a hang, a result that differs from the undisturbed one, or an error of several lines.",
        "",
        f"{cases:,} cases, {kills} kills, {faults} faults.",
        "",
        "| category | cases | outcomes | faults | slowest case, s | largest process, MB |",
        "|---|---|---|---|---|---|",
    ]
    for each in tallies:
        outcomes = ", ".join(f"{kind} {count}" for kind, count in sorted(each.counts.items()))
        lines.append(
            f"| {each.name} | {each.cases} | {outcomes} | {len(each.faults)} | {each.slowest_s:.1f} | {each.most_mb} |"
        )
    listed = [f"- {each.name} {number}: {what}" for each in tallies for number, what in each.faults]
    return "\n".join([*lines, "", "## Faults", "", *(listed or ["None."]), ""])


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(AIMS), default=list(AIMS))
    parser.add_argument("--cases", help="FIRST-LAST of each category")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--wheel", type=Path, help="that of mediapipe 0.10.21; else installed models stand in for it")
    chosen = parser.parse_args()
    first, _, last = (chosen.cases or "").partition("-")
    cases = range(int(first), int(last or first) + 1) if first else None
    print(f"seed {chosen.seed}", flush=True)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    started = time.monotonic()

    def tell(tallies: list[Tally]) -> None:
        text = report(tallies, chosen.seed, time.monotonic() - started)
        if chosen.report is not None:
            chosen.report.write_text(text)

    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        run(prepared(Path(folder), chosen.wheel), chosen.seed, chosen.minutes, chosen.only, cases, tell)


if __name__ == "__main__":
    main()
