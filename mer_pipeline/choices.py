"""What a user may choose between; a command names these before anything is loaded that does them."""

from __future__ import annotations

from typing import Literal, get_args

Registration = Literal["stable", "none"]  # of the head's drift since the onset
REGISTRATIONS: tuple[Registration, ...] = get_args(Registration)
Method = Literal["none", "tvl1", "dis"]  # of optical flow
METHODS: tuple[Method, ...] = get_args(Method)
TRUTH = "truth.parquet"  # what `mer synth` writes beside a set: what was planted
MADE_UP = " (synthetic)"  # behind the name of a set that it wrote
# Sets whose layout `mer synth` writes, by short name; each has a module in `synth/layouts`, `casme_sq` for `casme-sq`.
SYNTHETIC = (
    "casme2",
    "samm",
    "mmew",
    "smic",
    "casme-sq",
    "casme3",
    "casme",
    "4dme",
    "dfme",
    "casme3-long",
    "casme3-c",
    "samm-long",
    "smic-long",
    "megc",
)
SELECTIONS = ("last", "inner", "oracle")  # of the epoch that counts
# What a network is shown, by the name of its view.
VIEW_WORDS = {
    "pair": "onset and apex",
    "sequence": "frames from onset to offset",
    "flow": "optical flow",
    "flow_sequence": "optical flow of several frames",
}
NONE = "none"  # the class of what is no expression, where a model knows it
# Below a cache: the same clips with spotted onset and apex, as `mer preprocess --spotted` makes them.
SPOTTED = "spotted"
# Frames a second: no camera of this field is faster; a file that states more has a damaged header.
GREATEST_FPS = 10_000.0
DEFAULT_SIZE = 224  # side of a crop in pixels
# Endings of pictures that may be frames.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
# Endings of videos, where a folder of them is given.
FILM_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
