"""What a cache holds, set by set, from its manifests alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_pipeline.cache.manifest import ManifestRow, read_manifests, rows_of
from mer_pipeline.reading import JsonObject


@dataclass(frozen=True)
class CachedSet:
    """One preprocessed set.

    Attributes:
        dataset: Its short name.
        clips, ok, subjects: How many clips, clips that went well, and subjects.
        emotions: Clips of each that went well, most frequent first; those without one are left out.
        spotted: Clips whose onset or apex was spotted.
        unregistered: Clips in which the head's drift could not be removed.
        warned: Clips with something to be known; `mer inspect CACHE --clip` shows it.
        sizes, detectors, motions: Clips at each side of the crops in pixels, and by each method.
        failures: Clips by stage and reason.
    """

    dataset: str
    clips: int
    ok: int
    subjects: int
    emotions: Mapping[str, int]
    spotted: int
    unregistered: int
    warned: int
    sizes: Mapping[str, int]
    detectors: Mapping[str, int]
    motions: Mapping[str, int]
    failures: Mapping[str, int]

    def as_json(self) -> JsonObject:
        """JSON values, as `mer inspect CACHE --json` prints them."""
        return asdict(self)


def is_cache(folder: Path) -> bool:
    """Whether `mer preprocess` has written a set into a folder."""
    return any(True for _ in folder.glob("*/manifest.parquet"))


def cached_sets(cache: Path) -> list[CachedSet]:
    """The sets of a cache, by name.

    Raises:
        MerError: There is none, or a manifest cannot be read.
    """
    rows = rows_of(read_manifests(cache))
    return [_of(name, [row for row in rows if row.dataset == name]) for name in sorted({row.dataset for row in rows})]


def _of(dataset: str, rows: list[ManifestRow]) -> CachedSet:
    good = [row for row in rows if row.status == "ok"]
    return CachedSet(
        dataset,
        clips=len(rows),
        ok=len(good),
        subjects=len({row.subject for row in rows}),
        emotions=_counts(row.emotion for row in good),
        spotted=sum("spotted" in (row.onset_source, row.apex_source) for row in good),
        unregistered=sum(row.registration not in (None, "none") and not row.registered for row in good),
        warned=sum(bool(row.warnings) for row in good),
        sizes=_counts(None if row.size is None else str(row.size) for row in good),
        detectors=_counts(row.detector for row in good),
        motions=_counts(row.motion for row in good),
        failures=_counts(f"{row.stage}: {row.reason}" for row in rows if row.status != "ok"),
    )


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter(value for value in values if value is not None).most_common())
