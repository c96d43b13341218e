"""A preprocessed dataset in memory: crops as uint8, labels, Action Units, and who is who."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mer_pipeline.cache.chain import PUBLISHED, Chain, is_synthetic, read_chain
from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.choices import MADE_UP, SPOTTED
from mer_pipeline.device import free_memory_mb
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.inputs.stored import has_view, read_pictures
from mer_pipeline.inputs.views import VIEWS, View
from mer_pipeline.labels import LabelSet, compare_with_published, default_label_set, label_set, label_set_from_file
from mer_pipeline.networks import ViewName

# A table beside the manifests, for those who know it, with the columns `subject` (`dataset/subject`) and `person` (any
# name). Subjects of one person are held out together.
SAME_PERSON = "same_person.csv"


@dataclass(frozen=True)
class Source:
    """Where clips were read from, and how: what another process needs to read the same ones.

    Attributes:
        cache, labels, view, size, frames: See `load_clips`; paths are absolute.
        shuffled: The seed that their labels were dealt by; None where they were not.
    """

    cache: str
    labels: str | None
    view: ViewName
    size: int
    frames: int
    shuffled: int | None = None

    def load(self) -> ClipSet:
        """Read the clips.

        Raises:
            MerError: See `load_clips`.
        """
        clips = load_clips(self.cache, self.labels, self.view, size=self.size, frames=self.frames)
        return clips if self.shuffled is None else shuffle_labels(clips, self.shuffled)


@dataclass(frozen=True)
class ClipSet:
    """Clips ready for training; row i of every field belongs to `clip_ids[i]`.

    Attributes:
        clip_ids: (n,) `dataset/subject/clip`.
        groups: (n,) `dataset/subject`; of a person who is in several, the first (see `SAME_PERSON`).
        labels: (n,) int64 class indices.
        images: What networks are shown, (n, F, C, size, size); see `View.array`.
        aus: (n, 21) float32, 1 where an Action Unit is annotated.
        aus_known: (n,) bool, False where the clip has no AU annotation.
        classes: Class names.
        label_set: Name of the label set.
        view: `pair`, `sequence`, `flow` or `flow_sequence`.
        chain: How the stages made them.
        cache: The folder that they were read from, if any.
        notes: What was left out and why, for the user.
        keyframes: Whether onset and apex are `annotated`, `spotted`, or of some clips this and of others that.
        spotted: `images` with onset and apex spotted, as those of a new video are; None where the cache has none.
        spotted_known: (n,) bool, False where spotting failed or was not asked for.
        synthetic: The sets that `mer synth` wrote.
        source: How another process reads the same; None where they were not read from a cache.
    """

    clip_ids: Sequence[str]
    groups: Sequence[str]
    labels: torch.Tensor
    images: torch.Tensor
    aus: torch.Tensor
    aus_known: torch.Tensor
    classes: tuple[str, ...]
    label_set: str
    view: ViewName = "pair"
    chain: Chain | None = None
    cache: str | None = None
    notes: tuple[str, ...] = field(default=())
    keyframes: str = "annotated"
    spotted: torch.Tensor | None = None
    spotted_known: torch.Tensor | None = None
    synthetic: tuple[str, ...] = ()
    source: Source | None = None

    def __post_init__(self) -> None:
        n, size = len(self.clip_ids), self.images.shape[-1]
        expected = {
            "groups": (len(self.groups), n),
            "labels": (tuple(self.labels.shape), (n,)),
            "images": ((len(self.images), *self.images.shape[3:]), (n, size, size)),
            "aus": (tuple(self.aus.shape), (n, len(AU_NUMBERS))),
            "aus_known": (tuple(self.aus_known.shape), (n,)),
        }
        for name, (got, wanted) in expected.items():
            if got != wanted:
                raise ValueError(f"{name}: expected shape {wanted}, got {got}")
        if len(set(self.clip_ids)) != n:
            raise ValueError("clip_ids are not unique")

    @property
    def size(self) -> int:
        """Side of the crops in pixels."""
        return int(self.images.shape[-1])

    @property
    def flow(self) -> str:
        """How flow was computed: `tvl1`, `dis`, `published`, or empty where the view has none."""
        return self.chain.motion if self.chain is not None and VIEWS[self.view].shows_flow else ""

    @functools.cached_property
    def _copies(self) -> dict[torch.device, ClipSet]:
        return {}

    def at(self, device: torch.device) -> ClipSet:
        """The same clips with their tensors on a device, where half of its free memory holds the pictures.

        One copy is kept for all that ask. On the CPU, and where the pictures do not fit, it is this set with nothing
        copied but what is small.
        """
        if device.type == "cpu":
            return self
        if device not in self._copies:
            size_mb = self.images.numel() * self.images.element_size() / 1e6
            images = self.images.to(device) if 2 * size_mb < free_memory_mb(device) else self.images
            small = {name: getattr(self, name).to(device) for name in ("labels", "aus", "aus_known")}
            self._copies[device] = replace(self, images=images, **small)
        return self._copies[device]

    def tensor(self, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
        """What networks are given of some clips: (rows, F, C, size, size) float32 on a device."""
        return VIEWS[self.view].tensor(self.images[rows.to(self.images.device)].to(device))

    @property
    def class_counts(self) -> dict[str, int]:
        """Clips a class."""
        counts = Counter(self.labels.tolist())
        return {name: counts[index] for index, name in enumerate(self.classes)}

    def fingerprint(self) -> str:
        """A hash of everything that training reads of the clips."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update("\n".join(self.clip_ids).encode())
        for tensor in (self.labels, self.aus, self.aus_known, self.images):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def datasets(self) -> list[str]:
        """The sets that the clips come from, sorted."""
        return sorted({clip.split("/")[0] for clip in self.clip_ids})

    @property
    def dataset_names(self) -> list[str]:
        """`datasets`, those marked that `mer synth` wrote."""
        return [name + MADE_UP * (name in self.synthetic) for name in self.datasets]

    @property
    def merged(self) -> dict[str, str]:
        """`dataset/subject` -> the group that it belongs to, where that is another."""
        own = ((clip.rpartition("/")[0], group) for clip, group in zip(self.clip_ids, self.groups, strict=True))
        return {subject: group for subject, group in own if subject != group}


@os_errors()
def load_clips(
    cache: str | Path, labels: str | None = None, view: ViewName = "pair", *, size: int = 0, frames: int = 8
) -> ClipSet:
    """Read every usable clip of a cache.

    Args:
        cache: What `mer preprocess` wrote; may hold several datasets.
        labels: Name of a label set, or a .toml file with one of your own; None for the default of the datasets.
        view: What the network is shown; clips that do not have it are left out.
        size: Pictures are resized to this side; 0 leaves them as they are.
        frames: Length of a sequence.

    Raises:
        MerError: Nothing usable, clips of several chains, or a crop that is absent or damaged.
    """
    cache = Path(cache)
    everything, shown = read_manifests(cache), VIEWS[view]
    has = has_view(everything, shown, cache)
    table, others = everything[has], everything[~has]
    usable = table[(table["status"] == "ok") & table["emotion"].notna()]
    if usable.empty:
        raise MerError("no usable clip with an emotion label", where=cache, fix="see mer preprocess for the reasons")
    chosen = _label_set(labels) if labels else _default(usable)
    ids = zip(usable["clip_id"], usable["emotion"], strict=True)
    usable = usable.assign(label=pd.array([chosen.class_of_clip(clip, emotion) for clip, emotion in ids], "Int64"))
    kept = usable[usable["label"].notna()]
    notes = _notes(table, others, usable, kept, chosen)
    if kept.empty:
        raise MerError(f"no clip has a label of {chosen.name}", where=cache, fix="choose other --labels")
    chain = _one_chain(kept, shown, cache)
    known = kept["aus"].notna().to_numpy(dtype=bool)
    vectors = [parse_aus(text).vector() if isinstance(text, str) else (0,) * len(AU_NUMBERS) for text in kept["aus"]]
    side = size or chain.size
    spotted, spotted_known = _spotted(cache / SPOTTED, kept["clip_id"].tolist(), shown, chain, side, frames)
    return ClipSet(
        clip_ids=kept["clip_id"].tolist(),
        groups=_merged((kept["dataset"] + "/" + kept["subject"]).tolist(), cache / SAME_PERSON),
        labels=torch.tensor(kept["label"].to_numpy(dtype=np.int64)),
        images=torch.from_numpy(read_pictures(cache, kept, shown, side, frames)),
        aus=torch.tensor(vectors, dtype=torch.float32),
        aus_known=torch.tensor(known),
        classes=chosen.classes,
        label_set=chosen.name,
        view=view,
        chain=chain,
        cache=str(cache.absolute()),
        notes=notes,
        keyframes=_keyframes(kept),
        synthetic=tuple(name for name in sorted(set(kept["dataset"])) if is_synthetic(cache / name)),
        spotted=spotted,
        spotted_known=spotted_known,
        source=Source(str(cache.absolute()), _absolute(labels), view, size, frames),
    )


def _absolute(labels: str | None) -> str | None:
    return str(Path(labels).absolute()) if labels and labels.endswith(".toml") else labels


def _keyframes(kept: pd.DataFrame) -> str:
    """Who says which frames the clips are shown by; a published flow image was made of annotated ones."""
    sources = set(kept["onset_source"].dropna()) | set(kept["apex_source"].dropna()) or {"annotated"}
    return " and ".join(sorted(sources))


def _spotted(
    folder: Path, clip_ids: Sequence[str], view: View, chain: Chain, size: int, frames: int
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The same clips with spotted key frames, and of which of them there are; None where there are none.

    Raises:
        MerError: They were made by another chain.
    """
    if not list(folder.glob("*/manifest.parquet")):
        return None, None
    table = read_manifests(folder)
    found = table[table["clip_id"].isin(clip_ids) & (table["status"] == "ok") & view.usable(table)]
    if found.empty:
        return None, None
    if _one_chain(found, view, folder) != chain:
        raise MerError("made by another chain than the cache", where=folder, fix="run mer preprocess --spotted again")
    at = {clip: row for row, clip in enumerate(clip_ids)}
    rows = [at[clip] for clip in found["clip_id"]]
    pictures = torch.from_numpy(read_pictures(folder, found, view, size, frames))
    images, known = pictures.new_zeros(len(clip_ids), *pictures.shape[1:]), torch.zeros(len(clip_ids), dtype=torch.bool)
    images[rows], known[rows] = pictures, True
    return images, known


def shuffle_labels(clips: ClipSet, seed: int) -> ClipSet:
    """The same clips with the labels of each subject dealt at random among its own: what chance comes to."""
    random, labels, groups = np.random.default_rng(seed), clips.labels.clone(), np.array(clips.groups)
    for group in sorted(set(clips.groups)):
        rows = np.flatnonzero(groups == group)
        labels[rows] = clips.labels[random.permutation(rows)]
    note = "the labels were dealt at random: every score above chance is luck, or a fault"
    source = clips.source and replace(clips.source, shuffled=seed)
    return replace(
        clips, labels=labels, label_set=f"{clips.label_set}, shuffled", notes=(*clips.notes, note), source=source
    )


def _merged(subjects: list[str], table: Path) -> list[str]:
    """The subjects, each person under the first of its names in the table.

    Raises:
        MerError: The table lacks a column, or names a subject twice.
    """
    if not table.is_file():
        return subjects
    try:
        found = pd.read_csv(table, dtype="string")
        named = dict(zip(found["subject"], found["person"], strict=True))
    except (OSError, ValueError, KeyError):
        fix = "give a .csv with the columns subject (dataset/subject) and person"
        raise MerError("not a readable table", where=table, fix=fix) from None
    if len(named) < len(found):
        twice = found["subject"][found["subject"].duplicated()].iloc[0]
        raise MerError(f"{twice} stands in two rows", where=table, fix="name it once")
    first: dict[str, str] = {}
    for subject, person in named.items():
        first.setdefault(str(person), str(subject))
    return [first[str(named[subject])] if subject in named else subject for subject in subjects]


def _label_set(labels: str) -> LabelSet:
    return label_set_from_file(Path(labels)) if labels.endswith(".toml") else label_set(labels)


# What may not differ between the clips of one training: how it is called, and what to do.
_ALIKE = {
    "size": ("crops of several sizes", "--size"),
    "detector": ("faces found by several detectors", "--detector"),
    "registration": ("faces registered in several ways", "--registration"),
    "motion": ("flow of several kinds", "--motion"),
    "frames": ("crops of several numbers of frames", "--frames"),
    "stages": ("crops by several versions of the stages", None),
}


def _one_chain(kept: pd.DataFrame, view: View, cache: Path) -> Chain:
    """The chain that made all clips.

    Raises:
        MerError: There are several, and a network would be trained on two kinds of pictures.
    """
    chains = [_chain_of(str(dataset), rows, cache) for dataset, rows in kept.groupby("dataset")]
    for name, (what, option) in _ALIKE.items():
        if name == "motion" and not view.shows_flow:
            continue
        if name == "frames" and chains[0].registration == "none":
            continue  # only a registration begins at the frame before
        found = [getattr(chain, name) for chain in chains]
        if name != "frames":
            found = [value for value in found if value]
        if any(value != found[0] for value in found):
            listed = ", ".join(sorted({_in_words(value) for value in found}))
            fix = f"preprocess all sets with one {option}" if option else "preprocess all sets anew"
            raise MerError(f"{what} ({listed})", where=cache, fix=fix)
    return chains[0]


def _chain_of(dataset: str, rows: pd.DataFrame, cache: Path) -> Chain:
    """What made the clips of one dataset: what it recorded, or what its manifest says of every clip."""
    sizes = sorted(int(size) for size in rows["size"].unique())
    if len(sizes) > 1:
        raise MerError(f"crops of several sizes ({', '.join(map(str, sizes))})", where=cache,
                       fix="preprocess all sets with one --size")  # fmt: skip
    if (rows["kind"] == "flow").all():
        return Chain(sizes[0], (), "", PUBLISHED)
    first = rows[rows["kind"] == "frames"].iloc[0]
    recorded = read_chain(cache / dataset)
    if recorded is not None and (recorded.size, recorded.detector_name) == (sizes[0], first["detector"]):
        return recorded
    motion = "none" if pd.isna(first["motion"]) else str(first["motion"])
    return Chain(sizes[0], (str(first["detector"]),), str(first["registration"]), motion)


def _in_words(value: object) -> str:
    """A part of a chain for people: a detector with its file, versions as `crop 2`."""
    if isinstance(value, tuple):
        return " with ".join([str(value[0]), *(str(file) for file in value[1:])])
    return ", ".join(f"{name} {n}" for name, n in value.items()) if isinstance(value, Mapping) else str(value)


def _default(usable: pd.DataFrame) -> LabelSet:
    """The label set of the one dataset that there is, or one that fits the labels of several."""
    emotions = set(usable["emotion"])
    datasets = usable["dataset"].unique().tolist()
    if len(datasets) == 1:
        own = default_label_set(datasets[0], emotions)
        # A set can come with coarser labels than its own label set has, as flow images do.
        if len({own.class_of(emotion) for emotion in emotions} - {None}) > 1:
            return own
    return default_label_set(None, emotions)


def _notes(
    table: pd.DataFrame, others: pd.DataFrame, usable: pd.DataFrame, kept: pd.DataFrame, chosen: LabelSet
) -> tuple[str, ...]:
    notes = []
    if len(others):
        notes.append(f"{len(others)} clips are left out because this network does not take what they hold")
    failed = int((table["status"] != "ok").sum())
    if failed:
        notes.append(f"{failed} of {len(table)} clips are left out because preprocessing failed")
    unlabelled = int(((table["status"] == "ok") & table["emotion"].isna()).sum())
    if unlabelled:
        notes.append(f"{unlabelled} clips are left out because they have no emotion label")
    dropped = usable.loc[~usable.index.isin(kept.index), "emotion"].value_counts()
    if not dropped.empty:
        listed = ", ".join(f"{emotion} {count}" for emotion, count in dropped.items())
        notes.append(f"{int(dropped.sum())} clips are left out by the label set {chosen.name} ({listed})")
    for dataset, clips in kept.groupby("dataset"):
        counts = {chosen.classes[int(str(label))]: int(n) for label, n in clips["label"].value_counts().items()}
        differs = compare_with_published(chosen, str(dataset), counts, clips["subject"].nunique())
        if differs:
            notes.append("not the published clips: " + "; ".join(differs))
    return tuple(notes)
