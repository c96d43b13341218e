"""The content-addressed store that every stage writes to."""

from mer_pipeline.cache.atomic import (
    create_atomically,
    csv_bytes,
    is_temporary,
    private_folder,
    remove_leftovers,
    write_atomically,
)
from mer_pipeline.cache.lock import locked
from mer_pipeline.cache.store import Artefact, Store, key_of

__all__ = [
    "Artefact",
    "Store",
    "create_atomically",
    "csv_bytes",
    "is_temporary",
    "key_of",
    "locked",
    "private_folder",
    "remove_leftovers",
    "write_atomically",
]
