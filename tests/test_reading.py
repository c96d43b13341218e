"""Every file that is read back goes through one reader: what it may not say is one clear line, and never a result."""

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from typing import Annotated

import pytest
import safetensors.torch
import torch

from mer_pipeline.cache.chain import Chain
from mer_pipeline.errors import MerError
from mer_pipeline.reading import Between, Checked, json_bytes, parse_json, picked, read_bytes, read_json
from mer_pipeline.runs.card import Card, Prediction, read_card
from mer_pipeline.runs.facts import Data, Facts
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.results import Calibration, ClassScores, Control, Difference, FoldResult, History, Scores
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network, save_network

CHAIN = Chain(224, ("mediapipe",), "stable", "tvl1", 0, {"crop": 2})
CARD = Card(
    model="m", network="mmnet", options={"width": 8}, size=224, mean=[0.5] * 3, std=[0.2] * 3, classes=["a", "b"],
    labels="megc3", held_out=None, seed=0, epochs=1, clips=4, subjects=2, datasets=["casme2"], versions={"mer": "1"},
    chain=CHAIN,
)  # fmt: skip
SCORES = Scores(0.5, 0.5, 0.5, 2, 0.5)
PREDICTION = Prediction("a/1/x", "a/1", "last", "unused", "a", "b", [0.25, 0.75])
FOLD = {
    "chosen_epoch": None,
    "predictions": [dataclasses.asdict(PREDICTION)],
    "history": History([0.5], [0.5], [0.5], [[1.0]]).as_json(),
}
FACTS = Facts(
    recipe={"model": "m", "network": "mmnet", "epochs": 1, "options": {}},
    data=Data(4, "f" * 32, 2, ["casme2"], "megc3", {"a": 2, "b": 2}, 224),
    protocol="loso", selection="last", seeds=1,
)  # fmt: skip
METRICS = Metrics(
    run="r", model="m", attention=None, protocol="loso", labels="megc3", classes=("a", "b"), fold_count=2, clips=2,
    subjects=2, selection="last", seed=0, aus="unused", scores=SCORES, per_class={"a": ClassScores(0.5, 0.5)},
    confusion=((1, 0), (1, 0)), intervals=dict.fromkeys(("uf1", "uar", "accuracy"), (0.1, 0.9)),
    selections={"last": SCORES, "oracle": SCORES}, optimistic=(SCORES, "note"), by_aus={"unused": SCORES},
    by_dataset={"a": SCORES}, controls=(Control("svm", "a machine", SCORES, Difference(0.1, 0.0, 0.2), "none"),),
    calibration=Calibration(1.0, 0.1, 0.1), theta_deg=(1.0,), seconds=1.0,
)  # fmt: skip
NAN, HUGE = math.nan, 10**30
ABSENT = object()


def changed(values, path, wrong):
    """A copy of a JSON object with one value changed or left out."""
    values = json.loads(json.dumps(values))
    *holders, last = path.split(".")
    place = values
    for part in holders:
        place = place[int(part) if isinstance(place, list) else part]
    last = int(last) if isinstance(place, list) else last
    if wrong is ABSENT:
        del place[last]
    else:
        place[last] = wrong
    return values


def table(*rows):
    """(path, wrong values) as parameters."""
    return [pytest.param(path, wrong, id=f"{path}={wrong!r:.20}") for path, *values in rows for wrong in values]


def read_facts(values, path):
    path.write_bytes(json_bytes(values))
    return Run(path.parent, under_way=True)._read(path.name, Facts.from_json)


def read_metrics(values, path):
    path.write_bytes(json_bytes(values))
    return Run(path.parent, under_way=True)._read(path.name, Metrics.from_json)


def read_fold(values, path):
    path.write_bytes(json_bytes(values))
    run = Run(path.parent, under_way=True)
    return run._read(path.name, lambda told: FoldResult.from_json(told, folder=path.parent))


@pytest.mark.parametrize(
    ("path", "wrong"),
    table(
        ("format", "1", True, 2, None, ABSENT),
        ("model", 5, "", None, ABSENT),
        ("network", [], ABSENT),
        ("options", [], {"width": HUGE}, {"width": -HUGE}, {"depths": [2, 10**9]}, None),
        ("size", 0, -1, "224", 224.5, 50_000, True, None),
        ("mean", [], [0.5] * 2, ["x"] * 3, 0.5, None),
        ("std", [0, 1, 1], [1e-9] * 3, [-1] * 3, [1] * 4),
        ("classes", ["a"], ["a", "a"], [1, 2], "ab", [], [None, "a"]),
        ("temperature", 0, -1, "1", 1e9, None),
        ("least_probability", 2, -1, "x"),
        ("au_trained", "4", [-1], ["x"], {"4": 1}),
        ("epochs", -1, "x"),
        ("versions", [], {"mer": 1}),
        ("chain", [], "x", {}),
        ("chain.size", 0, 50_000, "224", None),
        ("chain.motion", "farneback", 5),
        ("chain.registration", "x", None),
        ("chain.frames", -1, 10**9),
        ("chain.detector", "x", [5]),
        ("chain.stages", [], {"crop": "2"}),
    ),
)
def test_a_card(tmp_path, path, wrong):
    with pytest.raises(MerError, match="train again"):
        read_card(json.dumps(changed(CARD.as_json(), path, wrong)), tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "5", "{", '{"format": NaN}', "[" * 100_000, "\x00"])
def test_a_card_that_is_none(tmp_path, text):
    with pytest.raises(MerError, match="train again"):
        read_card(text, tmp_path)


@pytest.mark.parametrize("text", ['"std": [NaN, 1, 1]', '"temperature": Infinity', '"temperature": 1e999'])
def test_a_card_with_numbers_that_are_none(tmp_path, text):
    key = text.split(":")[0].strip('"')
    values = json.dumps({name: value for name, value in CARD.as_json().items() if name != key})
    with pytest.raises(MerError, match="damaged"):
        read_card(f"{values[:-1]}, {text}}}", tmp_path)


def test_a_card_is_read_as_written(tmp_path):
    assert read_card(json.dumps(CARD.as_json()), tmp_path) == CARD


@pytest.mark.parametrize(
    ("path", "wrong"),
    table(
        ("recipe", [], None, "x", ABSENT),
        ("recipe.network", 5, ABSENT),
        ("recipe.model", None),
        ("recipe.epochs", "1", ABSENT),
        ("recipe.options", [], ABSENT),
        ("data", [], None, ABSENT),
        ("data.clips", "4", -1, 4.5, True, ABSENT),
        ("data.fingerprint", 5, ABSENT),
        ("data.subjects", -1),
        ("data.datasets", "casme2", [1]),
        ("data.classes", ["a"], {"a": "x"}, {"a": -1}),
        ("data.size", 0, 10**9, "x"),
        ("data.view", 5),
        ("protocol", 5, ABSENT),
        ("selection", None),
        ("split", 5),
        ("merged", 5, {"a/1": 5}),
        ("seeds", "x", -1, 1.5),
        ("cache", 5),
        ("versions", [], "x"),
        ("hardware", "x"),
        ("notes", [5], 5),
    ),
)
def test_the_facts_of_a_run(tmp_path, path, wrong):
    with pytest.raises(MerError, match=r"run\.json: damaged"):
        read_facts(changed(FACTS.as_json(), path, wrong), tmp_path / "run.json")


@pytest.mark.parametrize(
    ("path", "wrong"),
    table(
        ("uf1", "0.5", 1.5, -0.1, None, True, ABSENT),
        ("model", 5, ""),
        ("classes", "ab", ["a"], [1, 2], ABSENT),
        ("folds", -1, "2", ABSENT),
        ("confusion", [[1]], [["x", 0], [0, 0]], [[-1, 0], [0, 0]], 5),
        ("per_class", [], {"a": 5}, {"a": {"f1": 2, "recall": 0}}),
        ("intervals95", {}, {"uf1": 5}, []),
        ("intervals95.uf1", [0.1], [0.1, 9], ["x", "y"]),
        ("selections", {}, {"last": 5}),
        ("oracle", None, {}),
        ("controls", [], {"svm": 5}),
        ("controls.svm.difference", {"value": 5, "low": 0, "high": 0}, None),
        ("calibration.temperature", 0, -1, None),
        ("calibration.ece_after", 2),
        ("controls.svm.difference.p", 2, "x"),
        ("controls.svm.difference.subjects", -1),
        ("calibration.nll", 5, {"before": 1}, {"before": -1, "after": 1}),
        ("calibration.sets", 5, {"level": 2, "least_probability": 0.1, "covered": 1, "single": 1}),
        ("rare_classes", [], {"a": 2}),
        ("keyframes", 5),
        ("by_keyframes", 5, {"spotted": 5}),
        ("theta_deg", "x", ["x"], 5),
        ("seconds", "x", None),
    ),
)
def test_the_metrics_of_a_run(tmp_path, path, wrong):
    with pytest.raises(MerError, match=r"run\.json: damaged"):
        read_metrics(changed(METRICS.as_json(), path, wrong), tmp_path / "run.json")


@pytest.mark.parametrize(
    ("path", "wrong"),
    table(
        ("chosen_epoch", "1", 0, -1, 1.5, True, ABSENT),
        ("predictions", [], {}, None, [5], ABSENT),
        ("predictions.0.clip_id", 5, None, ABSENT),
        ("predictions.0.truth", 5),
        ("predictions.0.probabilities", "x", [2, 0], [-0.1, 1], [None], ["0.5"], ABSENT),
        ("predictions.0.logits", 5, ["x"]),
        ("split", 5),
        ("spotted", 5, [5]),
        ("history", [], None, ABSENT),
        ("history.loss", [], "x", ["x"], None, ABSENT),
        ("history.test_accuracy", [], [2], [-1], ["x"]),
        ("history.theta_deg", "x", [5], [["x"]], ABSENT),
    ),
)
def test_the_result_of_a_fold(tmp_path, path, wrong):
    with pytest.raises(MerError, match=r"result\.json: damaged"):
        read_fold(changed(FOLD, path, wrong), tmp_path / "result.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"5", b"null", b'"x"', b"{", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b"\xff\xfe",
     b"[" * 100_000, b'{"a": 1} x', b'{"a": ' + b"9" * 5000 + b"}", b'{"checksum": "x"}', b'{"a": 1, "checksum": 5}'],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_no_json(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(MerError, match="damaged or unreadable"):
        read_json(tmp_path / "run.json")


def test_a_digit_that_changed_is_noticed(tmp_path):
    (tmp_path / "a.json").write_bytes(json_bytes({"uf1": 0.19, "runs": [(1, 2)], "of": {3: "x"}}))
    assert read_json(tmp_path / "a.json") == {"uf1": 0.19, "runs": [[1, 2]], "of": {"3": "x"}}
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace("0.19", "0.39"))
    with pytest.raises(MerError, match="damaged"):
        read_json(tmp_path / "a.json")


@dataclass(frozen=True)
class Sample(Checked):
    count: Annotated[int, Between(0, 9)] = 0
    share: float = 0.5
    name: Annotated[str, frozenset({"a", "b"})] = "a"
    pair: tuple[int, str] = (1, "x")
    others: dict[str, list[float]] | None = None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 10}, r"count must be in 0\.\.9, got 10"),
        ({"count": True}, "count must be of type int, got True"),
        ({"share": math.nan}, "share must be finite, got nan"),
        ({"share": "0.5"}, "share must be of type float, got '0.5'"),
        ({"name": "c"}, "name must be one of 'a', 'b', got 'c'"),
        ({"pair": (1,)}, "pair must have 2 parts"),
        ({"pair": ("x", "x")}, "pair holds what must be of type int"),
        ({"others": {"x": [None]}}, "others holds what holds what must be of type float, got None"),
        ({"others": {5: []}}, "others holds what must be of type str, got 5"),
    ],
    ids=str,
)
def test_a_class_checks_itself(values, message):
    assert Sample(share=1, others={"x": [1, 2.5]}).share == 1
    with pytest.raises(ValueError, match=message):
        Sample(**values)


def test_what_is_picked_of_an_object():
    assert picked(Prediction, {**dataclasses.asdict(PREDICTION), "newer": 1}) == dataclasses.asdict(PREDICTION)
    with pytest.raises(KeyError, match="clip_id"):
        picked(Prediction, {})
    with pytest.raises(TypeError, match="expected an object, got 5"):
        picked(Prediction, 5)
    assert parse_json("[1.5]") == [1.5]


def test_only_a_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(2 << 20))
    for path, most, message in (
        (tmp_path / "pipe", 1 << 20, "not a file"),
        (tmp_path, 1 << 20, "not a file"),
        (tmp_path / "large", 1 << 20, "larger than 1 MiB"),
        (tmp_path / ("x" * 300), 1 << 20, "longer than a path may be"),
    ):
        with pytest.raises(MerError, match=message):
            read_bytes(path, most)


def weights(folder, **changes):
    """A weights file of two tensors."""
    save_network(folder, {"a": torch.ones(3), "b": torch.zeros(2, 2), **changes}, CARD)
    return folder / "weights.safetensors"


def test_weights_that_changed_are_noticed(tmp_path):
    file = weights(tmp_path)
    content = file.read_bytes()
    assert load_network(file)[1] == CARD
    for at in (len(content) - 1, len(content) - 20, content.index(b"mmnet")):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(MerError, match=r"damaged|not a readable"):
            load_network(file)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers(tmp_path, wrong):
    with pytest.raises(MerError, match="infinite or none"):
        load_network(weights(tmp_path, b=torch.tensor([1.0, wrong])))


def test_weights_of_an_older_version_have_no_digest(tmp_path):
    file = weights(tmp_path)
    file.write_bytes(safetensors.torch.save({"a": torch.ones(3)}, {"card": json.dumps(CARD.as_json())}))
    assert load_network(file)[1] == CARD
