"""Two or more runs on the same clips: what may be concluded from their difference."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.evaluation.statistics import mcnemar, paired_bootstrap, paired_t, verdict
from mer_pipeline.evaluation.summary import OPTIMISTIC
from mer_pipeline.runs.card import read_json

_LEVEL = 0.05


@dataclass(frozen=True)
class Judged:
    """A finished run, as it is judged.

    Attributes:
        name: The run folder's path.
        model, protocol, selection, aus: What it says of itself.
        classes: Names.
        truth: clip_id -> class.
        guesses: Seed -> clip_id -> class.
    """

    name: str
    model: str
    protocol: str
    selection: str
    aus: str
    classes: tuple[str, ...]
    truth: dict[str, str]
    guesses: dict[int, dict[str, str]]


def compare(runs: Sequence[str | Path], names: Sequence[str] = ()) -> dict[str, Any]:
    """Compare the first run with each of the others.

    Args:
        runs: Finished run folders, two or more.
        names: What to call them; their paths where not given.

    Returns:
        JSON values: `runs` with their scores, and `comparisons`, each with the difference of the scores (first less
        other) and its interval by a paired bootstrap over subjects, McNemar's test over clips, a paired t-test over
        seeds where both runs have the same two or more, and `conclusion` in words.

    Raises:
        MerError: Fewer than two runs, one that is not finished, or runs on different clips.
    """
    if len(runs) < 2:
        raise MerError("nothing to compare with", fix="give two run folders or more")
    judged = [replace(read_run(run), name=name) for run, name in zip(runs, names or map(str, runs), strict=True)]
    for other in judged[1:]:
        _same_clips(judged[0], other)
    return {
        "runs": [_scores_of_run(run) for run in judged],
        "comparisons": [_compare(judged[0], other) for other in judged[1:]],
    }


def read_run(run: str | Path) -> Judged:
    """Read a finished run, with one seed or several.

    Raises:
        MerError: It is not finished, or damaged.
    """
    run = Path(run)
    if not (run / "metrics.json").is_file():
        known = (run / "run.json").is_file()
        raise MerError(
            "this run is not finished" if known else "not a run folder",
            where=run,
            fix="finish it with the same mer train command" if known else "give the folder that mer train wrote",
        )
    metrics = read_json(run / "metrics.json")
    folders = (
        {seed: run / f"seed-{seed}" for seed in metrics["seeds"]} if "seeds" in metrics else {metrics["seed"]: run}
    )
    truth: dict[str, str] = {}
    guesses: dict[int, dict[str, str]] = {}
    for seed, folder in folders.items():
        guesses[seed] = {}
        for row in _rows(folder / "predictions.csv"):
            if (row["selection"], row["aus"]) == (metrics["selection"], metrics["aus"]):
                truth[row["clip_id"]] = row["truth"]
                guesses[seed][row["clip_id"]] = row["predicted"]
    return Judged(
        name=str(run),
        model=metrics["model"],
        protocol=metrics["protocol"],
        selection=metrics["selection"],
        aus=metrics["aus"],
        classes=tuple(metrics["classes"]),
        truth=truth,
        guesses=guesses,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        raise MerError("no such file", where=path, fix="train again") from None


def _same_clips(first: Judged, other: Judged) -> None:
    if first.classes != other.classes:
        raise MerError(
            f"other classes ({', '.join(other.classes)}) than {first.name} ({', '.join(first.classes)})",
            where=other.name,
            fix="compare runs with one label protocol",
        )
    if differing := sorted(set(first.truth) ^ set(other.truth)):
        raise MerError(
            f"{len(differing)} clips are only in one of this run and {first.name}, such as {differing[0]}",
            where=other.name,
            fix="compare runs on the same clips",
        )
    relabelled = sorted(clip for clip, truth in first.truth.items() if other.truth[clip] != truth)
    if relabelled:
        raise MerError(
            f"{len(relabelled)} clips have another label than in {first.name}, such as {relabelled[0]}",
            where=other.name,
            fix="compare runs on the same labels",
        )


def _scores_of_run(run: Judged) -> dict[str, Any]:
    clips = sorted(run.truth)
    found = [
        scores([run.truth[c] for c in clips], [guess[c] for c in clips], run.classes) for guess in run.guesses.values()
    ]
    mean = {name: sum(one[name] for one in found) / len(found) for name in ("accuracy", "uf1", "uar")}
    facts = {"run": run.name, "model": run.model, "protocol": run.protocol, "selection": run.selection, "aus": run.aus}
    note = {"note": OPTIMISTIC} if run.selection == "oracle" else {}
    return {**facts, **note, "clips": len(clips), "seeds": sorted(run.guesses), **mean}


def _compare(first: Judged, other: Judged) -> dict[str, Any]:
    clips = sorted(first.truth)
    truth = [first.truth[clip] for clip in clips]
    mine, theirs = ([[guess[clip] for clip in clips] for guess in run.guesses.values()] for run in (first, other))
    subjects = [clip.rpartition("/")[0] for clip in clips]
    differences = paired_bootstrap(truth, mine, theirs, subjects, first.classes)
    same_seeds = sorted(set(first.guesses) & set(other.guesses))
    over_seeds = None
    if len(same_seeds) > 1:
        uf1 = [
            [scores(truth, [run.guesses[s][c] for c in clips], first.classes)["uf1"] for s in same_seeds]
            for run in (first, other)
        ]
        over_seeds = paired_t(*uf1)
    # One training each: with several seeds, clips would count several times.
    over_clips = {
        "seeds": [next(iter(run.guesses)) for run in (first, other)],
        **mcnemar(truth, mine[0], theirs[0]),
    }
    return {
        "first": first.name,
        "other": other.name,
        "difference": {name: difference.as_json() for name, difference in differences.items()},
        "mcnemar": over_clips,
        "paired_t": over_seeds,
        "conclusion": _conclusion(
            first, other, verdict(differences["uf1"], first.name, other.name), over_clips, over_seeds
        ),
    }


def _conclusion(
    first: Judged, other: Judged, said: str, over_clips: dict[str, Any], over_seeds: dict[str, Any] | None
) -> str:
    parts = [said]
    unlike = "differ" if over_clips["p"] < _LEVEL else "are not shown to differ"
    parts.append(
        f"the right clips {unlike} (McNemar p = {over_clips['p']:.3g}: {over_clips['only_first']} only the first has "
        f"right, {over_clips['only_second']} only the other)"
    )
    if over_seeds is None:
        parts.append("nothing is said of other seeds: train both with --seeds 5 or so")
    else:
        unlike = "would differ" if over_seeds["p"] < _LEVEL else "are not shown to differ"
        test = f"paired t-test over {over_seeds['pairs']} seeds, p = {over_seeds['p']:.3g}"
        parts.append(f"trainings with other seeds {unlike} ({test})")
    if first.selection != other.selection:
        parts.append(f"mind that the epochs were chosen differently ({first.selection}, {other.selection})")
    if "oracle" in (first.selection, other.selection):
        parts.append(OPTIMISTIC)
    if first.aus != other.aus:
        parts.append(f"mind that the Action Units come from different sources ({first.aus}, {other.aus})")
    return "; ".join(parts)
