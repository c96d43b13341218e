"""Who is held out, and that nothing of them is trained on."""

import dataclasses

import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_val_score

from mer_pipeline.errors import MerError
from mer_pipeline.evaluation import protocols
from mer_pipeline.evaluation.leaks import guard, look_alikes
from mer_pipeline.evaluation.metrics import over_units
from mer_pipeline.evaluation.protocols import Fold, Protocol, folds_of, inner_splits, parse_protocol
from mer_pipeline.runs.results import UnitScores
from mer_pipeline.training import Plan, load_recipe, train

IDS = [f"{d}/{s}/{c}" for d in ("casme2", "smic", "samm") for s in ("01", "02") for c in "ab"]
GROUPS = [clip.rpartition("/")[0] for clip in IDS]


def held_out(protocol):
    return [(fold.held_out, len(fold.train), len(fold.test)) for fold in folds_of(protocol, IDS, GROUPS)]


def test_every_protocol_holds_out_what_it_says():
    assert len(held_out("loso")) == 6
    assert held_out("lodo") == [("casme2", 8, 4), ("samm", 8, 4), ("smic", 8, 4)]
    assert [fold for fold, _, _ in held_out("kfold:3")] == ["fold-1", "fold-2", "fold-3"]
    assert len(held_out("kfold")) == 5


# Protocols that test every clip once.
WHOLE = [
    "loso",
    "lodo",
    "kfold:2",
    "kfold:4",
]


@pytest.mark.parametrize("protocol", WHOLE)
def test_every_clip_is_tested_once_by_networks_that_never_saw_its_subject(protocol):
    folds = folds_of(protocol, IDS, GROUPS)
    assert sorted(row for fold in folds for row in fold.test) == list(range(len(IDS)))
    for fold in folds:
        assert {GROUPS[row] for row in fold.train}.isdisjoint(GROUPS[row] for row in fold.test)


def test_cd6me_holds_out_each_of_its_six_sets_and_averages_over_twelve_units():
    sets = ("casme", "casme2", "samm", "4dme", "mmew", "casme3", "smic")
    ids = [f"{name}/0{at}/x" for name in sets for at in (1, 2)]
    folds = folds_of("cd6me", ids, [clip.rpartition("/")[0] for clip in ids])
    assert [(fold.held_out, len(fold.train), len(fold.test)) for fold in folds] == [
        (name, 10, 2) for name in sorted(sets[:6])
    ]
    assert not any(row >= 12 for fold in folds for row in (*fold.train, *fold.test)), "SMIC has no Action Units"
    with pytest.raises(MerError, match="not in the cache: casme, 4dme, mmew, casme3; preprocess them into it"):
        folds_of("cd6me", IDS, GROUPS)
    scores = {1: UnitScores(5, 0.5, 0.7, 0.2), 2: UnitScores(5, 0.3, 0.7, 0.1), 45: UnitScores(5, 1.0, 1.0, 1.0)}
    assert over_units(scores, parse_protocol("cd6me").units) == {"aus_f1": 0.4, "aus_constant_f1": 0.15, "aus": 2}
    assert over_units(scores, parse_protocol("lodo").units) == {}


def test_dfme_needs_both_sides():
    with pytest.raises(MerError, match="dfme-ccac needs the training part of DFME and a test"):
        folds_of("dfme-ccac", IDS, GROUPS)


def test_a_fixed_split_names_clips_or_subjects(tmp_path):
    (tmp_path / "mine.csv").write_text("subject,split\ncasme2/01,train\ncasme2/02,test\n")
    (fold,) = folds_of(str(tmp_path / "mine.csv"), IDS, GROUPS)
    assert (fold.held_out, fold.train, fold.test) == ("mine", (0, 1), (2, 3))
    (tmp_path / "clips.csv").write_text("clip,split\nsmic/01/a,train\nsamm/01/b,test\n")
    (fold,) = folds_of(str(tmp_path / "clips.csv"), IDS, GROUPS)
    assert (fold.train, fold.test) == ((4,), (9,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,fold\na,1\n", "lacks a column"),
        ("subject,split\ncasme2/09,train\n", "the cache has no subject 'casme2/09'"),
        ("subject,split\ncasme2/01,valid\n", "split 'valid' is unknown"),
        ("subject,split\ncasme2/01,train\ncasme2/01,test\n", "casme2/01 is on both sides"),
        ("subject,split\ncasme2/01,train\n", "leaves a side empty"),
    ],
)
def test_a_wrong_split_says_what_to_write(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(MerError, match=message):
        folds_of(str(tmp_path / "s.csv"), IDS, GROUPS)


@pytest.mark.parametrize("protocol", ["loocv", "kfold:x", "kfold:1", "kfold:99"])
def test_an_impossible_protocol_is_one_line(protocol):
    with pytest.raises(MerError, match=r"unknown protocol|cannot be split"):
        folds_of(protocol, IDS, GROUPS)


def test_one_dataset_cannot_be_left_out():
    with pytest.raises(MerError, match="at least two datasets"):
        folds_of("lodo", IDS[:4], GROUPS[:4])


def test_a_planted_picture_fails_the_run(two_sets, tmp_path):
    """The same picture under another subject's name is the commonest leak, and no id shows it."""
    images = two_sets.images.clone()
    images[-1] = images[0]
    leaking = dataclasses.replace(two_sets, images=images)
    with pytest.raises(MerError, match=r"leak: casme2/01/c0 and smic/04/c5 hold the same picture"):
        train(leaking, load_recipe("ststnet", {"epochs": 1}), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_split_of_one_subjects_clips_fails_the_run(two_sets, tmp_path):
    (tmp_path / "s.csv").write_text("clip,split\ncasme2/01/c0,train\ncasme2/01/c1,test\n")
    with pytest.raises(MerError, match=r"leak: subject casme2/01 is on both sides"):
        train(two_sets, load_recipe("ststnet"), tmp_path / "run", Plan(str(tmp_path / "s.csv")), device="cpu")


def test_clips_that_look_nearly_the_same_are_named(two_sets):
    """A picture that was encoded again passes the guard of equal pictures."""
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(len(two_sets.clip_ids), 2, 3, 32, 32, generator=generator)).to(torch.uint8)
    pairs = dataclasses.replace(two_sets, view="pair", images=images)
    assert look_alikes(pairs) == ()
    images[-1] = (images[0] + (images[0] < 250).to(torch.uint8)).clip(max=255)
    (said,) = look_alikes(pairs)
    assert said.startswith("1 pairs of clips of different subjects look nearly the same, such as casme2/01/c0 and")
    images[1] = images[0]
    assert len(look_alikes(pairs)) == 1, "clips of one subject may look alike"
    assert look_alikes(two_sets) == ()


def test_even_pictures_are_no_leak(two_sets):
    images = two_sets.images.clone()
    images[:, 0] = 0  # as the flow of the onset to itself
    arguments = folds_of("loso", two_sets.clip_ids, two_sets.groups), two_sets.clip_ids, two_sets.groups, images
    guard(*arguments)
    images[:, 0, 0, 0, 0] = 1  # the same speck in all of them is a picture
    with pytest.raises(MerError, match="leak"):
        guard(*arguments)


def test_the_epoch_is_chosen_by_training_subjects():
    (fold, *_) = folds_of("loso", IDS, GROUPS)
    splits = inner_splits(GROUPS, fold.train)
    assert len(splits) == 5
    for learn, choose in splits:
        assert sorted([*learn, *choose]) == list(fold.train)
        assert {GROUPS[row] for row in learn}.isdisjoint(GROUPS[row] for row in choose)
    assert sorted(row for _, choose in splits for row in choose) == list(fold.train)
    with pytest.raises(MerError, match="two training subjects"):
        inner_splits(["a/1", "a/1", "a/2"], [0, 1])


def test_each_training_of_kfold_deals_the_subjects_anew():
    dealt = [folds_of("kfold:3", IDS, GROUPS, training) for training in (0, 0, 1, 2)]
    assert dealt[0] == dealt[1]
    assert len({tuple(fold.test for fold in folds) for folds in dealt}) == 3
    for folds in dealt:
        assert sorted(row for fold in folds for row in fold.test) == list(range(len(IDS)))
        assert all({GROUPS[row] for row in f.train}.isdisjoint(GROUPS[row] for row in f.test) for f in folds)


SPLITTERS = [
    pytest.param("loso", LeaveOneGroupOut(), GROUPS, id="loso"),
    pytest.param("lodo", LeaveOneGroupOut(), [group.split("/")[0] for group in GROUPS], id="lodo"),
    pytest.param("kfold:3", GroupKFold(3), GROUPS, id="kfold"),
]


@pytest.mark.parametrize(("text", "reference", "groups"), SPLITTERS)
def test_a_protocol_is_a_splitter_of_scikit_learn(text, reference, groups):
    protocol = parse_protocol(text)
    got = [(train.tolist(), test.tolist()) for train, test in protocol.split(IDS, groups=GROUPS)]
    assert got == [(train.tolist(), test.tolist()) for train, test in reference.split(IDS, groups=groups)]
    assert protocol.get_n_splits(IDS) == len(got) == len(folds_of(text, IDS, GROUPS))
    truth = [clip[-1] for clip in IDS]
    assert len(cross_val_score(DummyClassifier(), IDS, truth, groups=GROUPS, cv=protocol)) == len(got)


WORDS = [
    pytest.param("loso", "LOSO", "each holding out one subject (LOSO)", id="loso"),
    pytest.param("cd6me", "CD6ME", "each holding out one of six datasets (CD6ME)", id="cd6me"),
    pytest.param("dfme-ccac", "dfme-ccac", "the tests A and B of DFME, by networks of its training part", id="dfme"),
    pytest.param("lodo", "LODO", "each holding out one dataset (LODO)", id="lodo"),
    pytest.param("kfold:3", "kfold:3", "split by kfold:3", id="kfold"),
    pytest.param("gone.csv", "gone.csv", "split by gone.csv", id="file"),
    pytest.param("of-a-later-version", "of-a-later-version", "split by of-a-later-version", id="unknown"),
]


@pytest.mark.parametrize(("text", "label", "sentence"), WORDS)
def test_the_words_of_a_protocol(text, label, sentence):
    assert (protocols.protocol_label(text), protocols.protocol_sentence(text)) == (label, sentence)


def test_one_more_protocol_is_one_more_class(monkeypatch):
    """Help, errors, folds and the words of reports follow from the class."""
    monkeypatch.setattr(protocols, "PROTOCOLS", [*protocols.PROTOCOLS])

    @protocols.register
    class FirstClip(Protocol):
        usage, help, label, sentence = "first", "the first clip", "FIRST", "holding out the first clip"

        @classmethod
        def parse(cls, text):
            return cls() if text == "first" else None

        def folds(self, clip_ids, groups):
            return [Fold("first", tuple(range(1, len(clip_ids))), (0,))]

    assert [fold.test for fold in Plan("first").folds(_lonely())] == [(0,)]
    assert protocols.protocol_sentence("first") == "holding out the first clip"
    assert "first (the first clip)" in protocols.protocol_help()
    with pytest.raises(MerError, match=r"cd6me, dfme-ccac or first$"):
        parse_protocol("last")


def _lonely():
    """Clips of one subject each."""
    from tests.training.conftest import flow_clips

    return flow_clips(clips=1)
