"""Two or more runs on the same clips: what may be concluded from their difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mer_pipeline.cache import csv_bytes, write_atomically
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.evaluation.statistics import McNemar, PairedT, differences, holm, mcnemar, paired_t, verdict
from mer_pipeline.evaluation.summary import subject_of
from mer_pipeline.reading import JsonObject
from mer_pipeline.runs.results import MEASURES, Difference, Scores
from mer_pipeline.runs.run import Run

COMPARED = "was judged by the test fold and is compared by its last epoch"
_INDEPENDENT = "takes clips as independent, which clips of one subject are not; no part of the conclusion"


@dataclass(frozen=True)
class Judged:
    """What is compared of a run.

    Attributes:
        name: What it is called.
        run: The run.
        truth: clip_id -> class.
        guesses: Seed -> clip_id -> class.
    """

    name: str
    run: Run
    truth: Mapping[str, str]
    guesses: Mapping[int, Mapping[str, str]]

    @classmethod
    def of(cls, run: Run, name: str) -> Judged:
        """Read its predictions."""
        seeds = [seed.number for seed in run.metrics.seeds] or [run.metrics.seed]
        each = {seed: one.predictions for seed, one in zip(seeds, run.trainings, strict=True)}
        truth = {p.clip_id: p.truth for predictions in each.values() for p in predictions}
        return cls(name, run, truth, {seed: {p.clip_id: p.predicted for p in found} for seed, found in each.items()})

    def scores(self) -> Scores:
        """Means over seeds."""
        clips, classes = sorted(self.truth), self.run.metrics.classes
        truth = [self.truth[clip] for clip in clips]
        found = [scores(truth, [guess[clip] for clip in clips], classes).overall for guess in self.guesses.values()]
        uf1, uar, accuracy = (sum(one[name] for one in found) / len(found) for name in ("uf1", "uar", "accuracy"))
        return Scores(uf1, uar, accuracy, clips=len(clips))

    def as_json(self) -> JsonObject:
        """What it says of itself, and its scores."""
        metrics, found = self.run.metrics, self.scores()
        return {
            "run": self.name,
            **{name: getattr(metrics, name) for name in ("model", "protocol", "selection", "aus")},
            **({"note": COMPARED} if metrics.selection == "oracle" else {}),
            "clips": found.clips,
            "seeds": sorted(self.guesses),
            **found.brief,
            "au_macro_f1": metrics.au_macro_f1,
        }


@dataclass(frozen=True)
class Comparison:
    """The first run beside another.

    Attributes:
        first, other: Names.
        difference: Measure -> score of the first less that of the other.
        over_clips: McNemar's test, of one training each.
        seeds: The seeds of those trainings.
        over_seeds: A paired t-test of UF1 over the seeds of both; None with fewer than two.
        conclusion: In words.
    """

    first: str
    other: str
    difference: Mapping[str, Difference]
    over_clips: McNemar
    seeds: tuple[int, int]
    over_seeds: PairedT | None
    conclusion: str

    def as_json(self) -> JsonObject:
        """JSON values."""
        return {
            "first": self.first,
            "other": self.other,
            "difference": {name: one.as_json() for name, one in self.difference.items()},
            "mcnemar": {"seeds": list(self.seeds), **asdict(self.over_clips), "note": _INDEPENDENT},
            "paired_t": None if self.over_seeds is None else asdict(self.over_seeds),
            "conclusion": self.conclusion,
        }


@dataclass(frozen=True)
class Comparisons:
    """Some runs, and the first of them beside each of the others."""

    runs: tuple[Judged, ...]
    comparisons: tuple[Comparison, ...]

    def write_table(self, path: Path) -> None:
        """Write a row a run, seed and clip, as a mixed model takes them: run, seed, subject, clip_id, truth, predicted.

        Raises:
            WriteError: The file cannot be written.
        """
        table = list[tuple[object, ...]]()
        for one in self.runs:
            for seed, guesses in one.guesses.items():
                for clip, guess in sorted(guesses.items()):
                    subject, truth = subject_of(clip, one.run.facts.merged), one.truth[clip]
                    table.append((one.name, seed, subject, clip, truth, guess, int(guess == truth)))
        header = ("run", "seed", "subject", "clip_id", "truth", "predicted", "right")
        write_atomically(path, csv_bytes(header, table))

    def as_json(self) -> JsonObject:
        """What `mer compare --json` prints."""
        return {
            "runs": [run.as_json() for run in self.runs],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }


@os_errors()
def compare(runs: Sequence[Run | str | Path], names: Sequence[str] = (), *, others_first: bool = False) -> Comparisons:
    """Compare the first run with each of the others.

    Args:
        runs: Finished runs or their folders, two or more.
        names: What to call them; their folders where not given.
        others_first: Whether a difference is the other run less the first, as in a table below its first row.

    Returns:
        The runs with their scores of the epoch that no test clip chose, and comparisons, each with the difference of
        the scores, its interval over subjects and seeds, its p-values corrected for the number of comparisons, and a
        conclusion in words. McNemar's test over clips and a t-test over seeds stand beside.

    Raises:
        MerError: Fewer than two runs, one that is damaged, or runs on different clips.
    """
    if len(runs) < 2:
        raise MerError("nothing to compare with", fix="give two run folders or more")
    opened = [run if isinstance(run, Run) else Run(Path(run)) for run in runs]
    called = names or [str(run.folder) for run in opened]
    judged = tuple(Judged.of(run, name) for run, name in zip(opened, called, strict=True))
    for other in judged[1:]:
        _same_clips(judged[0], other)
    pairs = [(other, judged[0]) if others_first else (judged[0], other) for other in judged[1:]]
    found = [_compare(*pair) for pair in pairs]
    for measure in MEASURES:
        corrected = holm({str(at): one.difference[measure] for at, one in enumerate(found)})
        found = [
            replace(one, difference={**one.difference, measure: corrected[str(at)]}) for at, one in enumerate(found)
        ]
    said = [_conclusion(*pair, one) for pair, one in zip(pairs, found, strict=True)]
    return Comparisons(judged, tuple(replace(one, conclusion=text) for one, text in zip(found, said, strict=True)))


def _same_clips(first: Judged, other: Judged) -> None:
    mine, theirs = first.run.metrics.classes, other.run.metrics.classes
    if mine != theirs:
        raise MerError(
            f"other classes ({', '.join(theirs)}) than {first.name} ({', '.join(mine)})",
            where=other.name,
            fix="compare runs with one label set",
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


def _compare(first: Judged, other: Judged) -> Comparison:
    clips, classes = sorted(first.truth), first.run.metrics.classes
    truth = [first.truth[clip] for clip in clips]
    mine, theirs = (
        {seed: [guess[clip] for clip in clips] for seed, guess in run.guesses.items()} for run in (first, other)
    )
    merged = {**first.run.facts.merged, **other.run.facts.merged}
    subjects = [subject_of(clip, merged) for clip in clips]
    found = differences(truth, [*mine.values()], [*theirs.values()], subjects, classes)
    uf1 = [
        [scores(truth, guess[seed], classes).overall.uf1 for seed in sorted(set(mine) & set(theirs))]
        for guess in (mine, theirs)
    ]
    # One training each: with several seeds, clips would count several times.
    seeds = next(iter(mine)), next(iter(theirs))
    over_clips = mcnemar(truth, mine[seeds[0]], theirs[seeds[1]])
    return Comparison(first.name, other.name, found, over_clips, seeds, paired_t(*uf1), "")


def _conclusion(first: Judged, other: Judged, found: Comparison) -> str:
    parts = [verdict(found.difference["uf1"], first.name, other.name)]
    single = [one.name for one in (first, other) if len(one.guesses) < 2]
    if single:
        parts.append(f"nothing is said of other seeds of {' and '.join(single)}: train with --seeds 3 or more")
    mine, theirs = first.run.metrics, other.run.metrics
    parts += [f"{one.name} {COMPARED}" for one in (first, other) if one.run.metrics.selection == "oracle"]
    for what, values in (
        ("the protocols differ", (mine.protocol, theirs.protocol)),
        ("the epochs were chosen differently", (mine.honest_selection, theirs.honest_selection)),
        ("the Action Units come from different sources", (mine.aus, theirs.aus)),
    ):
        if len(set(values)) > 1:
            parts.append(f"mind that {what} ({', '.join(values)})")
    return "; ".join(parts)
