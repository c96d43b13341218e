"""The study of the published flow images, on clips of which everything is known."""

import numpy as np
import pytest
import torch

from mer_pipeline.evaluation.protocols import Fold
from mer_pipeline.training import Plan, load_recipe, train
from studies.flow_machines import mirrored, stacked
from studies.flow_report import write_report
from studies.flow_set import ENSEMBLE, JOINED, MEMBERS, NETWORKS, SYSTEMS, by_part, join, probabilities
from tests.training.conftest import flow_clips


def test_the_mirror_image_of_a_face_moves_the_other_way_sideways_alone():
    images = flow_clips(subjects=1, clips=3).images
    turned = mirrored(images)
    assert torch.equal(turned[:, :, 0], -images[:, :, 0].flip(-1))
    assert torch.equal(turned[:, :, 1:], images[:, :, 1:].flip(-1))
    assert torch.equal(mirrored(turned), images)


def test_a_networks_answer_is_the_mean_over_seeds_of_the_fold_that_held_the_clip_out(tmp_path):
    clips = flow_clips(subjects=1)
    run = train(clips, load_recipe("ststnet", {"epochs": 1}), tmp_path / "run", Plan("lodo", seeds=2), device="cpu")
    found = probabilities(run, clips)
    expected = np.zeros_like(found)
    for training in run.trainings:
        for one in training.predictions:
            expected[clips.clip_ids.index(one.clip_id)] += np.array(one.probabilities) / 2
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found[:6], found[6:])


def test_the_ensemble_is_what_was_declared():
    assert set(MEMBERS) < set(SYSTEMS)
    generator = np.random.default_rng(0)
    networks = {name: generator.dirichlet([1, 1, 1], 4) for name in SYSTEMS}
    machines = {name: generator.dirichlet([1, 1, 1], 4) for name in (*JOINED[:2], "another")}
    found = join(networks, machines)
    mean = np.mean([networks[name] for name in MEMBERS], axis=0)
    np.testing.assert_allclose(found[NETWORKS], mean)
    np.testing.assert_allclose(found[ENSEMBLE], (mean + sum(machines[name] for name in JOINED[:2])) / 3)


@pytest.mark.parametrize("good", ["machine", "prior"])
def test_stacking_hears_whichever_is_right(good):
    clips = flow_clips(subjects=5)
    labels, generator = clips.labels.numpy(), np.random.default_rng(0)
    right, noise = np.eye(3)[labels] - 0.5, generator.standard_normal((len(labels), 3))
    features, prior = (right, noise) if good == "machine" else (noise, right)
    held_out = [row for row, group in enumerate(clips.groups) if group == "casme2/01"]
    fold = Fold("casme2/01", [row for row in range(len(labels)) if row not in held_out], held_out)
    assert (stacked([features], prior, clips, fold).argmax(1) == labels[held_out]).all()


def test_the_report_says_what_was_reached_and_what_others_publish(tmp_path):
    clips = flow_clips(subjects=1)
    score = by_part(clips.labels.numpy(), clips)
    less = {"value": 0.1, "low": -0.1, "high": 0.3, "p": 0.3, "p_holm": 0.6, "detectable": 0.25}
    network = {
        "model": "off-apexnet",
        "parameters": 5,
        "uf1": 0.5,
        "sd": {"uf1": 0.1},
        "oracle": {"uf1": 0.7},
        "averaged": score,
    }
    systems = {
        "Off-ApexNet": {**network, "score": score, "less_svm": less},
        ENSEMBLE: {"score": score, "less_svm": less},
    }
    controls = {"svm": {"by_part": score}, "majority": {"uf1": 0.2, "uar": 0.3}}
    write_report({"loso": {"systems": systems, "controls": controls}, "commits": ["a"]}, clips, tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text()
    assert "| Off-ApexNet | 5 | 0.500 ± 0.100 | 0.700 | 1.000 | 1.000 / 1.000 |" in text
    assert "+0.100 (-0.100 to +0.300), 0.6 |" in text
    assert "beyond the control on the same folds: none; below it: none (2 comparisons, Holm)" in text
    assert "differences from 0.25 to 0.25, by system" in text
    assert "1.000 (Off-ApexNet): 0.80 is reached" in text
    assert "- Off-ApexNet: UF1 0.720, UAR 0.710" in text
