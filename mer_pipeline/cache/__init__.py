"""The content-addressed store that every stage writes to."""

from mer_pipeline.cache.atomic import private_folder, remove_leftovers, write_atomically
from mer_pipeline.cache.store import Artefact, Store, key_of

__all__ = ["Artefact", "Store", "key_of", "private_folder", "remove_leftovers", "write_atomically"]
