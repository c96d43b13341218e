"""The table of datasets, and which of them a folder is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mer_pipeline.choices import TRUTH
from mer_pipeline.datasets import (
    casme,
    casme2,
    casme3,
    casme3_c,
    casme3_long,
    casme_sq,
    dfme,
    films,
    flow,
    fourdme,
    megc,
    mmew,
    own_clips,
    samm,
    samm_long,
    smic,
    smic_long,
)
from mer_pipeline.datasets.clip import Annotations
from mer_pipeline.datasets.corrections import Corrections, load_corrections
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.errors import MerError, os_errors

_PUBLISHED: tuple[Reader, ...] = (
    casme2.READER,
    samm.READER,
    mmew.READER,
    smic.READER,
    casme_sq.READER,
    casme3.READER,
    casme.READER,
    fourdme.READER,
    dfme.READER,
    casme3_long.READER,
    casme3_c.READER,
    samm_long.READER,
    smic_long.READER,
    megc.READER,
    flow.READER,
)
_TAKEN = frozenset(reader.name for reader in _PUBLISHED)
_FILMS = replace(films.READER, taken=_TAKEN)
READERS = (*_PUBLISHED, _FILMS, own_clips.OwnReader(taken=_TAKEN))


@os_errors()
def read_dataset(raw: str | Path, dataset: str = "auto", corrections: bool | str | Path = True) -> Annotations:
    """Read the annotations of a raw dataset; no frame is decoded.

    Args:
        raw: The folder as it was published.
        dataset: A short name, or `auto` to recognise the set from its layout.
        corrections: Whether known mistakes of the sheet are corrected; or a table of one's own.

    Raises:
        MerError: The folder is absent, empty or unknown, or its sheet cannot be read.
    """
    raw = Path(raw)
    if not raw.is_dir():
        what = "a file, not a folder" if raw.exists() else "no such folder"
        what = "a symbolic link that leads nowhere or round in a circle" if raw.is_symlink() else what
        raise MerError(what, where=raw, fix="give the raw folder")
    try:
        empty = not any(raw.iterdir())
    except OSError as error:
        raise MerError(f"cannot be listed ({error.strerror})", where=raw, fix="check its permissions") from None
    if empty:
        raise MerError("the folder is empty", where=raw, fix="check the download")
    reader = _named(dataset) if dataset != "auto" else _recognised(raw)
    known = Corrections()
    if corrections is not False:
        known = load_corrections(reader.name, None if corrections is True else Path(corrections))
    return replace(reader.read(raw, known), synthetic=(raw / TRUTH).is_file())


def _named(dataset: str) -> Reader:
    for reader in READERS:
        if reader.name == dataset:
            return reader
    raise MerError(f"unknown dataset {dataset!r}", fix=f"known are {', '.join(r.name for r in READERS)}")


def _recognised(raw: Path) -> Reader:
    sheets = [reader for reader in READERS if reader.name != films.LAYOUT.name]
    signs = [(reader, sign) for reader in sheets if (sign := reader.recognise(raw))]
    if not signs and _FILMS.recognise(raw):  # a coder's file beside a sheet is none of the set's
        return _FILMS
    if len(signs) > 1:  # the sheet of one set may lie beside the frames of another, to be joined with its own
        signs = [(reader, sign) for reader, sign in signs if reader.layout.find_root(raw)] or signs
    if len(signs) == 1:
        return signs[0][0]
    if signs:
        both = " or ".join(f"{reader.name} by {sign}" for reader, sign in signs)
        raise MerError(f"may be {both}", where=raw, fix=f"say which with --dataset {signs[0][0].name}")
    # Own data is near to everything, since any folder may hold clips.
    missing, found, nearest = max(
        ((*reader.layout.missing(raw), reader) for reader in _PUBLISHED), key=lambda fit: fit[1]
    )
    if not found:
        fix = f"known are {', '.join(r.title for r in _PUBLISHED)}; for own data put a clips.csv beside the clips"
        raise MerError("not a known dataset, and near to none", where=raw, fix=fix)
    what = f"not a known dataset; nearest is {nearest.title}, whose layout is {nearest.layout.expected}"
    raise MerError(what, where=raw, fix=f"missing here: {' and '.join(missing)}")
