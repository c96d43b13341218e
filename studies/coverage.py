"""How often intervals hold and verdicts are wrong, on made-up subjects whose truth is known.

    python -m studies.coverage --report studies/reports/coverage-DATE.md [--draws 2000] [--tables 300]

Subjects differ in how many clips they give, in which classes they show and in how readable they are; a system differs
from another on each subject, and a training from another as a whole. Two systems are equally good on average, so every
"has the higher UF1" is false. What mer uses (the jackknife with Student's t, the seed term, swaps, Holm) stands beside
the percentile bootstrap that it used before, and beside McNemar's test over clips.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mer_pipeline.evaluation.metrics import confusions_by_group, scores_of
from mer_pipeline.evaluation.statistics import differences, holm, intervals, mcnemar

SUBJECTS = (6, 10, 16, 26, 40, 68)
CLASSES = ("negative", "positive", "surprise")
ROWS, SEEDS = 10, 3
# Standard deviations, as logits: of subjects' readability, of systems on one subject, of trainings of one system.
READABLE_SD, SYSTEM_SD, TRAINING_SD = 1.0, 0.5, 0.15
FEW_TRAININGS_SD = 0.5  # as where a fold is a dataset, and a training is one draw for hundreds of clips
_RESAMPLES = 2000

Guesses = list[list[str]]
Population = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


def draw_subjects(random: np.random.Generator, subjects: int) -> Population:
    """Subject and class of every clip, and how readable each subject is; every class occurs, and every subject."""
    while True:
        clips = 1 + random.negative_binomial(1.2, 0.12, subjects)  # ten a subject, from one to forty
        shares = random.dirichlet((2.5, 1.5, 1.0), subjects)
        group = np.repeat(np.arange(subjects), clips)
        truth = (random.random(len(group))[:, None] > shares.cumsum(1)[group]).sum(1).clip(max=2)
        if len(set(truth.tolist())) == len(CLASSES):
            return group, truth, 0.4 + random.normal(0, READABLE_SD, subjects)


def draw_system(
    random: np.random.Generator, population: Population, seeds: int, training_sd: float
) -> list[npt.NDArray[np.int64]]:
    """What one system says of every clip, once for each of its trainings."""
    group, truth, readable = population
    own = readable + random.normal(0, SYSTEM_SD, len(readable))
    found = []
    for _ in range(seeds):
        skill = 1 / (1 + np.exp(-(own + (random.normal(0, training_sd) if training_sd else 0.0))))
        wrong = (truth + random.integers(1, len(CLASSES), len(truth))) % len(CLASSES)
        found.append(np.where(random.random(len(truth)) < skill[group], truth, wrong))
    return found


def named(classes: npt.NDArray[np.int64]) -> list[str]:
    """Class numbers as names."""
    return [CLASSES[number] for number in classes]


def null_pair(
    random: np.random.Generator, subjects: int, seeds: int = 1, training_sd: float = 0.0
) -> tuple[list[str], Guesses, Guesses, list[str]]:
    """Truth, what each of two equally good systems says, and the subject of every clip."""
    population = draw_subjects(random, subjects)
    first, second = (draw_system(random, population, seeds, training_sd) for _ in range(2))
    groups = [f"s{number:03d}" for number in population[0]]
    return named(population[1]), [named(one) for one in first], [named(one) for one in second], groups


def percentile(tables: Sequence[npt.NDArray[np.float64]], random: np.random.Generator) -> tuple[float, float]:
    """The former interval of UF1 (or of one less another's): subjects drawn with replacement, 2,000 times."""
    subjects = len(tables[0])
    counts = random.multinomial(subjects, [1 / subjects] * subjects, _RESAMPLES).astype(np.float64)
    drawn = [scores_of((counts @ t.reshape(subjects, -1)).reshape(-1, *t.shape[1:]))["uf1"] for t in tables]
    low, high = np.quantile(drawn[0] - (drawn[1] if len(drawn) > 1 else 0), [0.025, 0.975])
    return float(low), float(high)


def true_uf1(random: np.random.Generator) -> float:
    """UF1 on a population so large that it is known."""
    population = draw_subjects(random, 40_000)
    guess = draw_system(random, population, 1, 0.0)[0]
    table = np.bincount(population[1] * 3 + guess, minlength=9).reshape(1, 3, 3).astype(np.float64)
    return float(scores_of(table)["uf1"][0])


def study_pairs(subjects: int, draws: int, truth: float) -> dict[str, float]:
    """Coverage of the interval of one score, and false verdicts on one pair of equal systems, as shares."""
    random = np.random.default_rng(subjects)
    names = ("covered, percentile", "covered, now", "percentile", "McNemar", "jackknife-t", "swaps", "now")
    counts = dict.fromkeys(names, 0)
    for _ in range(draws):
        true, first, second, groups = null_pair(random, subjects)
        tables = [confusions_by_group(true, guess[0], groups, CLASSES) for guess in (first, second)]
        low, high = percentile(tables[:1], random)
        counts["covered, percentile"] += low <= truth <= high
        low, high = intervals(true, first, groups, CLASSES)["uf1"]
        counts["covered, now"] += low <= truth <= high
        low, high = percentile(tables, random)
        counts["percentile"] += low > 0 or high < 0
        counts["McNemar"] += mcnemar(true, first[0], second[0]).p < 0.05
        found = differences(true, first, second, groups, CLASSES)["uf1"]
        counts["jackknife-t"] += found.low > 0 or found.high < 0
        counts["swaps"] += found.p is not None and found.p < 0.05
        counts["now"] += found.clear
    return {name: count / draws for name, count in counts.items()}


def study_tables(subjects: int, draws: int, training_sd: float) -> dict[str, float]:
    """Shares of tables of ten equal rows, of three trainings each, with any false verdict."""
    random = np.random.default_rng(subjects)
    counts = {"percentile": 0, "now": 0}
    for _ in range(draws):
        population = draw_subjects(random, subjects)
        true, groups = named(population[1]), [f"s{number:03d}" for number in population[0]]
        rows = [[named(one) for one in draw_system(random, population, SEEDS, training_sd)] for _ in range(ROWS)]
        means = [np.mean([confusions_by_group(true, one, groups, CLASSES) for one in row], axis=0) for row in rows]
        spans = [percentile([row, means[0]], random) for row in means[1:]]
        counts["percentile"] += any(low > 0 or high < 0 for low, high in spans)
        found = {str(n): differences(true, row, rows[0], groups, CLASSES)["uf1"] for n, row in enumerate(rows[1:])}
        counts["now"] += any(one.clear for one in holm(found).values())
    return {name: count / draws for name, count in counts.items()}


def main() -> None:
    """Run the study and write its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--tables", type=int, default=300)
    arguments = parser.parse_args()
    truth = true_uf1(np.random.default_rng(0))
    pairs = {subjects: study_pairs(subjects, arguments.draws, truth) for subjects in SUBJECTS}
    tables = {
        subjects: [study_tables(subjects, arguments.tables, sd) for sd in (TRAINING_SD, FEW_TRAININGS_SD)]
        for subjects in SUBJECTS
    }
    arguments.report.write_text(_report(arguments.draws, arguments.tables, truth, pairs, tables))


def _report(
    draws: int,
    table_draws: int,
    truth: float,
    pairs: dict[int, dict[str, float]],
    tables: dict[int, list[dict[str, float]]],
) -> str:
    columns = list(next(iter(pairs.values())))
    lines = [
        "# How often intervals hold and verdicts are wrong",
        "",
        f"{datetime.date.today()}, `python -m studies.coverage --draws {draws} --tables {table_draws}`.",
        f"Made-up subjects of three classes, about ten clips each, true UF1 {truth:.3f}; how they are drawn stands in",
        "`studies/coverage.py`. An interval should hold in 0.95 of the draws, and a verdict be false in 0.05 at most.",
        f"A share of 0.05 has a standard error of {_error(draws):.3f} in the first table and of",
        f"{_error(table_draws):.3f} in the second.",
        "",
        "## One score, and two equal systems",
        "",
        "The first two columns are the coverage of the interval of one score; the others the share of false verdicts.",
        "",
        "| subjects | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
        *(f"| {k} | " + " | ".join(f"{row[name]:.3f}" for name in columns) + " |" for k, row in pairs.items()),
        "",
        f"## A table of {ROWS} equal rows, {SEEDS} trainings each",
        "",
        "Share of tables with any false verdict, where trainings differ little, and where they differ much, as with",
        "whole datasets held out.",
        "",
        "| subjects | little: percentile | little: now | much: percentile | much: now |",
        "|---|---|---|---|---|",
        *(
            f"| {k} | " + " | ".join(f"{one[name]:.3f}" for one in found for name in ("percentile", "now")) + " |"
            for k, found in tables.items()
        ),
        "",
        'The percentile bootstrap is what mer used before. "Now": the jackknife over subjects with Student\'s t and',
        "the variance over trainings, and swaps of subjects, both of which must agree after Holm's correction; no",
        "verdict below 6 subjects.",
        "",
    ]
    return "\n".join(lines)


def _error(draws: int) -> float:
    return float(np.sqrt(0.05 * 0.95 / draws))


if __name__ == "__main__":
    main()
