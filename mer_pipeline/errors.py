"""The one exception that a user may see."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

_MOST_KNOWN = 40


class MerError(Exception):
    """Something in the user's input or machine that the user can mend.

    The command line prints it as one line and exits with code 1. Anything else that reaches the user is a bug.

    Args:
        what: What is wrong.
        where: The file, sheet, row or clip that it is wrong in.
        fix: What to do next.

    >>> str(MerError("no frames", where="sub01/EP02_01f", fix="check the download"))
    'sub01/EP02_01f: no frames; check the download'
    """

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        text = what if where is None else f"{where}: {what}"
        super().__init__(printable(" ".join((text if fix is None else f"{text}; {fix}").split())))

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by the default reduction, and worker processes send errors back.
        return _rebuild, (type(self), self.what, self.where, self.fix)


class WriteError(MerError):
    """The disk is full or a folder may not be written: no other clip or fold would fare better, so work stops."""


@contextmanager
def os_errors() -> Iterator[None]:
    """Report what the system refuses in one line: every function of a path may, also one that asks whether it is there.

    Raises:
        MerError: In the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        what, fix = f"cannot be used ({error.strerror or error})", "check path, permissions and free space"
        if error.errno == errno.ENAMETOOLONG:
            what, fix = "longer than a path may be", "check the path"
        raise MerError(what, where=error.filename, fix=fix) from None


def printable(text: str) -> str:
    r"""A text of any origin as one line for terminals and pictures: what they would obey or cannot show is spelt out.

    >>> printable("a\x1b[31mb\nc 微笑")
    'a\\x1b[31mb\\nc 微笑'
    """
    return "".join(
        each if each.isprintable() or each == "\u3000" else each.encode("unicode_escape", "surrogatepass").decode()
        for each in text
    )


def suggest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """What to do about an unknown name: the nearest of the known ones, and all of them in order.

    Args:
        word: The unknown name.
        known: The known names.
        cutoff: How like the nearest must be, 0 (the nearest in any case) to 1.

    >>> suggest("megc4", ["smic-3", "megc3"]), suggest("x", ["b", "a"])
    ('did you mean megc3? Known: megc3, smic-3', 'Known: a, b')
    """
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=cutoff)
    more = f" and {len(names) - _MOST_KNOWN} more" if len(names) > _MOST_KNOWN else ""
    return (f"did you mean {near[0]}? " if near else "") + f"Known: {', '.join(names[:_MOST_KNOWN])}{more}"


def _rebuild(kind: type[MerError], what: str, where: object, fix: str | None) -> MerError:
    return kind(what, where=where, fix=fix)
