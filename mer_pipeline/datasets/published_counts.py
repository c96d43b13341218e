"""A set's counts beside the published ones: of the whole sheet, and of every label set that has counts for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mer_pipeline.datasets.clip import Annotations, Clip
from mer_pipeline.labels import Published, label_set, label_set_names, published_sheet

WHOLE = "whole sheet"


@dataclass(frozen=True)
class ComparedCount:
    """One number beside the published one.

    Attributes:
        protocol: The label set, or `whole sheet`; called so in the JSON of `mer inspect`.
        dataset: Which set it is about.
        name: `clips`, `subjects`, or a class.
        here, published: The two numbers.
    """

    protocol: str
    dataset: str
    name: str
    here: int
    published: int

    @property
    def differs(self) -> bool:
        """Whether the two numbers are not the same."""
        return self.here != self.published


def compare_counts(annotations: Annotations) -> list[ComparedCount]:
    """Every count for which a published one is known."""
    found: list[ComparedCount] = []
    whole = published_sheet(annotations.dataset)
    if whole is not None:
        labelled = [(clip, clip.emotion) for clip in annotations.clips]
        found += _counts(WHOLE, annotations.dataset, whole, labelled)
        if whole.macro is not None:
            found.append(ComparedCount(WHOLE, annotations.dataset, "macro", len(annotations.macro), whole.macro))
    for dataset in sorted({clip.dataset for clip in annotations.clips}):
        own = [clip for clip in annotations.clips if clip.dataset == dataset]
        for name in label_set_names():
            published = label_set(name).published.get(dataset)
            if published is not None and _speaks_of(annotations, name):
                found += _counts(name, dataset, published, list(_classes(name, own)))
    return found


def differences(counts: Sequence[ComparedCount]) -> list[str]:
    """One line for every set and label set whose counts are not the published ones."""
    lines: dict[tuple[str, str], list[str]] = {}
    for count in counts:
        if count.differs:
            text = f"{count.name} {count.here}, published {count.published}"
            lines.setdefault((count.dataset, count.protocol), []).append(text)
    return [f"{dataset}, {name}: {'; '.join(texts)}" for (dataset, name), texts in lines.items()]


def _speaks_of(annotations: Annotations, name: str) -> bool:
    """Coarse labels, as flow images have, fit only label sets that have them all."""
    known = frozenset().union(*label_set(name).members)
    return annotations.dataset in label_set(name).published or known >= set(annotations.emotions)


def _classes(name: str, clips: list[Clip]) -> Iterator[tuple[Clip, str]]:
    rules = label_set(name)
    for clip in clips:
        index = rules.class_of_clip(clip.clip_id, clip.emotion)
        if index is not None:
            yield clip, rules.classes[index]


def _counts(
    name: str, dataset: str, published: Published, labelled: Sequence[tuple[Clip, str | None]]
) -> list[ComparedCount]:
    counts = Counter(label for _, label in labelled)
    rows = [ComparedCount(name, dataset, "clips", len(labelled), published.n)]
    if published.subjects is not None:
        subjects = len({clip.group for clip, _ in labelled})
        rows.append(ComparedCount(name, dataset, "subjects", subjects, published.subjects))
    rows += [ComparedCount(name, dataset, label, counts[label], right) for label, right in published.classes.items()]
    return rows
