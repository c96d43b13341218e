"""Manifests, corrections, splits, recipes and ablations with wrong values: one clear line each."""

import copy
import dataclasses
import json
import math
import shutil

import pandas as pd
import pytest

from mer_pipeline import recipe as recipes
from mer_pipeline.cache.manifest import ManifestRow, read_manifests, write_manifest
from mer_pipeline.datasets.corrections import load_corrections
from mer_pipeline.errors import MerError
from mer_pipeline.evaluation.protocols import parse_protocol
from mer_pipeline.recipe import load_recipe
from mer_pipeline.runs import ablation

HUGE = 10**30


def table(*rows):
    """(path, wrong values) as parameters."""
    return [pytest.param(path, wrong, id=f"{path}={wrong!r:.20}") for path, *values in rows for wrong in values]


ROW = ManifestRow(
    "a/1/x", "a", "1", "x", "frames", "ok", emotion="happiness", onset_frame=0, apex_frame=1, offset_frame=2, frames=3,
    fps=200.0, detector="none", faces=1, registration="stable", drift_px=0.1, registered=True, size=64, crop_key="ab12",
)  # fmt: skip


@pytest.mark.parametrize(
    ("column", "wrong"),
    table(
        ("clip_id", 5, None),
        ("dataset", None, 5),
        ("kind", "video", None, 5),
        ("status", "fine", None, ""),
        ("onset_frame", -1, "x", 1.5),
        ("apex_frame", -5, "1"),
        ("offset_frame", -1, True),
        ("frames", -3, "x"),
        ("fps", math.inf, "x", True),
        ("faces", -1, "x"),
        ("drift_px", -0.1, "x"),
        ("registered", "yes", 5),
        ("size", 0, -64, 50_000, "64", 64.5),
        ("crop_key", "../../etc/passwd", "a/b", 5),
        ("detect_key", "..", "a b"),
        ("emotion", 5),
    ),
)
def test_a_manifest(tmp_path, column, wrong):
    (tmp_path / "a").mkdir()
    write_manifest(tmp_path / "a" / "manifest.parquet", [ROW])
    assert len(read_manifests(tmp_path)) == 1
    values = pd.DataFrame([{**dataclasses.asdict(ROW), column: wrong}]).astype({column: "object"})
    values.to_parquet(tmp_path / "a" / "manifest.parquet")
    with pytest.raises(MerError, match="manifest"):
        read_manifests(tmp_path)


HEADER = "dataset,subject,clip,field,old,new,reason,source"
CORRECTION = ["a", "1", "x", "onset", "1", "2", "seen", "us"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"\xff\xfe\x00", b"\x00" * 100, b"dataset", b"dataset,subject", HEADER[:-1].encode(),
        f"{HEADER}\na".encode(), f"{HEADER}\n,,,,,,,".encode(), f"{HEADER}\na,1,x".encode(),
        *(f"{HEADER}\n{','.join('' if at == each else cell for at, cell in enumerate(CORRECTION))}".encode()
          for each in (0, 1, 2, 3, 6, 7)),
        *(f"{HEADER}\n{','.join(wrong if at == 3 else cell for at, cell in enumerate(CORRECTION))}".encode()
          for wrong in ("onse", "fps", "Onset!", "1", "subject", "微", "[/red]", "x" * 1000)),
        f"{HEADER}\n{','.join(CORRECTION)}\n{','.join(CORRECTION)}".encode(),
        HEADER.replace(",", ";").encode(), HEADER.encode("utf-16"), b"PK\x03\x04" + bytes(range(256)),
        (HEADER + "\n").encode() + b"\xff" * 10, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    ],
    ids=lambda content: repr(content[-24:]),
)  # fmt: skip
def test_corrections(tmp_path, content):
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(MerError, match=r"c\.csv"):
        load_corrections("a", tmp_path / "c.csv")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"split", b"split,subject", b"clip,subject\na,b", b"split,clip\ntrain,x", b"split,x\ntrain,a/1",
        *(f"split,subject\n{split},a/1\ntest,a/2".encode() for split in ("Train", "trian", "", "1", "微", "None")),
        *(f"split,subject\ntrain,{name}\ntest,a/2".encode() for name in ("a/9", "A/1", "1", "a/1/x", "x" * 999)),
        b"split,subject\ntrain,a/1", b"split,subject\ntest,a/1", b"split,subject\ntrain,a/1\ntest,a/1",
        b"split,subject\ntrain,a/1,a,b,c\ntest,a/2", b"\xff\xfe\x00\x00", b"\x00" * 64, b"split;subject\ntrain;a/1",
        "split,subject\ntrain,a/1\ntest,a/2".encode("utf-16"), b'split,subject\n"train,a/1\ntest,a/2', b"PK\x03\x04",
        b"split,subject\ntrain,\ntest,a/2", b"split,subject\ntrain,a/1\ntest,",
    ],
    ids=lambda content: repr(content[-24:]),
)  # fmt: skip
def test_a_split(tmp_path, content):
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(MerError, match=r"s\.csv"):
        parse_protocol(str(path)).folds(["a/1/x", "a/2/x"], ["a/1", "a/2"])


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A zoo of one model, whose recipe can be changed."""
    path = tmp_path / "mine" / "recipe.toml"
    path.parent.mkdir()
    shutil.copy(recipes.zoo() / "facesleuth-tiny" / "recipe.toml", path)
    monkeypatch.setattr(recipes, "zoo", lambda: tmp_path)
    return path


RECIPE = 'network = "facesleuth-flow"\n'


@pytest.mark.parametrize(
    "text",
    [
        "", "network", "= 5", "network = 5", 'network = ""', 'network = "nets"', f"{RECIPE}options = 5",
        f"{RECIPE}options = []", f"{RECIPE}built = 5", f"{RECIPE}epochs = 0", f"{RECIPE}epochs = 1.5",
        f'{RECIPE}epochs = "5"', f"{RECIPE}epochs = true", f"{RECIPE}epochs = {HUGE}", f"{RECIPE}batch = -1",
        f"{RECIPE}lr = nan", f"{RECIPE}lr = inf", f"{RECIPE}lr = -1", f'{RECIPE}lr = "x"', f"{RECIPE}size = 50000",
        f"{RECIPE}frames = 1", f"{RECIPE}seed = -1", f"{RECIPE}aus = 'x'", f"{RECIPE}optimiser = 'sgd'",
        f"{RECIPE}flip = 2", f"{RECIPE}epoch = 5", f"{RECIPE}[options]\nframes = 8", f"{RECIPE}[options]\nx = 1",
        f"{RECIPE}[options]\nattention = {HUGE}", f"{RECIPE}source = 5", "\x00", "[" * 5000,
    ],
    ids=lambda text: repr(text[-24:]),
)  # fmt: skip
def test_a_recipe(zoo, text):
    zoo.write_text(text)
    with pytest.raises(MerError):
        load_recipe("mine")


def test_a_recipe_that_is_no_text(zoo):
    zoo.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MerError, match="not a readable recipe"):
        load_recipe("mine")


SCORES = {"uf1": 0.5, "uar": 0.5, "accuracy": 0.5}
ROW_OF_RUN = {"name": "all", "label": "All", "run": "all", **SCORES, "sd": None, "settings": {"cva": True},
              "difference": {"value": 0.1, "low": 0.0, "high": 0.2, "p": 0.5}, "against": "none", "p_seeds": 0.5,
              "verdict": "x"}  # fmt: skip
ABLATION = {"model": "m", "dataset": "a", "fingerprint": "f", "labels": "megc3", "protocol": "loso", "select": "last",
            "settings": {}, "seeds": 1, "wanted": ["all"], "classes": ["a", "b"], "clips": 3, "subjects": 2,
            "rows": [ROW_OF_RUN], "command": "mer ablate", "versions": {}, "hardware": {}}  # fmt: skip


@pytest.fixture
def a_run(monkeypatch):
    """A run that is there: rows are read before runs are used."""
    monkeypatch.setattr(ablation.Run, "__init__", lambda self, folder: None)
    monkeypatch.setattr(ablation.Run, "check", lambda self: self)


@pytest.mark.parametrize(
    ("path", "wrong"),
    table(
        ("rows", None, 5, "x", {}, [], [5], [None], [[]], [{}]),
        ("rows.0.name", None, 5, []),
        ("rows.0.label", 5, None),
        ("rows.0.run", 5, [], ""),
        ("rows.0.uf1", "x", None, []),
        ("rows.0.sd", 5, "x", [1]),
        ("rows.0.settings", 5, "x", []),
        ("rows.0.difference", 5, "x", {"value": 1}),
        ("rows.0.p_seeds", "x", []),
        ("rows.0.verdict", 5, []),
        ("model", 5, []),
        ("seeds", -1, "x", 1.5, True),
        ("wanted", 5, [5]),
        ("classes", 5, [5]),
        ("clips", -1, "x"),
        ("versions", [], {"mer": 5}),
        ("settings", [], 5),
    ),
)
def test_an_ablation(a_run, tmp_path, path, wrong):
    values = copy.deepcopy(ABLATION)
    (tmp_path / ablation.FILE).write_text(json.dumps(values))
    assert ablation.read_ablation(tmp_path).rows[0].name == "all"
    *before, last = (int(part) if part.isdigit() else part for part in path.split("."))
    holder = values
    for part in before:
        holder = holder[part]
    holder[last] = wrong
    (tmp_path / ablation.FILE).write_text(json.dumps(values))
    with pytest.raises(MerError) as error:
        ablation.read_ablation(tmp_path)
    assert "\n" not in str(error.value)
