import dataclasses
import json
import shutil

import pytest
import safetensors.torch
import torch

from mer_pipeline.errors import MerError
from mer_pipeline.runs.weights import load_network


def test_the_weights_file_alone_is_enough(run, tmp_path):
    shutil.copy(run / "final" / "weights.safetensors", tmp_path / "w.safetensors")
    state, card = load_network(tmp_path / "w.safetensors")
    assert state
    assert card.held_out is None
    assert json.loads((run / "final" / "card.json").read_text())["classes"] == card.classes


def another_version(run, folder):
    state, card = load_network(run)
    text = json.dumps({**dataclasses.asdict(card), "format": 99})
    safetensors.torch.save_file(state, folder / "weights.safetensors", metadata={"card": text})
    return folder


def without_card(run, folder):
    safetensors.torch.save_file({"w": torch.ones(2)}, folder / "weights.safetensors")
    return folder


def pickled(run, folder):
    torch.save({"w": torch.ones(2)}, folder / "model.pt")
    return folder / "model.pt"


def damaged(run, folder):
    (folder / "weights.safetensors").write_bytes((run / "final" / "weights.safetensors").read_bytes()[:500])
    return folder


def unfinished(run, folder):
    shutil.copy(run / "run.json", folder)
    return folder


BAD = [
    pytest.param(another_version, r"written by another version \(format 99, this is 1\)", id="another version"),
    pytest.param(without_card, "the weights have no card", id="foreign weights"),
    pytest.param(pickled, "pickled checkpoints are refused", id="pickle"),
    pytest.param(damaged, "not a readable safetensors file", id="damaged"),
    pytest.param(unfinished, "no final network yet; finish it", id="unfinished run"),
    pytest.param(lambda run, folder: folder, "not a run folder", id="some folder"),
    pytest.param(lambda run, folder: folder / "absent", "no such model", id="absent"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_cannot_be_a_model_is_refused_in_one_line(run, tmp_path, make, message):
    with pytest.raises(MerError, match=message):
        load_network(make(run, tmp_path))
