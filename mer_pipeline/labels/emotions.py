"""Emotion names: every spelling that sheets and folders use, and the one name that stands for it."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from mer_pipeline.cells import is_blank
from mer_pipeline.errors import MerError, suggest


def canonical_emotion(text: str | float | None, *, allow_unknown: bool = False) -> str | None:
    """The one name of an emotion, whatever its spelling; None for a blank cell.

    Args:
        text: A label as a sheet or folder writes it.
        allow_unknown: Return an unknown label in lower case; for a user's own data with labels of its own.

    Raises:
        MerError: If the label is unknown.

    >>> canonical_emotion(" Happyiness "), canonical_emotion("Other"), canonical_emotion("/")
    ('happiness', 'others', None)
    >>> canonical_emotion("Boredom", allow_unknown=True)
    'boredom'
    >>> canonical_emotion("disgusting")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    mer_pipeline.errors.MerError: unknown emotion 'disgusting'; did you mean disgust? Known: anger, contempt, ...
    """
    label = " ".join(str("" if text is None else text).casefold().split())
    if is_blank(label):
        return None
    if label in _variants():
        return _variants()[label]
    if allow_unknown:
        return label
    raise MerError(f"unknown emotion {label!r}", fix=suggest(label, known_emotions()))


def known_emotions() -> tuple[str, ...]:
    """The canonical emotions, sorted.

    >>> "repression" in known_emotions()
    True
    """
    return tuple(sorted(set(_variants().values())))


@cache
def _variants() -> dict[str, str]:
    text = (files("mer_pipeline") / "data" / "emotions.csv").read_text(encoding="utf-8")
    return {row["variant"]: row["canonical"] for row in csv.DictReader(text.splitlines())}
