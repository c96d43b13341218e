"""Emotion names and label sets, read from tables.

``data/emotions.csv`` maps every spelling to one canonical emotion, ``data/protocols.toml`` maps emotions to classes and
holds the published counts of each, ``data/published.toml`` those of whole sheets. A new spelling or label set is a new
line there, or a user's own file (`label_set_from_file`).
"""

from mer_pipeline.labels.emotions import canonical_emotion, known_emotions
from mer_pipeline.labels.label_sets import (
    LabelSet,
    Published,
    compare_with_published,
    default_label_set,
    label_set,
    label_set_from_file,
    label_set_names,
)
from mer_pipeline.labels.published import published_sheet

__all__ = [
    "LabelSet",
    "Published",
    "canonical_emotion",
    "compare_with_published",
    "default_label_set",
    "known_emotions",
    "label_set",
    "label_set_from_file",
    "label_set_names",
    "published_sheet",
]
