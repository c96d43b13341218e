"""What a network is trained on and what it is given for a new video: the same tensor, to the last bit."""

import dataclasses
import re

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from mer_pipeline import networks
from mer_pipeline.datasets import read_dataset
from mer_pipeline.datasets.clip import Annotations, Clip
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference import Predictor
from mer_pipeline.inputs.clip_set import load_clips
from mer_pipeline.runs.card import Card
from mer_pipeline.runs.weights import save_network
from mer_pipeline.stages.keyframes import KeyFrames
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.video import open_footage
from tests.faces.dlib_predictor import train_predictor

FRAMES, CROP, SIZE = 4, 64, 32
NETWORKS = {
    "pair": ("facesleuth", {"stem": [4, 4], "channels": [4, 4, 4, 4], "embed_dim": 8}),
    "sequence": ("fdp", {"frames": FRAMES, "depths": [1, 1, 1, 1]}),
    "flow": ("ststnet", {}),
    "flow_sequence": ("resnet3d", {"frames": FRAMES, "width": 4}),
}
DETECTORS = ("face-mesh", "dlib", "none")
REGISTRATIONS = ("stable", "none")


@pytest.fixture(scope="module")
def annotations(raw):
    found = read_dataset(raw)
    return dataclasses.replace(found, clips=found.clips[:2])


@pytest.fixture(scope="module")
def detectors(raw, tmp_path_factory):
    predictor = train_predictor(raw, tmp_path_factory.mktemp("dlib") / "predictor.dat")
    return {name: Detector(name, predictor if name == "dlib" else None) for name in DETECTORS}


@pytest.fixture(scope="module")
def caches(annotations, detectors, tmp_path_factory):
    """A cache for every detector and registration."""
    made = {}
    for name, detector in detectors.items():
        for registration in REGISTRATIONS:
            folder = tmp_path_factory.mktemp("parity") / f"{name}-{registration}"
            preprocess(annotations, folder, Parameters(CROP, detector, registration, "dis", FRAMES))
            made[name, registration] = folder
    return made


def trained_on(clips, folder):
    """A run with fresh weights whose card is that of some clips."""
    name, options = NETWORKS[clips.view]
    network = networks.build(name, classes=2, size=SIZE, **options)
    card = Card(
        name, name, {**networks.option_defaults(name), **options}, SIZE, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225],
        ["a", "b"], "x", None, 0, 1, 2, 2, ["s"], {}, chain=clips.chain,
    )  # fmt: skip
    save_network(folder / "final", network.state_dict(), card)
    return folder


def seen_in_prediction(model, clips, rows, detector=None):
    """What a model is given of some clips with the key frames of the cache, and its notes."""
    seen = []
    with Predictor(model, "cpu", detector=detector) as predictor:
        for clip in clips:
            frames = (int(rows.loc[clip.clip_id, f"{name}_frame"]) for name in ("onset", "apex", "offset"))
            keyframes = KeyFrames(*frames)
            images = dict(open_footage(clip.source).read(predictor.model.wants(keyframes).needed))
            seen.append(predictor.classify(images, keyframes).output.pictures[0])
        return seen, predictor.model.notes


def rows_of(cache):
    return pd.concat(pd.read_parquet(path) for path in cache.glob("*/manifest.parquet")).set_index("clip_id")


@pytest.mark.parametrize("view", NETWORKS)
@pytest.mark.parametrize("registration", REGISTRATIONS)
@pytest.mark.parametrize("name", DETECTORS)
def test_training_and_prediction_see_the_same(
    annotations, detectors, caches, tmp_path, monkeypatch, name, registration, view
):
    cache = caches[name, registration]
    clips, rows = load_clips(cache, view=view, size=SIZE, frames=FRAMES), rows_of(cache)
    if name == "dlib":
        monkeypatch.setenv("MER_DLIB_PREDICTOR", str(detectors["dlib"].file))
    model = trained_on(clips, tmp_path / "run")
    found, notes = seen_in_prediction(model, annotations.clips, rows)
    assert notes == []
    for predicted, trained in zip(found, clips.tensor(torch.arange(2), torch.device("cpu")), strict=True):
        assert predicted.dtype == trained.dtype == torch.float32
        assert torch.equal(predicted, trained)


def test_chains_differ_in_what_they_show(caches):
    """Else the table above would hold whatever the card says."""
    first, *others = (load_clips(caches[key]).images for key in caches if "face-mesh" in key or "stable" in key)
    assert len(others) == 3
    assert all(not torch.equal(first, other) for other in others)


def test_a_detector_of_the_users_own_is_warned_of(annotations, caches, tmp_path):
    cache = caches["none", "stable"]
    clips, clip = load_clips(cache, size=SIZE), annotations.clips[0]
    model = trained_on(clips, tmp_path / "run")
    (predicted,), notes = seen_in_prediction(model, [clip], rows_of(cache), Detector())
    assert not torch.equal(predicted, clips.tensor(torch.tensor([0]), torch.device("cpu"))[0])
    assert notes == [
        "the network was trained on faces found by none, and face-mesh was asked for: its answers may differ"
    ]


def test_an_old_card_is_read_with_a_warning(annotations, caches, tmp_path):
    cache = caches["face-mesh", "stable"]
    clips, clip = dataclasses.replace(load_clips(cache, size=SIZE), chain=None), annotations.clips[0]
    _, notes = seen_in_prediction(trained_on(clips, tmp_path / "run"), [clip], rows_of(cache))
    assert len(notes) == 1
    assert notes[0].startswith("the network's card does not say how its faces were found and registered")


@pytest.mark.parametrize(
    ("changed", "view", "message"),
    [
        pytest.param(
            {"detector": Detector("none")}, "pair", r"by several detectors \(face-mesh with .*, none\)", id="detector"
        ),
        pytest.param({"registration": "none"}, "pair", r"in several ways \(none, stable\)", id="registration"),
        pytest.param({"size": 48}, "pair", r"crops of several sizes \(48, 64\)", id="size"),
        pytest.param({"frames": 8}, "pair", r"crops of several numbers of frames \(0, 8\)", id="frames"),
        pytest.param({"motion": "tvl1"}, "flow", r"flow of several kinds \(dis, tvl1\)", id="motion"),
    ],
)
def test_a_cache_with_two_chains_is_refused(annotations, tmp_path, changed, view, message):
    one = Parameters(CROP, motion="dis")
    clips = tuple(dataclasses.replace(clip, dataset="other") for clip in annotations.clips)
    preprocess(annotations, tmp_path, one)
    preprocess(
        dataclasses.replace(annotations, dataset="other", clips=clips), tmp_path, dataclasses.replace(one, **changed)
    )
    with pytest.raises(MerError, match=message):
        load_clips(tmp_path, view=view)


def test_motion_may_differ_where_no_flow_is_shown(annotations, tmp_path):
    clips = tuple(dataclasses.replace(clip, dataset="other") for clip in annotations.clips)
    preprocess(annotations, tmp_path, Parameters(CROP))
    preprocess(dataclasses.replace(annotations, dataset="other", clips=clips), tmp_path, Parameters(CROP, motion="dis"))
    assert len(load_clips(tmp_path).clip_ids) == 4


def test_of_two_people_both_follow_the_one_who_stays(annotations, tmp_path):
    """A larger face is there in the onset alone."""
    clip = annotations.clips[0]
    frames = dict(open_footage(clip.source).read([clip.onset_frame, clip.apex_frame]))
    folder = tmp_path / "raw" / "two"
    folder.mkdir(parents=True)
    for number, image in enumerate(frames.values()):
        small = cv2.resize(image, (480, 360), interpolation=cv2.INTER_AREA)
        canvas = np.full((480, 1120, 3), 120, np.uint8)
        canvas[60:420, 640:] = small
        if number == 0:
            canvas[:, :640] = next(iter(frames.values()))
        cv2.imwrite(str(folder / f"{number}.png"), canvas[..., ::-1])
    two = Clip("own", "1", "two", folder, 0, 1, 1, "happiness", fps=200.0)
    preprocess(Annotations("own", (two,)), tmp_path / "cache", Parameters(CROP))
    rows = rows_of(tmp_path / "cache")
    assert rows["faces"].tolist() == [2]
    clips = load_clips(tmp_path / "cache", size=SIZE)
    model = trained_on(clips, tmp_path / "run")
    (predicted,), _ = seen_in_prediction(model, [two], rows)
    assert torch.equal(predicted, clips.tensor(torch.tensor([0]), torch.device("cpu"))[0])
    with Predictor(model, "cpu") as predictor:
        (warning,) = [
            text for text in predictor(folder, onset_frame=0, apex_frame=1, fps=200).warnings if "took" in text
        ]
    assert int(re.search(r"2 faces; took the one at (\d+),", warning)[1]) > 640, "the one on the right"
