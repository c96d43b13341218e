"""What coders of behaviour work with: ELAN (.eaf), BORIS (aggregated events) and subtitles (WebVTT, written only)."""

from mer_pipeline.datasets.coders.coding import KINDS, Coding, Mark, Moment
from mer_pipeline.datasets.coders.files import CODED, read_codings, write_codings

__all__ = ["CODED", "KINDS", "Coding", "Mark", "Moment", "read_codings", "write_codings"]
