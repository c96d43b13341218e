"""Label sets: which emotion belongs to which class, and what was published with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mer_pipeline.errors import MerError, os_errors, suggest
from mer_pipeline.labels.emotions import canonical_emotion, known_emotions
from mer_pipeline.reading import parse_toml, read_text, shipped_toml

_FALLBACK = "megc3"  # the classes that all datasets share


@dataclass(frozen=True)
class Published:
    """What was published for one dataset under one label set; None and an empty mapping mean "not stated".

    Raises:
        MerError: If the class counts do not add up to ``n``.

    >>> Published(3, classes={"negative": 1, "positive": 1})
    Traceback (most recent call last):
    ...
    mer_pipeline.errors.MerError: published counts of the classes add up to 2, n is 3; correct one of them
    """

    n: int
    subjects: int | None = None
    classes: Mapping[str, int] = field(default_factory=dict, hash=False)
    macro: int | None = None  # macro-expressions beside the n clips

    def __post_init__(self) -> None:
        total = sum(self.classes.values())
        if self.classes and total != self.n:
            what = f"published counts of the classes add up to {total}, n is {self.n}"
            raise MerError(what, fix="correct one of them")


@dataclass(frozen=True)
class LabelSet:
    """Which emotion belongs to which class.

    Args:
        name: How it is called on the command line and in reports.
        classes: The class names; their order is the order of the numbers.
        members: The canonical emotions of each class.
        drop: Emotions that a dataset leaves out although a class has them.
        exclusions: Ids (``dataset/subject/clip``) of clips that the published list leaves out.
        published: What was published, for each dataset.

    Raises:
        MerError: If a class is empty or named twice, or an emotion is in two classes.

    >>> megc3 = label_set("megc3")
    >>> megc3.classes, megc3.class_of("Disgust"), megc3.class_of("others")
    (('negative', 'positive', 'surprise'), 0, None)
    """

    name: str
    classes: tuple[str, ...]
    members: tuple[frozenset[str], ...]
    drop: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    exclusions: frozenset[str] = frozenset()
    published: Mapping[str, Published] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        where = f"label set {self.name}"
        if not self.classes or len(self.classes) != len(self.members) or not all(self.members):
            raise MerError("every class needs at least one emotion", where=where)
        if len(set(self.classes)) < len(self.classes):
            raise MerError("a class is named twice", where=where)
        emotions = [emotion for member in self.members for emotion in sorted(member)]
        twice = sorted({emotion for emotion in emotions if emotions.count(emotion) > 1})
        if twice:
            raise MerError(f"{', '.join(twice)} in more than one class", where=where, fix="keep it in one class")
        for dataset, published in self.published.items():
            strange = sorted(set(published.classes) - set(self.classes))
            if strange:
                raise MerError(f"published counts of {dataset} name unknown classes: {', '.join(strange)}", where=where)

    def class_of(self, emotion: str | None, *, dataset: str | None = None) -> int | None:
        """The class of an emotion; None where the label set drops it or the clip has none.

        Args:
            emotion: Any spelling.
            dataset: Applies what this dataset leaves out.

        Raises:
            MerError: If the label is neither a known emotion nor in a class, so that a misspelling drops no clips.

        >>> label_set("megc3").class_of("fear", dataset="samm"), label_set("megc3").class_of("fear", dataset="casme2")
        (0, None)
        """
        label = canonical_emotion(emotion, allow_unknown=True)
        if label is None or label in self.drop.get(dataset or "", ()):
            return None
        for index, member in enumerate(self.members):
            if label in member:
                return index
        if set(label.split("+")) <= set(known_emotions()):  # several emotions in one clip are no class
            return None
        mapped = sorted(frozenset().union(*self.members))
        raise MerError(f"label set {self.name} has no emotion {label!r}", fix=suggest(label, mapped))

    def class_of_clip(self, clip_id: str, emotion: str | None) -> int | None:
        """The class of a clip; like `class_of`, with the exclusions and what the clip's dataset leaves out.

        >>> label_set("megc3").class_of_clip("casme2/04/EP12_01f", "surprise") is None
        True
        """
        return None if clip_id in self.exclusions else self.class_of(emotion, dataset=clip_id.partition("/")[0])


def label_set(name: str) -> LabelSet:
    """A label set of the table by its name.

    Raises:
        MerError: If there is none of that name.

    >>> label_set("mmew-4").classes
    ('happiness', 'surprise', 'disgust', 'others')
    >>> label_set("megc-3")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    mer_pipeline.errors.MerError: unknown label set 'megc-3'; did you mean megc3? Known: 4dme-5, ...
    """
    known = _table()[0]
    if name.strip().lower() in known:
        return known[name.strip().lower()]
    raise MerError(f"unknown label set {name!r}", fix=suggest(name.lower(), known))


def label_set_names() -> tuple[str, ...]:
    """The names of the table's label sets, sorted.

    >>> label_set_names()[:3]
    ('4dme-5', 'casme-4', 'casme-sq-4')
    """
    return tuple(sorted(_table()[0]))


@os_errors()
def label_set_from_file(path: str | Path) -> LabelSet:
    """A user's own label set from a TOML file with the keys of one label set in ``data/protocols.toml``.

    ``classes`` is needed; ``name`` (else the file's name), ``drop``, ``exclude`` and ``published`` are optional. Labels
    that the project does not know may be used.

    Raises:
        MerError: If the file cannot be read, or has an unknown key or a value of the wrong kind.

    >>> label_set_from_file("absent.toml")
    Traceback (most recent call last):
    ...
    mer_pipeline.errors.MerError: absent.toml: cannot read the label set: No such file or directory
    """
    path = Path(path)
    try:
        table = parse_toml(read_text(path))
    except OSError as error:
        raise MerError(f"cannot read the label set: {error.strerror or error}", where=path) from error
    except (ValueError, RecursionError) as error:  # bad TOML and bad UTF-8 are both ValueErrors
        raise MerError(
            f"no valid TOML: {error}", where=path, fix="mend the file; TOML is described at https://toml.io"
        ) from error
    name = table.pop("name", path.stem)
    if not isinstance(name, str) or not name.strip():
        raise MerError(f"name: expected text, got {name!r}", where=path)
    own = _build(name.strip(), table, path)
    if len(own.classes) < 2:
        raise MerError("classes: expected two or more, got one", where=path)
    return own


def default_label_set(dataset_name: str | None, emotions: Iterable[str | None]) -> LabelSet:
    """The label set that a dataset is trained with when none is asked for.

    A dataset of the table has its own. For several datasets together (None) and for unknown ones it is ``megc3`` where
    every label but "others" has a class there and two classes occur, else one class for each label that occurs.

    Raises:
        MerError: If no clip has a label.

    >>> default_label_set("samm", []).name, default_label_set(None, ["happy", "fear", "others"]).name
    ('samm-5', 'megc3')
    >>> default_label_set("own", ["boredom", "happy"]).classes
    ('boredom', 'happiness')
    """
    sets, defaults = _table()
    if dataset_name in defaults:
        return sets[defaults[dataset_name]]
    labels = sorted({label for e in emotions if (label := canonical_emotion(e, allow_unknown=True)) is not None})
    if not labels:
        raise MerError("no clip has an emotion", where=dataset_name, fix="add an emotion column to the annotations")
    shared = sets[_FALLBACK]
    hits = {index for label in labels for index, member in enumerate(shared.members) if label in member}
    if len(hits) > 1 and set(labels) <= frozenset({"others"}).union(*shared.members):
        return shared
    return LabelSet("labels", tuple(labels), tuple(frozenset({label}) for label in labels))


def compare_with_published(
    labels: LabelSet, dataset: str, counts: Mapping[str, int], subjects: int | None = None
) -> list[str]:
    """One line for every number that differs from the published one; none where nothing was published.

    Args:
        labels: The label set of the run.
        dataset: The dataset's short name.
        counts: Clips of each class, by the name of the class; an absent class counts 0.
        subjects: The number of subjects with a clip, where it should be compared.

    >>> compare_with_published(label_set("smic-3"), "smic", {"negative": 70, "positive": 50, "surprise": 43})
    ['smic under smic-3: 163 clips, published 164', 'smic under smic-3: positive 50, published 51']
    """
    published = labels.published.get(dataset)
    if published is None:
        return []
    pairs = [(f"{sum(counts.values())} clips", sum(counts.values()), published.n)]
    if subjects is not None and published.subjects is not None:
        pairs.append((f"{subjects} subjects", subjects, published.subjects))
    for name in labels.classes if published.classes else ():
        pairs.append((f"{name} {counts.get(name, 0)}", counts.get(name, 0), published.classes.get(name, 0)))
    return [f"{dataset} under {labels.name}: {text}, published {right}" for text, got, right in pairs if got != right]


@cache
def _table() -> tuple[dict[str, LabelSet], dict[str, str]]:
    table = shipped_toml("protocols.toml")
    defaults: dict[str, str] = table.pop("defaults")
    return {name: _build(name, entry, "protocols.toml") for name, entry in table.items()}, defaults


def _build(name: str, table: Mapping[str, Any], where: object) -> LabelSet:
    _only(table, ("classes", "drop", "exclude", "published"), "the label set", where)
    classes = _kind(table.get("classes"), dict, "classes", where)
    drop = _kind(table.get("drop", {}), dict, "drop", where)
    counts = _kind(table.get("published", {}), dict, "published", where)
    try:
        return LabelSet(
            name=name,
            classes=tuple(classes),
            members=tuple(_emotions(emotions, f"classes.{key}", where) for key, emotions in classes.items()),
            drop={dataset: _emotions(emotions, f"drop.{dataset}", where) for dataset, emotions in drop.items()},
            exclusions=frozenset(_strings(table.get("exclude", []), "exclude", where)),
            published={dataset: _published(entry, f"published.{dataset}", where) for dataset, entry in counts.items()},
        )
    except MerError as error:
        if error.where == where:
            raise
        # The dataclasses do not know the file that they were read from.
        raise MerError(error.what, where=where, fix=error.fix) from error


def _published(value: object, key: str, where: object) -> Published:
    entry = _kind(value, dict, key, where)
    _only(entry, ("n", "subjects", "classes"), key, where)
    counts = _kind(entry.get("classes", {}), dict, f"{key}.classes", where)
    for name, count in [("n", entry.get("n")), ("subjects", entry.get("subjects", 0)), *counts.items()]:
        if type(count) is not int or count < 0:  # True is an int too, and no count
            raise MerError(f"{key}: {name}: expected a count, got {count!r}", where=where)
    return Published(entry["n"], entry.get("subjects"), counts)


def _emotions(value: object, key: str, where: object) -> frozenset[str]:
    labels = [canonical_emotion(text, allow_unknown=True) for text in _strings(value, key, where)]
    if None in labels:
        raise MerError(f"{key}: blank emotion", where=where)
    return frozenset(label for label in labels if label is not None)


def _strings(value: object, key: str, where: object) -> list[str]:
    items = _kind(value, list, key, where)
    return [_kind(item, str, key, where) for item in items]


def _kind(value: Any, kind: type, key: str, where: object) -> Any:
    if isinstance(value, kind):
        return value
    words: dict[type, str] = {dict: "a table", list: "a list of texts", str: "a text"}
    raise MerError(f"{key}: expected {words[kind]}, got {'nothing' if value is None else repr(value)}", where=where)


def _only(table: Mapping[str, Any], known: tuple[str, ...], key: str, where: object) -> None:
    strange = sorted(set(table) - set(known))
    if strange:
        raise MerError(f"unknown key {strange[0]!r} in {key}", where=where, fix=suggest(strange[0], known))
