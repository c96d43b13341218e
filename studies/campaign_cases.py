"""The cases of the campaign: what is damaged or disturbed, and how what comes of it is compared with the undisturbed.

Every case is a function of its number and of a generator of random numbers. It returns `same` where the result is that
of an undisturbed program bit for bit, `read` where a changed input was read as something, and raises `MerError` where
it is refused. `AssertionError` and anything else is a fault.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch

from mer_pipeline.datasets import read_dataset
from mer_pipeline.datasets.corrections import load_corrections
from mer_pipeline.evaluation.protocols import parse_protocol
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference.load import load_model
from mer_pipeline.inference.trained import rebuild
from mer_pipeline.inputs.clip_set import load_clips
from mer_pipeline.labels import label_set_from_file
from mer_pipeline.runs.weights import load_network, save_network
from mer_pipeline.spotting.video import spot_video
from mer_pipeline.video import open_footage
from studies.campaign_set import Undisturbed, digest_of_cache, digest_of_run, make_cache, place
from studies.damage import damage, mutated, with_wrong_part, with_wrong_value


class Cases:
    """The cases over an undisturbed set; each category is a method."""

    def __init__(self, made: Undisturbed) -> None:
        self.made = made
        self.kills = 0

    def videos(self, number: int, rng: random.Random) -> str:
        """A damaged video is read or refused."""
        source = rng.choice(self.made.videos)
        with place() as folder:
            path = folder / source.name
            path.write_bytes(mutated(source.read_bytes(), rng))
            footage = open_footage(path)
            assert len(footage) > 0
            count = sum(1 for _ in footage.read(range(min(len(footage), 40))))
            assert count == min(len(footage), 40)
            footage.frame(rng.randrange(len(footage)))
            if number % 10 == 0:
                spot_video(path, fps=None if footage.fps else 25, detector=Detector("none"))
        return "read"

    def sheets(self, _number: int, rng: random.Random) -> str:
        """A damaged sheet is read or refused."""
        base = self.made.folder / "sheets"
        name = rng.choice(("clips.xlsx", "clips.xlsx", "clips.xls", "clips.csv", "clips.csv", "others"))
        if name == "others":
            return self._tables(base, rng)
        source = base / (rng.choice(sorted(p.name for p in base.glob("clips-*"))) if name == "clips.csv" else name)
        content = source.read_bytes()
        changed = (
            with_wrong_part(content, rng) if name == "clips.xlsx" and rng.random() < 0.7 else mutated(content, rng)
        )
        with place() as folder:
            shutil.copytree(base / "set", folder / "set")
            (folder / "set" / name).write_bytes(changed)
            found = read_dataset(folder / "set", "own")
            assert all(clip.source.is_relative_to(folder) for clip in found.clips)
            json.dumps([str(problem) for problem in found.problems])
        return "read"

    def _tables(self, base: Path, rng: random.Random) -> str:
        name = rng.choice(("corrections.csv", "split.csv", "labels.toml"))
        with place() as folder:
            path = folder / name
            path.write_bytes(mutated((base / name).read_bytes(), rng))
            if name == "corrections.csv":
                load_corrections("set", path)
            elif name == "split.csv":
                groups = ["set/anna", "set/bob", "set/carl"]
                parse_protocol(str(path)).folds([f"{group}/x" for group in groups], groups)
            else:
                label_set_from_file(path)
        return "read"

    def cards(self, _number: int, rng: random.Random) -> str:
        """A damaged network or run gives its own results or is refused; a wrong value is refused or in range."""
        kind = rng.choice(("bytes", "bytes", "value", "card", "onnx", "weights", "file"))
        with place() as folder:
            run = folder / "run"
            if kind == "onnx" and (self.made.folder / "network.onnx").is_file():
                return self._onnx(folder / "network.onnx", rng)
            shutil.copytree(self.made.folder / "run", run)
            if kind in ("card", "onnx"):
                return _card(run, rng)
            files = sorted(p for p in run.rglob("*") if p.suffix in (".json", ".csv") and p.name != "card.json")
            if kind == "weights":
                files = [run / "final" / "weights.safetensors"]
            elif kind == "value":
                files = [path for path in files if path.suffix == ".json"]
            path = rng.choice(files)
            if kind == "file":
                damage(path, [each for each in files if each != path], rng)
                assert digest_of_run(run) == self.made.digests["run"], f"{path.name} was read with other values"
                return "same"
            if kind == "value":
                path.write_text(with_wrong_value(path.read_text(), rng))
                digest_of_run(run)
                return "read"
            path.write_bytes(mutated(path.read_bytes(), rng))
            assert digest_of_run(run) == self.made.digests["run"], f"{path.name} was read with other values"
        return "same"

    def _onnx(self, path: Path, rng: random.Random) -> str:
        source = self.made.folder / "network.onnx"
        path.write_bytes(mutated(source.read_bytes(), rng))
        expected, found = (_answers(each) for each in (source, path))
        assert np.array_equal(expected, found), "other answers"
        return "same"

    def caches(self, number: int, rng: random.Random) -> str:
        """A damaged cache is made whole again, and until then read as it was or refused."""
        with place() as folder:
            cache = Path(shutil.copytree(self.made.folder / "cache", folder / "cache"))
            files = sorted(path for path in cache.rglob("*") if path.is_file())
            for path in rng.sample(files, rng.randint(1, 6)):
                damage(path, [each for each in files if each.is_file() and each != path], rng)
            with contextlib.suppress(Exception) if number % 2 else contextlib.nullcontext():
                _load_or_refuse(cache, self.made.folder / "cache")
            for path in cache.glob("casme2/*"):
                if path.is_dir():  # a folder in the place of a manifest is for its owner to remove
                    shutil.rmtree(path)
            make_cache(self.made.folder / "raw", cache)
            assert digest_of_cache(cache) == self.made.digests["cache"], "another cache"
        return "same"


def _answers(path: Path) -> npt.NDArray[np.float32]:
    model = load_model(path, detector=Detector("none"))
    generator = torch.Generator().manual_seed(0)
    size = model.card.size
    return model.run(torch.rand((1, 2, 3, size, size), generator=generator)).probabilities


def _card(run: Path, rng: random.Random) -> str:
    """A wrong value in a card whose digest fits: what somebody may hand on as a network."""
    file = run / "final" / "weights.safetensors"
    state, card = load_network(run)
    save_network(run / "final", state, card)
    text = with_wrong_value(json.dumps(card.as_json()), rng)
    tensors = dict(state)
    if rng.random() < 0.3:
        name = rng.choice(sorted(each for each in tensors if tensors[each].is_floating_point()))
        tensors[name] = torch.full_like(tensors[name], rng.choice((float("nan"), float("inf"), 0.0)))
    file.write_bytes(safetensors.torch.save(tensors, metadata={"card": text}))
    state, card = load_network(file)
    probabilities = rebuild(state, card, file).eval()
    del probabilities
    answers = _answers(file)
    assert np.isfinite(answers).all(), "answers that are no numbers"
    assert len(answers) == len(card.classes)
    return "read"


def _load_or_refuse(cache: Path, undisturbed: Path) -> None:
    from mer_pipeline.errors import MerError

    try:
        found = load_clips(cache).fingerprint()
    except MerError:
        return
    assert found == load_clips(undisturbed).fingerprint(), "other clips"
