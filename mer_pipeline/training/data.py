"""A preprocessed dataset in memory: crops as uint8, labels, Action Units, and who is who."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mer_pipeline.cache import Store
from mer_pipeline.datasets.clip import Kind
from mer_pipeline.errors import MerError
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.labels import Protocol, compare_with_published, default_protocol, protocol, protocol_from_file
from mer_pipeline.stages.manifest import read_manifests


@dataclass(frozen=True)
class ClipSet:
    """Clips ready for training; row i of every field belongs to `clip_ids[i]`.

    Attributes:
        clip_ids: (n,) `dataset/subject/clip`.
        groups: (n,) `dataset/subject`.
        labels: (n,) int64 class indices.
        images: What networks look at: (n, 2, 3, size, size) uint8, onset and apex; or, where `kind` is `flow`,
            (n, 1, 3, size, size) float32, u, v and strain.
        aus: (n, 21) float32, 1 where an Action Unit is annotated.
        aus_known: (n,) bool, False where the clip has no AU annotation.
        classes: Class names.
        protocol: Name of the label protocol.
        kind: `frames` or `flow`.
        notes: What was left out and why, for the user.
    """

    clip_ids: Sequence[str]
    groups: Sequence[str]
    labels: torch.Tensor
    images: torch.Tensor
    aus: torch.Tensor
    aus_known: torch.Tensor
    classes: tuple[str, ...]
    protocol: str
    kind: Kind = "frames"
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n, size = len(self.clip_ids), self.images.shape[-1]
        expected = {
            "groups": (len(self.groups), n),
            "labels": (tuple(self.labels.shape), (n,)),
            "images": (tuple(self.images.shape), (n, 2 if self.kind == "frames" else 1, 3, size, size)),
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
    def class_counts(self) -> dict[str, int]:
        """Clips a class."""
        counts = Counter(self.labels.tolist())
        return {name: counts[index] for index, name in enumerate(self.classes)}

    @property
    def datasets(self) -> list[str]:
        """The sets that the clips come from, sorted."""
        return sorted({group.split("/")[0] for group in self.groups})


def load_clips(cache: Path, labels: str | None = None, kind: Kind = "frames") -> ClipSet:
    """Read every usable clip of a cache.

    Args:
        cache: What `mer preprocess` wrote; may hold several datasets.
        labels: Name of a label protocol, or a .toml file with one of your own; None for the default of the datasets.
        kind: What the network looks at; clips of the other kind are left out.

    Raises:
        MerError: Nothing usable, crops of several sizes, or a crop that is absent or damaged.
    """
    table = read_manifests(cache)
    others = table[table["kind"] != kind]
    table = table[table["kind"] == kind]
    if table.empty:
        needs = "onset and apex frames" if kind == "frames" else "optical flow"
        raise MerError(f"no clips for a network that takes {needs}", where=cache, fix="choose another --model")
    usable = table[(table["status"] == "ok") & table["emotion"].notna()]
    if usable.empty:
        raise MerError("no usable clip with an emotion label", where=cache, fix="see mer preprocess for the reasons")
    chosen = _protocol(labels) if labels else _default(usable)
    ids = zip(usable["clip_id"], usable["emotion"], strict=True)
    usable = usable.assign(label=pd.array([chosen.class_of_clip(clip, emotion) for clip, emotion in ids], "Int64"))
    kept = usable[usable["label"].notna()]
    notes = _notes(table, others, usable, kept, chosen)
    if kept.empty:
        raise MerError(f"no clip has a label of {chosen.name}", where=cache, fix="choose another label protocol")
    if kept["size"].nunique() != 1:
        sizes = ", ".join(str(size) for size in sorted(kept["size"].unique()))
        raise MerError(f"crops of several sizes ({sizes})", where=cache, fix="preprocess all sets with one --size")
    known = kept["aus"].notna().to_numpy(dtype=bool)
    vectors = [parse_aus(text).vector() if isinstance(text, str) else (0,) * len(AU_NUMBERS) for text in kept["aus"]]
    return ClipSet(
        clip_ids=kept["clip_id"].tolist(),
        groups=(kept["dataset"] + "/" + kept["subject"]).tolist(),
        labels=torch.tensor(kept["label"].to_numpy(dtype=np.int64)),
        images=_images(Store(cache / "objects"), kept, kind),
        aus=torch.tensor(vectors, dtype=torch.float32),
        aus_known=torch.tensor(known),
        classes=chosen.classes,
        protocol=chosen.name,
        kind=kind,
        notes=notes,
    )


def _protocol(labels: str) -> Protocol:
    return protocol_from_file(Path(labels)) if labels.endswith(".toml") else protocol(labels)


def _default(usable: pd.DataFrame) -> Protocol:
    """The protocol of the one dataset that there is, or one that fits the labels of several."""
    emotions = set(usable["emotion"])
    datasets = usable["dataset"].unique().tolist()
    if len(datasets) == 1:
        own = default_protocol(datasets[0], emotions)
        # A set can come with coarser labels than its own protocol has, as flow images do.
        if len({own.class_of(emotion) for emotion in emotions} - {None}) > 1:
            return own
    return default_protocol(None, emotions)


def _notes(
    table: pd.DataFrame, others: pd.DataFrame, usable: pd.DataFrame, kept: pd.DataFrame, chosen: Protocol
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
        notes.append(f"{int(dropped.sum())} clips are left out by the protocol {chosen.name} ({listed})")
    for dataset, clips in kept.groupby("dataset"):
        counts = {chosen.classes[int(str(label))]: int(n) for label, n in clips["label"].value_counts().items()}
        differs = compare_with_published(chosen, str(dataset), counts, clips["subject"].nunique())
        if differs:
            notes.append("not the published clips: " + "; ".join(differs))
    return tuple(notes)


def _images(store: Store, kept: pd.DataFrame, kind: Kind) -> torch.Tensor:
    stage, name = ("crop", "crops") if kind == "frames" else ("motion", "flow")
    size = int(kept["size"].iloc[0])
    images = np.empty(
        (len(kept), 2 if kind == "frames" else 1, 3, size, size), np.uint8 if kind == "frames" else np.float32
    )
    columns = ["clip_id", f"{stage}_key", "onset_frame", "apex_frame"]
    for row, (clip_id, key, *wanted) in enumerate(kept[columns].itertuples(index=False)):
        artefact = store.get(stage, key)
        if artefact is None:
            raise MerError(f"its {stage} is absent or damaged", where=clip_id, fix="run mer preprocess again")
        found = artefact.arrays[name]
        if kind == "frames":
            at = [artefact.facts["frames"].index(frame) for frame in wanted]
            found = found[at].transpose(0, 3, 1, 2)
        images[row] = found
    return torch.from_numpy(images)
