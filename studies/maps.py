"""How many maps pass their check, for every model of the zoo, on synthetic clips of subjects that were held out.

    python -m studies.maps --folder FOLDER --report studies/reports/maps.md

Every model is trained in a small size (its own parts and head, narrow widths), on four subjects, and explains the clips
of two others. A map passes where hiding the fifth of the picture that it marks moves
the answer at least twice as much as hiding other regions of its shape (`mer_pipeline.networks.perturb`). The folder
keeps the clips and what became of each model: a model that stands there is not trained again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mer_pipeline.datasets import read_dataset
from mer_pipeline.device import hardware
from mer_pipeline.evaluation.protocols import folds_of
from mer_pipeline.inputs.clip_set import ClipSet, load_clips
from mer_pipeline.networks import holds, named_tensors
from mer_pipeline.recipe import load_recipe, model_names
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import synthesise
from mer_pipeline.training.loop import predict, train_network

SUBJECTS, CLIPS, SEED, SIZE, PARTS = 6, 8, 1, 96, 3
CPU = torch.device("cpu")
_SHORT = {"epochs": 30, "batch": 16, "lr": 2e-3, "weight_decay": 0.05}
_NARROW = {"options.stem": [16, 24], "options.channels": [24, 32, 48, 64]}
_OF_NETWORK: dict[str, dict[str, Any]] = {
    "facesleuth": {**_SHORT, **_NARROW, "angle_lr": 0.02, "options.embed_dim": 16},
    "facesleuth-flow": {},
    "fdp": {
        "lr": 1e-3, "options.depths": [1, 1, 2, 1], "options.widths": [12, 12, 24, 24], "options.stem": [8, 8, 8],
        "options.image_widths": [8, 8, 8, 8],
    },
    "mmnet": {**_SHORT, **_NARROW},
    "resnet18": {**_SHORT, "lr": 1e-3},
    "resnet3d": {"options.width": 8},
    "ststnet": {"epochs": 200, "batch": 32, "lr": 1e-3},
}  # fmt: skip


class Seen(NamedTuple):
    """One map of one held-out clip."""

    title: str
    moves: float
    passed: bool


class Found(NamedTuple):
    """What became of a model: right answers and all, and every map."""

    right: int
    clips: int
    maps: list[Seen]


def explained(model: str, cache: Path) -> Found:
    """Train a model and explain clips of other subjects."""
    recipe = load_recipe(model)
    recipe = load_recipe(model, _OF_NETWORK[recipe.network])
    clips = load_clips(cache, None, recipe.view, size=recipe.size, frames=recipe.frames)
    fold = folds_of(f"kfold:{PARTS}", clips.clip_ids, clips.groups)[0]
    test = list(fold.test)
    network = train_network(
        clips, fold.train, (), recipe, seed=SEED, device=CPU, on_epoch=lambda *_: None
    ).network.eval()
    found = predict(network, clips, test, "predicted", CPU).argmax(1)
    maps = [
        Seen(one.title, one.moves or 0.0, holds(one))
        for batch in _batches(clips, test)
        for one in network.explain(batch).maps
    ]
    return Found(int((found == clips.labels[test]).sum()), len(test), maps)


def _batches(clips: ClipSet, rows: Sequence[int]) -> Iterator[dict[str, torch.Tensor]]:
    """Each clip as `mer report` gives it to its network: Action Units are not known."""
    for row in rows:
        units = {"aus": torch.zeros(1, clips.aus.shape[1]), "aus_known": torch.zeros(1, dtype=torch.bool)}
        yield {**named_tensors(clips.view, clips.tensor(torch.tensor([row]), CPU)), **units}


def table(found: Mapping[str, Found]) -> list[str]:
    """A row a model and a kind of map."""
    lines = ["| model | right | map | passed | share | median ratio |", "|---|---|---|---|---|---|"]
    for model, of in found.items():
        for title in dict.fromkeys(one.title for one in of.maps):
            own = [one for one in of.maps if one.title == title]
            passed = sum(one.passed for one in own)
            lines.append(
                f"| {model} | {of.right} of {of.clips} | {title} | {passed} of {len(own)} | {passed / len(own):.0%} | "
                f"{statistics.median(one.moves for one in own):.1f} |"
            )
    return lines


def kept(model: str, folder: Path) -> Found:
    """What became of a model, from its file in the folder, or found now."""
    path = folder / f"{model}.json"
    if not path.is_file():
        right, clips, maps = explained(model, folder / "cache")
        path.write_text(json.dumps([right, clips, [tuple(one) for one in maps]]), encoding="utf-8")
    right, clips, maps = json.loads(path.read_text(encoding="utf-8"))
    return Found(right, clips, [Seen(*one) for one in maps])


def main() -> None:
    """Measure and print; with --report also write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="*", default=model_names(), help="of the zoo; all of them by default")
    parser.add_argument("--folder", type=Path, required=True, help="keeps clips and results")
    parser.add_argument("--report", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder: Path = arguments.folder
    if not (folder / "cache").is_dir():
        synthesise(folder / "raw", subjects=SUBJECTS, clips=CLIPS, seed=SEED)
        preprocess(read_dataset(folder / "raw"), folder / "new", Parameters(size=SIZE, motion="dis", frames=8))
        (folder / "new").rename(folder / "cache")
    found = {}
    for model in arguments.models:
        found[model] = kept(model, folder)
        print("\n".join(table({model: found[model]})[2:]), flush=True)
    every = [one for of in found.values() for one in of.maps]
    text = "\n".join(
        [
            "# Maps that pass their check",
            "",
            f"{datetime.date.today():%Y-%m-%d}, `python -m studies.maps`, {json.dumps(hardware(CPU))}. {SUBJECTS} "
            f"synthetic subjects, {CLIPS} clips each, {SIZE} px, seed {SEED}; what is done stands in the program.",
            "",
            *table(found),
            "",
            f"{sum(one.passed for one in every)} of {len(every)} maps pass and are drawn; the others are not, and the "
            "page says so.",
            "",
        ]
    )
    if arguments.report:
        arguments.report.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
