"""Cells of annotation sheets that say that there is nothing; one table for frames, emotions and Action Units."""

from __future__ import annotations

_BLANK = frozenset({"", "/", "-", "--", "-1", "nan", "none", "null", "n/a", "na", "nil"})


def is_blank(text: str) -> bool:
    """Whether a cell says that there is nothing, in any case and with blanks around it.

    >>> is_blank(" N/A "), is_blank("-1"), is_blank("0")
    (True, True, False)
    """
    return text.strip().casefold() in _BLANK
