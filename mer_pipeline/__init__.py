"""Micro-expression recognition, from a raw dataset or any video to an answer."""

__version__ = "0.1.0"
