"""A table of `mer ablate` as text, CSV and LaTeX: one header and one list of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mer_pipeline.cache import csv_bytes
from mer_pipeline.reading import built, shipped_toml
from mer_pipeline.runs.ablation import AblationRow, Angles
from mer_pipeline.runs.results import MEASURES, OPTIMISTIC

_MEASURED = {"image_error": "image MSE", "image_ssim": "image SSIM", "kendall_tau": "Kendall tau"}
_SOURCES = ("annotated", "predicted", "none")


@dataclass(frozen=True)
class PublishedResult:
    """A published result; see `data/published_results.toml`."""

    row: str
    sets: tuple[str, ...]
    labels: str
    of: str
    judged: str
    uf1: float | None = None
    uar: float | None = None
    accuracy: float | None = None

    @property
    def words(self) -> str:
        """Its scores, and how they were judged."""
        found = [
            f"{label} {value:.3f}" for name, label in MEASURES.items() if (value := getattr(self, name)) is not None
        ]
        return f"{', '.join(found)} ({self.of}; {self.judged})"


def published(names: Sequence[str], sets: Sequence[str], labels: str) -> str:
    """What others published of a row or model on these sets and labels, in words; empty where nothing is known."""
    return "; ".join(one.words for one in _published_on(sets, labels) if one.row in names)


def published_of_others(names: Sequence[str], sets: Sequence[str], labels: str) -> list[str]:
    """What was published on these sets and labels of systems that are none of these rows or models, in words."""
    found = [one.words for one in _published_on(sets, labels) if one.row not in names]
    return [f"Published of others on these sets and classes: {'; '.join(found)}."] if found else []


def _published_on(sets: Sequence[str], labels: str) -> list[PublishedResult]:
    known = [built(PublishedResult, each) for each in shipped_toml("published_results.toml")["result"]]
    return [one for one in known if set(one.sets) == set(sets) and one.labels == labels]


def cells_of(rows: Sequence[AblationRow]) -> tuple[list[str], list[list[str]]]:
    """Header and cells; a column that would be empty is left out.

    Honest scores and their deviation over seeds, what the others differ by, the angles, the sources of Action Units,
    the cost, and under their names the optimistic score and the published ones.
    """
    columns: dict[str, list[str]] = {"row": [row.label for row in rows]}
    for name, label in MEASURES.items():
        spread = [f" ± {row.deviation[name]:.3f}" if row.deviation else "" for row in rows]
        columns[label] = [f"{row.honest[name]:.3f}{more}" for row, more in zip(rows, spread, strict=True)]
    columns["less the first"] = [f"{row.difference.value:+.3f}" if row.difference else "" for row in rows]
    columns["p"] = [_p(row.difference.p_holm if row.difference else None) for row in rows]
    columns["p over seeds"] = [_p(row.p_seeds_holm) for row in rows]
    columns["theta, deg"] = [_theta(row.angles) for row in rows]
    columns["p against 90"] = [_p(row.angles.p_vertical if row.angles else None) for row in rows]
    for source in _SOURCES:
        columns[f"UF1, AUs {source}"] = [_by_source(row, source) for row in rows]
    for name in _MEASURED:
        columns[_MEASURED[name]] = [_measured(row, name) for row in rows]
    columns["parameters"] = ["" if row.parameters is None else f"{row.parameters:,}" for row in rows]
    columns["MACs"] = ["" if row.multiply_accumulates is None else f"{row.multiply_accumulates:,}" for row in rows]
    columns[f"UF1 ({OPTIMISTIC})"] = [f"{row.run.metrics.optimistic[0].uf1:.3f}" if row.run else "" for row in rows]
    columns["published"] = [row.published for row in rows]
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    return list(shown), [list(line) for line in zip(*shown.values(), strict=True)]


def as_text(rows: Sequence[AblationRow]) -> str:
    """The table in columns."""
    header, cells = cells_of(rows)
    widths = [max(len(line[at]) for line in [header, *cells]) for at in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [header, *cells]
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_csv(rows: Sequence[AblationRow]) -> str:
    """The table as CSV."""
    return csv_bytes(*cells_of(rows)).decode()


def as_latex(rows: Sequence[AblationRow]) -> str:
    """The table as LaTeX (booktabs)."""
    header, cells = cells_of(rows)
    escaped = [
        [cell.replace("±", r"$\pm$").replace("_", r"\_").replace("%", r"\%") for cell in line]
        for line in [header, *cells]
    ]
    body = [" & ".join(line) + r" \\" for line in escaped]
    rules = [rf"\begin{{tabular}}{{l{'c' * (len(header) - 1)}}}", r"\toprule", body[0], r"\midrule", *body[1:]]
    return "\n".join([*rules, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _by_source(row: AblationRow, source: str) -> str:
    by_aus = row.run.metrics.by_aus if row.run else {}
    return f"{by_aus[source].uf1:.3f}" if source in by_aus else ""


def _measured(row: AblationRow, name: str) -> str:
    measured = row.run.metrics.measured if row.run else {}
    return f"{measured[name]:.4f}" if name in measured else ""


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _theta(angles: Angles | None) -> str:
    return "" if angles is None else f"{angles.mean_deg:.1f} ± {angles.sd_deg:.1f}"
