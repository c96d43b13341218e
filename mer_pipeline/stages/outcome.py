"""What became of one clip."""

from __future__ import annotations

from dataclasses import dataclass, field

from mer_pipeline.cache.manifest import ManifestRow


@dataclass
class ClipOutcome:
    """What became of one clip.

    Attributes:
        row: The clip's row of the manifest.
        stages: What each stage did: `computed`, `cached` or `failed`.
        failure: Clip, stage and reason; None where all went well.
        warnings: What the user should know of a clip that went well.
        decoded_frames: How many frames were decoded.
        seconds: Spent in each stage without decoding, and in `decode`. Where the key frames were spotted, decoding for
            the search counts as theirs.
        damaged: Files of the cache that were found damaged.
    """

    row: ManifestRow
    stages: dict[str, str] = field(default_factory=dict)
    failure: dict[str, str] | None = None
    warnings: list[str] = field(default_factory=list)
    decoded_frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    def spent(self, what: str, seconds: float) -> None:
        """Add time to a stage or to decoding."""
        self.seconds[what] = self.seconds.get(what, 0.0) + seconds
