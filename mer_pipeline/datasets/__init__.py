"""What a dataset looks like on disk -> a table of clips. One module a dataset, one row a dataset in `registry`."""

from mer_pipeline.datasets.clip import Annotations, Clip, Correction, Problem
from mer_pipeline.datasets.published_counts import ComparedCount, compare_counts, differences
from mer_pipeline.datasets.reader import Reader
from mer_pipeline.datasets.registry import READERS, read_dataset

__all__ = [
    "READERS",
    "Annotations",
    "Clip",
    "ComparedCount",
    "Correction",
    "Problem",
    "Reader",
    "compare_counts",
    "differences",
    "read_dataset",
]
