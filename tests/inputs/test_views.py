"""Every view of a clip from raw frames to a trained network, and the same pictures at every size."""

import dataclasses

import numpy as np
import pytest
import torch

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.inputs.pictures import resized, scale_flow
from mer_pipeline.stages.flow import motion
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.training import load_clips, load_recipe, train

FRAMES, SIZE = 4, 64
SMALL = {
    "facesleuth-flow": {"size": 28},
    "resnet3d-flow": {"size": 28, "frames": FRAMES, "options.width": 8},
    "fdp": {"size": 32, "frames": FRAMES, "options.depths": [1, 1, 1, 1]},
}


@pytest.fixture(scope="module")
def full_cache(raw, tmp_path_factory):
    """Crops of several frames and their flow."""
    folder = tmp_path_factory.mktemp("views") / "cache"
    preprocess(read_dataset(raw), folder, Parameters(size=SIZE, motion="dis", frames=FRAMES))
    return folder


def test_every_view_has_its_shape_and_type(full_cache):
    expected = {
        "pair": ((2, 3), torch.uint8),
        "sequence": ((FRAMES, 1), torch.uint8),
        "flow": ((1, 3), torch.float32),
        "flow_sequence": ((FRAMES, 3), torch.float16),
    }
    for view, (shape, kind) in expected.items():
        clips = load_clips(full_cache, view=view, size=32, frames=FRAMES)
        assert tuple(clips.images.shape) == (15, *shape, 32, 32)
        assert (clips.images.dtype, clips.view, clips.chain.size) == (kind, view, SIZE)
        assert clips.flow == ("dis" if view.startswith("flow") else "")


def test_a_sequence_begins_at_the_onset_and_its_flow_with_nothing(full_cache):
    pair = load_clips(full_cache)
    grey = load_clips(full_cache, view="sequence", frames=FRAMES)
    onset = pair.images[:, 0].float().mean(1)
    assert (grey.images[:, 0, 0].float() - onset).abs().mean() < 8  # grey is not the mean of the channels
    assert (grey.images[:, 0] != grey.images[:, -1]).any()
    flows = load_clips(full_cache, view="flow_sequence", frames=FRAMES).images
    assert flows[:, 0].abs().max() < 0.1
    assert flows[:, 1:].abs().amax(dim=(1, 2, 3, 4)).min() > 0.2


def test_flow_is_the_motion_stage_in_hundredths(full_cache):
    pair, flow = load_clips(full_cache).images, load_clips(full_cache, view="flow").images
    onset, apex = (image.permute(1, 2, 0).contiguous().numpy() for image in pair[0])
    expected = scale_flow(motion(onset, apex, "dis")[None])
    np.testing.assert_allclose(flow[0].numpy(), expected, atol=1e-3)


def test_flow_means_the_same_at_every_size():
    """A tenth of the side is a tenth of the side."""
    large, small = np.zeros((1, 3, 64, 64), np.float16), np.zeros((1, 3, 32, 32), np.float16)
    large[:, 0], small[:, 0] = 6.4, 3.2
    np.testing.assert_allclose(resized(scale_flow(large), 32), scale_flow(small), rtol=1e-2)
    assert scale_flow(large)[0, 0, 0, 0] == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("model", SMALL)
def test_every_network_trains_on_its_view(full_cache, tmp_path, model):
    recipe = load_recipe(model, {"epochs": 1, "batch": 8, **SMALL[model]})
    clips = load_clips(full_cache, view=recipe.view, size=recipe.size, frames=recipe.frames)
    rows = [row for row, group in enumerate(clips.groups) if group != "casme2/03"]
    two = dataclasses.replace(
        clips,
        clip_ids=[clips.clip_ids[row] for row in rows],
        groups=[clips.groups[row] for row in rows],
        **{name: getattr(clips, name)[rows] for name in ("labels", "images", "aus", "aus_known")},
    )
    summary = train(two, recipe, tmp_path / "run", device="cpu").metrics.as_json()
    assert summary["clips"] == 10
    assert set(summary["controls"]) >= {"majority", "svm"}


@pytest.mark.parametrize(
    ("view", "frames", "message"),
    [
        ("sequence", 7, "frames .* are not in the cache; run mer preprocess again with --frames 7"),
        ("flow_sequence", 7, "the flow of 7 frames is not in the cache; run mer preprocess again with --frames 7"),
    ],
)
def test_other_frames_than_the_cache_has(full_cache, view, frames, message):
    with pytest.raises(MerError, match=message):
        load_clips(full_cache, view=view, frames=frames)


@pytest.mark.parametrize("view", ["flow", "flow_sequence"])
def test_a_cache_without_flow_says_how_to_get_it(cache, view):
    with pytest.raises(MerError, match="mer preprocess --motion tvl1"):
        load_clips(cache, view=view)
