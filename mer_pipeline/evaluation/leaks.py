"""The guard against leaks between the sides of folds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.protocols import Fold
from mer_pipeline.inputs.clip_set import SAME_PERSON, ClipSet
from mer_pipeline.inputs.views import VIEWS

ALIKE = 0.98  # correlation of two onsets at 16 x 16
_SIDE, _ROWS = 16, 256


def guard(folds: Iterable[Fold], clip_ids: Sequence[str], groups: Sequence[str], images: torch.Tensor) -> None:
    """Refuse folds that let anything of a test clip into training.

    Args:
        folds: What is going to be trained.
        clip_ids: `dataset/subject/clip` of every clip.
        groups: `dataset/subject` of every clip.
        images: (n, F, ...) what the network is given; one with equal content is the same picture whatever its clip is
            called, except an even one, as flow is where nothing moved.

    Raises:
        MerError: A subject, a clip or a picture is on both sides of a fold.
    """
    prints = [
        {
            hashlib.blake2b(picture.numpy().tobytes(), digest_size=16).digest()
            for picture in clip.contiguous()
            if picture.min() != picture.max()
        }
        for clip in images
    ]
    for fold in folds:
        seen = {picture: row for row in fold.train for picture in prints[row]}
        subjects, clips = {groups[row] for row in fold.train}, {clip_ids[row] for row in fold.train}
        for row in fold.test:
            where = f"fold {fold.held_out}"
            if groups[row] in subjects:
                raise MerError(f"leak: subject {groups[row]} is on both sides", where=where, fix="split by subject")
            if clip_ids[row] in clips:
                raise MerError(f"leak: clip {clip_ids[row]} is on both sides", where=where, fix="split by subject")
            same = next((seen[picture] for picture in prints[row] if picture in seen), None)
            if same is not None:
                raise MerError(
                    f"leak: {clip_ids[row]} and {clip_ids[same]} hold the same picture, on both sides",
                    where=where,
                    fix="remove one of them from the data",
                )


def look_alikes(clips: ClipSet) -> tuple[str, ...]:
    """A sentence on clips of different subjects whose first pictures are nearly the same; none where there are none.

    The guard refuses equal pictures; one that was encoded again, or another frame of the same recording, is only like.
    Flow has no face to compare.
    """
    if VIEWS[clips.view].shows_flow:
        return ()
    small = F.adaptive_avg_pool2d(clips.images[:, 0].float().mean(1, keepdim=True), _SIDE).flatten(1)
    small = F.normalize(small - small.mean(1, keepdim=True), dim=1)
    names = {name: number for number, name in enumerate(sorted(set(clips.groups)))}
    groups = torch.tensor([names[group] for group in clips.groups])
    found = []
    for rows in torch.arange(len(small)).split(_ROWS):
        alike = (small[rows] @ small.T > ALIKE) & (groups[rows, None] < groups[None])
        found += [(int(rows[row]), int(column)) for row, column in alike.nonzero()]
    if not found:
        return ()
    first, second = (clips.clip_ids[row] for row in found[0])
    return (
        f"{len(found)} pairs of clips of different subjects look nearly the same, such as {first} and {second}: if "
        f"they are of one person, name both subjects in {SAME_PERSON} beside the manifests",
    )
