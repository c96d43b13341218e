"""Published flow images from their folder to a scored run."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.inference import Predictor
from mer_pipeline.stages.flow import read_flow_image
from mer_pipeline.stages.preprocess import preprocess
from mer_pipeline.training import load_clips, load_recipe, train
from mer_pipeline.training.augment import augment

EMOTIONS = ("negative", "positive", "surprise")
CELLS = [(4, 4), (14, 14), (22, 8)]  # where the motion of each class is


@pytest.fixture(scope="module")
def flow_cache(tmp_path_factory):
    """Flow images of 4 subjects whose class is where the motion is."""
    folder = tmp_path_factory.mktemp("flow")
    (folder / "raw" / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(1, 5):
        for at, emotion in enumerate([*EMOTIONS, *EMOTIONS]):
            image = rng.normal((125, 139, 40), 6, (28, 28, 3))
            row, column = CELLS[at % 3]
            image[row : row + 5, column : column + 5, :2] += 70
            name = f"casme2_sub{subject:02d}_c{at}.png"
            cv2.imwrite(str(folder / "raw" / "images" / name), np.clip(image, 0, 255).astype(np.uint8)[..., ::-1])
            rows.append(("casme2", f"sub{subject:02d}", f"c{at}", emotion, f"images/{name}"))
    table = pd.DataFrame(rows, columns=["dataset", "subject", "clip", "emotion", "image"])
    table.to_csv(folder / "raw" / "labels.csv", index=False)
    summary = preprocess(read_dataset(folder / "raw"), folder / "cache")
    assert summary.stages == {"motion": {"computed": 24, "cached": 0, "failed": 0}}
    assert preprocess(read_dataset(folder / "raw"), folder / "cache").stages["motion"]["cached"] == 24
    return folder / "cache"


def test_flow_is_centred_where_nothing_moves(tmp_path):
    image = np.full((28, 28, 3), (125, 139, 30), np.uint8)
    image[10:14, 10:14, 0] = 189
    cv2.imwrite(str(tmp_path / "f.png"), image[..., ::-1])
    flow = read_flow_image(tmp_path / "f.png")
    assert (flow.shape, flow.dtype) == ((3, 28, 28), np.float16)
    assert np.count_nonzero(flow[:2]) == 16
    assert flow[0, 10, 10] == pytest.approx(64 / 128)
    assert flow[2].max() == pytest.approx(30 / 255, abs=1e-3)


def test_a_flow_image_that_is_not_square_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "f.png"), np.zeros((28, 30, 3), np.uint8))
    with pytest.raises(MerError, match="a flow image of 30x28"):
        read_flow_image(tmp_path / "f.png")


def test_a_small_network_learns_from_flow(flow_cache, tmp_path):
    clips = load_clips(flow_cache, view="flow")
    assert (clips.label_set, clips.classes, clips.size) == ("megc3", EMOTIONS, 28)
    assert set(clips.groups) == {f"casme2/0{n}" for n in range(1, 5)}
    recipe = load_recipe("ststnet", {"epochs": 30, "batch": 8, "lr": 5e-3})
    summary = train(clips, recipe, tmp_path / "run", device="cpu").metrics.as_json()
    assert summary["uf1"] > 0.9
    assert summary["aus"] == "unused"
    with pytest.raises(MerError, match="was trained on published flow images, which are scaled one by one"):
        Predictor(tmp_path / "run")


def test_a_network_of_frames_says_that_it_cannot_take_flow(flow_cache):
    with pytest.raises(MerError, match="no clips for a network that takes onset and apex"):
        load_clips(flow_cache)


def test_mirroring_turns_the_motion_too():
    flow = torch.randn(4, 1, 3, 28, 28)
    mirrored = augment(flow, torch.tensor([-1.0, 0, 0, 0])[:, None].expand(4, 4), vectors=True)
    expected = flow.flip(-1) * torch.tensor([-1.0, 1.0, 1.0]).view(3, 1, 1)
    assert torch.allclose(mirrored, expected, atol=1e-5)


def test_turning_a_field_turns_its_vectors():
    """A field that points away from the middle looks the same from every side."""
    axis = (torch.arange(33) - 16) / 16
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    field = torch.stack([columns, rows, torch.zeros_like(rows)])[None, None]
    turned = augment(field, torch.tensor([1.0, 0.6, 0, 0])[:, None], vectors=True)
    inner = slice(8, 25)
    assert torch.allclose(turned[..., inner, inner], field[..., inner, inner], atol=1e-4)


@pytest.mark.shared
def test_the_real_flow_images_train(mer, shared, tmp_path):
    called = mer("preprocess", shared / "megc2019_flow", "--out", tmp_path / "c", "--json", "-q")
    assert json.loads(called.out)["ok"] == 309
    called = mer("train", "--dataset", tmp_path / "c", "--model", "ststnet", "--epochs", 1, "--out", tmp_path / "r",
                 "--seeds", 1, "--json", "-q")  # fmt: skip
    summary = json.loads(called.out)
    assert (summary["clips"], summary["folds"], summary["labels"]) == (309, 40, "megc3")
