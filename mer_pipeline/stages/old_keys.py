"""Entries of caches that were made before keys held the content of a clip's files.

Their keys have the names, sizes and modification times of these files alone, which two clips may share. Such an entry
is used only where the manifests say that it is of this clip, and of no other.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path

from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets import Clip
from mer_pipeline.errors import MerError


class OldKeys:
    """Which clips the manifests of a cache name with a key; read when first asked."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def are_of(self, clip: Clip, key: str) -> bool:
        """Whether an artefact of stage `detect` or `motion` is recorded as this clip's alone.

        A source that is no longer where it was may have been moved, so its clip is known by its id. One that is still
        there is another clip, or a copy, for which computing anew is safe.
        """
        clips = self._clips[key]
        sources = {source for _, source in clips}
        if len(sources) != 1:
            return False
        source = Path(sources.pop())
        if source.exists():
            return source.resolve() == clip.source.resolve()
        return clip.clip_id in {clip_id for clip_id, _ in clips}

    @cached_property
    def _clips(self) -> defaultdict[str, set[tuple[str, str]]]:
        """Id and source of the clips of each key."""
        found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        try:
            table = read_manifests(self._cache).dropna(subset="source")
        except MerError:  # no manifest, or one that says nothing: then nothing is known of any entry
            return found
        for column in ("detect_key", "motion_key"):
            rows = table.dropna(subset=column)
            for clip_id, source, key in zip(rows["clip_id"], rows["source"], rows[column], strict=True):
                found[key].add((clip_id, source))
        return found
