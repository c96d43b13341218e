"""What became of one clip."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mer_pipeline.cache.manifest import ManifestRow

# What stages need and is no part of them: loading the face models, decoding, writing to the cache.
SHARED = ("start", "decode", "write")


@dataclass
class ClipOutcome:
    """What became of one clip.

    Attributes:
        row: The clip's row of the manifest.
        stages: What each stage did: `computed`, `cached` or `failed`.
        failure: Clip, stage and reason; None where all went well.
        warnings: What the user should know of a clip that went well.
        decoded_frames: How many frames were decoded.
        seconds: Spent in each stage by itself, and in `SHARED`. Where the key frames were spotted, decoding for the
            search counts as theirs.
        damaged: Files of the cache that were found damaged.
        spotted: What is to be known of its key frames, where they were spotted; None where they are annotated.
    """

    row: ManifestRow
    stages: dict[str, str] = field(default_factory=dict)
    failure: dict[str, str] | None = None
    warnings: list[str] = field(default_factory=list)
    decoded_frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    spotted: tuple[str, ...] | None = None

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time that a block takes to a stage, or to one of `SHARED`, which is then no part of the stage's."""
        started, shared = time.perf_counter(), self._shared_s
        try:
            yield
        finally:
            spent = time.perf_counter() - started - (self._shared_s - shared)
            self.seconds[what] = self.seconds.get(what, 0.0) + spent

    @property
    def _shared_s(self) -> float:
        return sum(self.seconds.get(what, 0.0) for what in SHARED)
