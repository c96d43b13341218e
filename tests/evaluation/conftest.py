"""The clips that need no pictures of anybody, as in the tests of training."""

from tests.training.conftest import one_set, shuffled, two_sets

__all__ = ["one_set", "shuffled", "two_sets"]
