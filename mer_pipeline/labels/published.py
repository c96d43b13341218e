"""What the sheets of the public sets hold in all, before any label set."""

from __future__ import annotations

from functools import cache

from mer_pipeline.labels.label_sets import Published
from mer_pipeline.reading import shipped_toml


def published_sheet(dataset: str) -> Published | None:
    """What a dataset's whole sheet holds; its classes are emotions. None where it is not known.

    >>> published_sheet("samm").classes["anger"], published_sheet("own")
    (57, None)
    """
    return _table().get(dataset)


@cache
def _table() -> dict[str, Published]:
    return {name: Published(**entry) for name, entry in shipped_toml("published.toml").items()}
