"""The report of a run, an ablation or an external test: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mer_pipeline.cache import write_atomically
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.inference.external import ExternalTest
from mer_pipeline.inputs.cached import CachedClips
from mer_pipeline.reports import sections
from mer_pipeline.reports.examples import Example, description, explained, explanations, wrongly_answered
from mer_pipeline.runs.ablation import FILE, read_ablation
from mer_pipeline.runs.run import Run
from mer_pipeline.version import __version__


@os_errors()
def write_report(
    folder: str | os.PathLike[str],
    out: str | Path | None = None,
    *,
    with_faces: bool = False,
    cache: str | Path | None = None,
) -> Path:
    """Write the page, with mode 0600.

    Args:
        folder: A finished run, or what `mer ablate` wrote.
        out: The file; None for `report.html` in the folder.
        with_faces: Whether pictures of faces may be in it; without, no pixel of a crop is.
        cache: What `mer preprocess` wrote, for attention maps and faces; None for the cache that the run names.

    Returns:
        Where it was written.

    Raises:
        MerError: The run is not finished or damaged, or the cache that was given does not hold its clips.
        WriteError: The file cannot be written.
    """
    folder, cache = Path(folder), None if cache is None else Path(cache)
    page = html_page(folder / "report.html" if out is None else Path(out))
    if (folder / FILE).is_file():
        if with_faces or cache is not None:
            raise MerError("an ablation's page shows no clips", where=folder, fix="report the run of one of its rows")
        name, context = "ablation.html", sections.of_ablation(read_ablation(folder))
    else:
        run = Run(folder).check()
        name, context = "run.html", {**sections.of_run(run), **_clips(run, with_faces, cache)}
    return write_page(page, name, {**context, "with_faces": with_faces, "folder": folder})


@os_errors()
def write_evaluation(found: ExternalTest, page: str | Path) -> Path:
    """Write what a model scored on clips that it was not trained on as a page, with mode 0600.

    Raises:
        MerError: The name does not end in .html.
        WriteError: The file cannot be written.
    """
    return write_page(html_page(Path(page)), "evaluation.html", {**sections.of_evaluation(found), "with_faces": False})


def html_page(page: Path) -> Path:
    """The name of a page.

    Raises:
        MerError: It does not end in .html.
    """
    if page.suffix.lower() not in (".html", ".htm"):
        raise MerError("a report is an HTML file", where=page, fix="give a name that ends in .html")
    return page


def write_page(page: Path, template: str, context: Mapping[str, object]) -> Path:
    """Write a page from its template, with mode 0600."""
    environment = Environment(
        loader=PackageLoader("mer_pipeline.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(**context, version=__version__)
    write_atomically(page, text.encode())
    return page


def _clips(run: Run, with_faces: bool, cache: Path | None) -> dict[str, Any]:
    """The parts of the page that show single clips."""
    clips, why_not = _open(run, cache)
    if clips is None and with_faces:
        raise MerError(f"there are no faces to show: {why_not}", where=run.folder, fix="add --cache CACHE")
    shown: list[Example] = []
    if not explained(run):
        why_not = ""
    elif clips is not None:
        try:
            shown = explanations(run, clips, with_faces)
        except MerError as error:
            if cache is not None:
                raise
            why_not = str(error)
    return {
        "explained": shown,
        "explained_words": description(shown, with_faces),
        "not_explained": why_not,
        "wrong": wrongly_answered(run, clips if with_faces else None),
    }


def _open(run: Run, cache: Path | None) -> tuple[CachedClips | None, str]:
    """The cache that is given, or that the run names if it is still there; else why there is none."""
    if cache is not None:
        return CachedClips(cache), ""
    named = run.facts.cache
    if not named or not Path(named).is_dir():
        return None, "the cache that the run was trained on is not here"
    try:
        return CachedClips(Path(named)), ""
    except MerError as error:
        return None, str(error)
