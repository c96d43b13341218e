"""The model that ships, beside a network that is trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mer_pipeline import networks
from mer_pipeline.cache.chain import Chain
from mer_pipeline.errors import MerError
from mer_pipeline.inference.export import export
from mer_pipeline.networks.prior import MEMBERS, UNITS
from mer_pipeline.reader import GROUPS, shipped
from mer_pipeline.recipe import load_recipe
from mer_pipeline.training import Plan, train
from mer_pipeline.training.prior import NOTE, start_prior
from tests.training.conftest import flow_clips

SMALL = {"prior": "shipped", "epochs": 2, "options.filters": [1, 1, 1]}


def beside(clips):
    network = networks.build("ststnet", classes=len(clips.classes), size=clips.size, prior=True).eval()
    start_prior(network, clips)
    assert network.prior is not None
    return network


def read(clips, aligned):
    """What the reader itself says of the classes, (clips, classes)."""
    groups = shipped().read(clips.images[:, 0].numpy(), aligned=aligned).groups
    return groups[:, [GROUPS.index(name) for name in clips.classes]]


def own_flow(size=96):
    """Clips with flow of their own, in crops as the stages make them: smooth fields."""
    clips = flow_clips(subjects=2)
    images = torch.nn.functional.interpolate(clips.images[:, 0], (size, size), mode="bilinear")[:, None]
    return replace(clips, images=images, chain=Chain(size, (), "stable", "tvl1"))


def test_its_shape_is_that_of_the_reader_that_ships():
    assert tuple(member.cells for member in shipped().members) == MEMBERS
    assert {member.tensors["hidden.bias"].shape for member in shipped().members} == {(UNITS,)}


def test_it_says_what_the_reader_says_of_published_flow(two_sets):
    prior = beside(two_sets).prior(two_sets.images[:, 0]).exp().numpy()
    np.testing.assert_allclose(prior, read(two_sets, aligned=False), atol=1e-5)


def test_it_reads_the_closer_part_of_aligned_crops():
    clips = own_flow()
    found = beside(clips).prior(clips.images[:, 0]).exp().numpy()
    off, off_whole = (np.abs(found - read(clips, aligned=aligned)).mean() for aligned in (True, False))
    assert off < 0.02, "pixels are averaged over slightly other areas"
    assert off < 0.5 * off_whole


def test_classes_share_the_probability_of_their_group(two_sets):
    classes = ("happiness", "disgust", "repression", "surprise", "others", "none")
    clips = replace(two_sets, classes=classes)
    share = beside(clips).prior.get_buffer("share")
    expected = [[0, 1, 0, 0], [0.5, 0, 0, 0], [0.5, 0, 0, 0], [0, 0, 1, 0], [0.25] * 4, [0, 0, 0, 1]]
    assert share.tolist() == expected


def test_it_is_added_to_the_answer_and_never_trained(two_sets):
    network = beside(two_sets)
    batch = {"flow": two_sets.images[:4, 0]}
    alone, prior = network(**batch).logits, network.prior(batch["flow"])
    torch.testing.assert_close(network.run(batch).logits, alone + prior)
    assert not any("prior" in name for name, _ in network.named_parameters())
    branched = networks.build("facesleuth-flow", classes=3, size=28, prior=True, au_input=True)
    start_prior(branched, two_sets)
    torch.manual_seed(0)
    aus = {"aus": two_sets.aus[:4], "aus_known": two_sets.aus_known[:4]}
    branched.eval()
    output, own = branched.run({**batch, **aus}), branched(**batch, **aus)
    torch.testing.assert_close(output.logits, own.logits + prior)
    branched.train()
    seen, heard = branched.run({**batch, **aus}).branches
    assert seen.shape == heard.shape == prior.shape


def test_a_run_keeps_it_and_says_so(two_sets, tmp_path):
    run = train(two_sets, load_recipe("ststnet", SMALL), tmp_path / "run", Plan("lodo"), device="cpu")
    assert NOTE in run.facts.notes
    from mer_pipeline.inference.trained import rebuild
    from mer_pipeline.runs.weights import load_network

    state, card = load_network(run.folder)
    network = rebuild(state, card, run.folder)
    torch.testing.assert_close(network.prior(two_sets.images[:, 0]), beside(two_sets).prior(two_sets.images[:, 0]))
    assert run.metrics.honest["uf1"] >= 0


def test_it_is_exported_with_the_network(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    run = train(own_flow(), load_recipe("ststnet", SMALL), tmp_path / "run", Plan("lodo"), device="cpu")
    assert export(run.folder, tmp_path / "net.onnx").difference < 1e-5


@pytest.mark.parametrize(
    ("model", "value", "message"),
    [("facesleuth-tiny", "shipped", "a prior reads flow"), ("ststnet", "mine", "prior = 'mine' is unknown")],
)
def test_what_cannot_be_is_one_line(model, value, message):
    with pytest.raises(MerError, match=message):
        load_recipe(model, {"prior": value})
