"""What a file says is checked before it is used: bounded bytes, strict JSON, and data classes that check themselves.

Every file that is read back (cards, run folders, manifests, corrections, splits, recipes) goes through here.
"""

from __future__ import annotations

import csv
import errno
import functools
import hashlib
import itertools
import json
import math
import os
import reprlib
import stat
import sys
import types
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mer_pipeline.errors import MerError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

# What JSON holds. What a network or a recipe is given by name is less: no tables, and lists of numbers alone.
Option: TypeAlias = bool | int | float | str | Sequence[float] | None
if TYPE_CHECKING:
    Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
else:  # a class that checks itself takes it as it was parsed
    Json = Any
JsonObject: TypeAlias = dict[str, Json]

MOST_BYTES = 64 << 20  # of a file of text: the largest that `mer` writes has a few MiB
CHECKSUM = "checksum"
_MOST_UNITS = 8192  # of any width, depth or number of frames: more would fill the memory


@dataclass(frozen=True)
class Between:
    """The range of a number, or of the length of a text or a list; both ends are in.

    Where a text is one of a few, these are annotated as a frozenset.
    """

    low: float
    high: float


Count = Annotated[int, Between(0, 2**53)]
Share = Annotated[float, Between(0, 1)]
SidePx = Annotated[int, Between(1, 4096)]  # of pictures, in pixels
Name = Annotated[str, Between(1, 1000)]


class Checked:
    """A data class whose fields have the types that they are annotated with, and lie `Between` what is annotated.

    Whole numbers count as real ones, and no number is infinite or NaN.

    Raises:
        ValueError: A field is of another type, or outside its range.
    """

    def __post_init__(self) -> None:
        for name, wanted in _hints(cast(Hashable, type(self))).items():
            if problem := _problem(getattr(self, name), wanted):
                raise ValueError(f"{name} {problem}")

    @classmethod
    def from_json(cls, values: Any, **known: Any) -> Self:
        """Read it from a JSON object; see `built`."""
        return built(cls, values, **known)

    def as_json(self) -> JsonObject:
        """JSON values."""
        return asdict(cast(Any, self))


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    found = get_type_hints(kind, include_extras=True)
    return {each.name: found[each.name] for each in fields(kind)}  # type: ignore[arg-type]


@functools.cache
def _split(wanted: Hashable) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(wanted), get_args(wanted)


def _problem(value: Any, wanted: Any) -> str | None:
    """Why a value is not what an annotation asks for; None where it is."""
    origin, parts = _split(wanted)
    if wanted is Any:
        return None
    if origin is Annotated:
        return _problem(value, parts[0]) or _outside(value, parts[1:])
    if origin in (Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        first = None
        for part in parts:
            problem = _problem(value, part)
            if problem is None:
                return None
            first = first or problem
        return first
    if origin is not None:
        return _problem_inside(value, origin, parts)
    kinds: Any = (int, float) if wanted is float else wanted
    if not isinstance(value, kinds) or (isinstance(value, bool) and wanted is not bool):
        return f"must be of type {wanted.__name__}, got {_brief(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be finite, got {value}"
    return None


def _problem_inside(value: Any, origin: Any, parts: tuple[Any, ...]) -> str | None:
    """The same of a list, tuple or mapping."""
    if not isinstance(value, origin) or isinstance(value, str):
        return f"must be of type {origin.__name__}, got {_brief(value)}"
    if issubclass(origin, Mapping):
        pairs = [(part, each) for item in value.items() for part, each in zip(parts, item, strict=True)]
    elif origin is tuple and parts[-1] is not Ellipsis:
        if len(value) != len(parts):
            return f"must have {len(parts)} parts, got {_brief(value)}"
        pairs = list(zip(parts, value, strict=True))
    else:
        pairs = [(parts[0], each) for each in value]
    return next((f"holds what {problem}" for part, each in pairs if (problem := _problem(each, part))), None)


def _outside(value: Any, marks: Sequence[Any]) -> str | None:
    for mark in marks:
        if isinstance(mark, Between):
            size = value if isinstance(value, (int, float)) else len(value)
            if not mark.low <= size <= mark.high:
                return f"must be in {mark.low:g}..{mark.high:g}, got {_brief(value)}"
        elif value not in mark:
            return f"must be one of {', '.join(map(repr, sorted(mark)))}, got {_brief(value)}"
    return None


def _brief(value: object) -> str:
    return reprlib.repr(value)


def picked(kind: type, values: Any, *, but: Collection[str] = ()) -> dict[str, Any]:
    """The entries of a JSON object that a data class has fields for.

    Raises:
        KeyError: A field without a default is absent.
        TypeError: It is no object.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"expected an object, got {_brief(values)}")
    assert is_dataclass(kind)
    known = [each for each in fields(kind) if each.name not in but]
    for each in known:
        if each.default is MISSING and each.default_factory is MISSING:
            values[each.name]
    return {each.name: values[each.name] for each in known if each.name in values}


def built(kind: type[T], values: Any, **known: Any) -> T:
    """A data class from a JSON object, with the data classes, tuples and numbered keys that it is annotated with.

    Args:
        kind: The data class.
        values: The object; entries that a newer version added are left out.
        known: Fields that are not read.

    Raises:
        KeyError: A field without a default is absent.
        TypeError: Something is no object, or no list.
        ValueError: A class that checks itself finds a field wrong.
    """
    hints = _hints(cast(Hashable, kind))
    return kind(**{name: _made(value, hints[name]) for name, value in picked(kind, values, but=known).items()}, **known)


def _made(value: Any, wanted: Any) -> Any:
    """A JSON value as an annotation has it."""
    origin, parts = _split(wanted)
    if origin is Annotated:
        return _made(value, parts[0])
    if origin in (Union, types.UnionType):
        kept = [part for part in parts if part is not type(None)]
        return value if value is None or len(kept) > 1 else _made(value, kept[0])
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {int(key) if parts[0] is int else key: _made(each, parts[1]) for key, each in value.items()}
    if origin is tuple:
        wants = itertools.repeat(parts[0]) if parts[-1] is Ellipsis else itertools.chain(parts, itertools.repeat(Any))
        return tuple(_made(each, part) for each, part in zip(listed(value), wants, strict=False))
    if origin is list and isinstance(value, list):
        return [_made(each, parts[0]) for each in value]
    if isinstance(wanted, type) and is_dataclass(wanted):
        return wanted.from_json(value) if issubclass(wanted, Checked) else built(wanted, value)
    return value


def listed(value: Any) -> tuple[Any, ...]:
    """A list of JSON as a tuple.

    Raises:
        TypeError: It is none; a text is no list of its letters.
    """
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"expected a list, got {_brief(value)}")
    return tuple(value)


def unfit_option(value: Any) -> str | None:
    """What no option of a network may be; None where a value, and all in it, may."""
    if isinstance(value, (dict, list)):
        parts = value.values() if isinstance(value, dict) else value
        return next((found for part in parts if (found := unfit_option(part))), None)
    if isinstance(value, (int, float)) and not abs(value) <= _MOST_UNITS:
        return f"a number beyond {_MOST_UNITS}: {_brief(value)}"
    return None if value is None or isinstance(value, (str, int, float)) else _brief(value)


@contextmanager
def well_formed(where: object, fix: str = "delete its folder and train again") -> Iterator[None]:
    """Report what is wrong with a file's content in one line."""
    try:
        yield
    except (
        csv.Error,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise MerError(f"damaged, or written by another version ({what})", where=where, fix=fix) from None


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file: a pipe, which could hold a program up for ever, is none.

    Raises:
        FileNotFoundError: There is no such file.
        MerError: It is no regular file, too large, or cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise MerError("not a file", where=path, fix="check the path")
        if found.st_size > most:
            raise MerError(f"larger than {most >> 20} MiB", where=path, fix="is this the right file?")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "longer than a path may be" if error.errno == errno.ENAMETOOLONG else f"cannot be read ({_of(error)})"
        raise MerError(what, where=path, fix="check path and permissions") from None


def _of(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)


def read_text(path: Path) -> str:
    """The same as text in UTF-8, with or without a mark at its beginning.

    Raises:
        FileNotFoundError: There is no such file.
        MerError: As for `read_bytes`, or it is not in UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MerError(f"not text in UTF-8 ({error.reason})", where=path, fix="save it as UTF-8") from None


def parse_json(text: str | bytes) -> Any:
    """JSON values, strictly.

    Raises:
        ValueError: It is no JSON, or holds a number that is infinite or NaN.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def parse_toml(text: str) -> dict[str, Any]:
    """The tables and values of a TOML text.

    Raises:
        ValueError: It is none.
    """
    return tomllib.loads(text)


def shipped_toml(name: str) -> dict[str, Any]:
    """A file of the package's folder `data`."""
    return parse_toml((files("mer_pipeline") / "data" / name).read_text(encoding="utf-8"))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; where it has a checksum, that must hold, and is left out.

    Raises:
        MerError: It is absent or damaged.
    """
    damaged = MerError("damaged or unreadable", where=path, fix="delete it and run again")
    try:
        values = parse_json(read_bytes(path))
    except FileNotFoundError:
        raise MerError("no such file", where=path, fix="is this a run folder?") from None
    except (ValueError, RecursionError):
        raise damaged from None
    if not isinstance(values, dict) or values.pop(CHECKSUM, None) not in (None, _checksum(values)):
        raise damaged
    return values


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """What `read_json` reads, with a checksum: a digit that has changed on a disk looks like any other."""
    return (json.dumps({**values, CHECKSUM: _checksum(values)}, indent=2) + "\n").encode()


def _checksum(values: Mapping[str, Any]) -> str:
    # Twice through JSON, so that tuples and whole-numbered keys become what a reader finds.
    text = json.dumps(json.loads(json.dumps(values)), sort_keys=True, separators=(",", ":"))
    return digest_of(text.encode())


def digest_of(content: bytes) -> str:
    """A hash of some bytes as text."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
