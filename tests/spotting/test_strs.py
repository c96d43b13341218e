"""STRS against a second way to compute it, and where the public scorer's differs."""

import math
import random

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from mer_pipeline.datasets.long_videos import read_long
from mer_pipeline.errors import MerError
from mer_pipeline.spotting.strs import (
    CLASSES,
    DIFFERENCES,
    Answer,
    as_defined,
    is_submission,
    number_of,
    official,
    read_submission,
    true_answers,
    write_submission,
)


def overlap(a, b):
    """By counting frames."""
    a, b = (set(range(each.onset, each.offset + 1)) for each in (a, b))
    return len(a & b) / len(a | b)


def random_case(seed):
    """Videos of three subjects; some without a true interval, some without an answer; answers near the truth or far."""
    rng = random.Random(seed)
    truth, answers = [], []
    for subject in "abc"[: rng.randint(1, 3)]:
        for video in "xyz":
            at = 0
            for _ in range(rng.choice((0, 1, 2, 3))):
                at += rng.randint(1, 30)
                end = at + rng.randint(1, 20)
                truth.append(Answer(subject, video, at, end, rng.choice((*CLASSES, "others"))))
                if rng.random() < 0.7:
                    onset = at + rng.randint(-6, 6)
                    emotion = rng.choice((truth[-1].emotion, *CLASSES))
                    answers.append(Answer(subject, video, onset, max(onset, end + rng.randint(-6, 6)), emotion))
                at = end + 1
            if rng.random() < 0.3:
                onset = rng.randint(-5, 60)
                answers.append(Answer(subject, video, onset, onset + rng.randint(0, 30), rng.choice(CLASSES)))
    rng.shuffle(answers)
    return answers, truth


def defined_otherwise(answers, truth):
    """By the best assignment, and scikit-learn's scores."""
    hits = []
    for key in {(each.subject, each.video) for each in truth}:
        own, true = ([each for each in side if (each.subject, each.video) == key] for side in (answers, truth))
        fits = np.array([[overlap(a, t) for t in true] for a in own]).reshape(len(own), len(true))
        # As many hits as possible, and of these the best fits.
        rows, columns = linear_sum_assignment(np.where(fits >= 0.5, 10 + fits, 0), maximize=True)
        hits += [(true[t].emotion, own[a].emotion) for a, t in zip(rows, columns, strict=True) if fits[a, t] >= 0.5]
    spotted = 2 * len(hits) / (len(answers) + len(truth)) if answers or truth else 0.0
    known = [pair for pair in hits if pair[0] in CLASSES]
    if not known:
        return spotted, 0.0, 0.0
    labels, read = zip(*known, strict=True)
    settings = {"labels": list(CLASSES), "average": "macro", "zero_division": 0}
    precision, recall = (score(labels, read, **settings) for score in (precision_score, recall_score))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return spotted, f1, f1_score(labels, read, **settings)


@pytest.mark.parametrize("block", range(2))
def test_the_score_is_that_of_another_implementation(block):
    for seed in range(block * 40, block * 40 + 40):
        answers, truth = random_case(seed)
        found = as_defined(answers, truth)
        spotted, f1, uf1 = defined_otherwise(answers, truth)
        assert (found.spotting.f1, found.f1, found.uf1) == pytest.approx((spotted, f1, uf1)), seed
        assert found.strs == pytest.approx(spotted * f1)


def published_otherwise(answers, truth):
    """What the public scorer's rules come to, loop by loop and with scikit-learn's table."""
    hits, false, missed = [], 0, 0
    for subject in dict.fromkeys(each.subject for each in answers):
        for video in dict.fromkeys(each.video for each in truth if each.subject == subject):
            true = [each for each in truth if (each.subject, each.video) == (subject, video)]
            taken = set()
            for answer in answers:
                if (answer.subject, answer.video) != (subject, video):
                    continue
                own = [at for at, t in enumerate(true) if at not in taken and overlap(answer, t) >= 0.5]
                taken |= set(own)
                hits += [(true[at].emotion, answer.emotion) for at in own]
                false += not own
            missed += len(true) - len(taken)
    precisions, recalls, f1s = [], [], []
    known = [pair for pair in hits if pair[0] in CLASSES]
    for name in CLASSES:
        table = confusion_matrix([t == name for t, _ in known], [r == name for _, r in known]) if known else np.zeros(1)
        fp, fn, tp = table.ravel()[1:] if table.size == 4 else (0, 0, 0)
        precisions.append(tp / (tp + fp) if tp + fp else 0)
        recalls.append(tp / (tp + fn) if tp + fn else 0)
        f1s.append(2 * tp / (2 * tp + fp + fn) if tp else 0)
    precision, recall, uf1 = (float(np.mean(each)) for each in (precisions, recalls, f1s))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else math.nan
    return (len(hits), false, missed), precision, recall, uf1, f1


@pytest.mark.filterwarnings("ignore:A single label")
@pytest.mark.parametrize("block", range(2))
def test_the_official_score_is_that_of_the_public_rules(block):
    for seed in range(block * 40, block * 40 + 40):
        answers, truth = random_case(seed)
        found = official(answers, truth)
        counts, *analysis = published_otherwise(answers, truth)
        assert (found.spotting.hits, found.spotting.false_alarms, found.spotting.misses) == counts, seed
        ours = (found.precision, found.recall, found.uf1, found.f1)
        assert ours == pytest.approx(tuple(analysis), nan_ok=True), seed
        assert found.uar_as_published == found.precision


def answer(text):
    subject, video, onset, offset, emotion = text.split()
    return Answer(subject, video, int(onset), int(offset), emotion)


DIFFERENT = [
    pytest.param(["a x 0 9 positive", "a y 0 9 positive"], ["a x 0 9 positive"], (1, 1, 0), (1, 0, 0), id="no truth"),
    pytest.param(["a x 0 9 positive"], ["a x 0 9 positive", "b x 0 9 surprise"], (1, 0, 1), (1, 0, 0), id="no answer"),
    pytest.param(["a x 0 9 positive"], ["a x 0 4 positive", "a x 5 9 positive"], (1, 0, 1), (2, 0, 0), id="two truths"),
    pytest.param(
        ["a x 0 5 positive", "a x 0 9 surprise"], ["a x 0 9 surprise"], (1, 1, 0), (1, 1, 0), id="order of the file"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "truth", "defined", "public"), DIFFERENT)
def test_where_the_public_scorer_differs(answers, truth, defined, public):
    answers, truth = ([answer(text) for text in side] for side in (answers, truth))
    scores = as_defined(answers, truth), official(answers, truth)
    counts = [(s.spotting.hits, s.spotting.false_alarms, s.spotting.misses) for s in scores]
    assert counts == [defined, public]
    assert len(DIFFERENCES) == 6


def test_one_class_alone_is_no_number_in_the_public_scorer():
    same = [answer("a x 0 9 positive"), answer("a y 0 9 positive")]
    assert as_defined(same, same).as_json()["analysis"]["precision"] == 0.3333
    assert as_defined(same, same).strs == pytest.approx(1 / 3)
    assert official(same, same).as_json() == {
        "strs": None,
        "spotting": {"tp": 2, "fp": 0, "fn": 0, "precision": 1.0, "recall": 1.0, "f1": 1.0},
        "analysis": {"precision": 0.0, "recall": 0.0, "f1": None, "uf1": 0.0, "uar": 0.0},
    }
    late = [answer("a x 0 5 positive"), answer("a x 0 9 surprise")]
    assert as_defined(late, [answer("a x 0 9 surprise")]).recall == pytest.approx(1 / 3), "the best fit counts"
    assert official(late, [answer("a x 0 9 surprise")]).recall == 0, "the first in the file counts"


def test_answers_are_written_and_read(tmp_path):
    answers = [Answer("s1", "a1", -3, 40, "negative"), Answer("s1", "b1", 5, 9, "surprise")]
    write_submission(tmp_path / "out.csv", answers)
    assert (tmp_path / "out.csv").read_text().startswith("subject,video,onset,offset,emotion\ns1,a1,-3,40,negative\n")
    assert read_submission(tmp_path / "out.csv") == answers
    assert is_submission(tmp_path / "out.csv")
    (tmp_path / "out.csv").write_text("subject,video,onset,offset,emotion\ns1,a1,9,4,negative\n")
    with pytest.raises(MerError, match=r"out\.csv, row 2: onset '9' and offset '4' are no interval"):
        read_submission(tmp_path / "out.csv")


def test_the_truth_of_a_table_in_the_classes_and_numbers_of_the_challenge(tmp_path):
    (tmp_path / "t.csv").write_text(
        "video,kind,onset_frame,offset_frame,emotion,subject\na.mp4,micro,3,9,disgust,7\na.mp4,macro,20,90,happiness,7\n"
        "a.mp4,micro,100,109,others,7\n"
    )
    assert true_answers(read_long(tmp_path / "t.csv")) == [
        Answer("7", "a", 4, 10, "negative"), Answer("7", "a", 101, 110, "others"),
    ]  # fmt: skip
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (20, 21, 25):
        (folder / f"img{number}.jpg").touch()
    assert number_of(folder, (0, 2)) == [20, 25]
