"""The clips of a cache: their rows of the manifests, and what the stages made of them."""

from __future__ import annotations

from pathlib import Path

from mer_pipeline.cache.manifest import ManifestRow, read_manifests, rows_of
from mer_pipeline.cache.store import Artefact, Store
from mer_pipeline.errors import MerError, suggest


def find_row(cache: Path, clip_id: str) -> ManifestRow:
    """The row of a clip by its id, or by as much of its end as names one clip.

    Raises:
        MerError: No clip, or several.
    """
    table = read_manifests(cache)
    ids = table["clip_id"].tolist()
    found = [known for known in ids if known == clip_id] or [known for known in ids if known.endswith(f"/{clip_id}")]
    if len(found) > 1:
        raise MerError(f"{clip_id!r} names {len(found)} clips", where=cache, fix=f"say which: {', '.join(found[:5])}")
    if not found:
        raise MerError(f"no clip is called {clip_id!r}", where=cache, fix=suggest(clip_id, ids, cutoff=0.0))
    return rows_of(table[table["clip_id"] == found[0]])[0]


def artefact_of(store: Store, row: ManifestRow, stage: str) -> Artefact:
    """What a stage made of a clip.

    Raises:
        MerError: It is absent or damaged.
    """
    key = row.key(stage)
    found = store.get(stage, key) if key else None
    if found is None:
        raise MerError(f"its {stage} is absent or damaged", where=row.clip_id, fix="run mer preprocess again")
    return found
