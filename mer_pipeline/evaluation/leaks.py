"""The guard against leaks between the sides of folds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.protocols import Fold


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
