"""Every dataset from its raw layout to a run, in a cache of its own and, for the oldest six, in one together."""

import json

import pandas as pd
import pytest

from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets.coders import Coding, Mark, write_codings

LAYOUTS = ("casme2", "samm", "mmew", "smic", "casme-sq", "casme3")
OTHERS = ("casme", "4dme", "dfme", "casme3-long", "casme3-c", "samm-long", "smic-long", "megc")


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """One folder with `<layout>/raw`, `<layout>/cache`, and `all`, a cache of everything."""
    return tmp_path_factory.mktemp("every")


@pytest.mark.parametrize("layout", [*LAYOUTS, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_the_chain_runs_on(mer, caches, layout):
    raw, cache = caches / layout / "raw", caches / layout / "cache"
    # Each set has a seed of its own: equal ones would draw the same faces, and the guard against leaks would see it.
    seed = (*LAYOUTS, *OTHERS).index(layout)
    assert mer("synth", raw, "--layout", layout, "--subjects", 2, "--clips", 3, "--seed", seed, "-q").code == 0
    facts = json.loads(mer("inspect", raw, "--json").out)
    assert facts["dataset"] == layout
    assert facts["subjects"] == 2
    for folder in (cache, caches / "all")[: 1 + (layout in LAYOUTS)]:
        summary = json.loads(mer("preprocess", raw, "--out", folder, "--size", 32, "--json", "-q").out)
        assert (summary["dataset"], summary["ok"], summary["failures"]) == (layout, facts["clips"], [])
    truth = pd.read_parquet(raw / "truth.parquet").set_index("clip_id")
    truth = truth[truth["expression"] == "micro"]
    found = read_manifests(cache).set_index("clip_id")
    assert set(found.index) == set(truth.index)
    annotated = found[found["apex_source"] == "annotated"]
    assert annotated["apex_frame"].tolist() == truth.loc[annotated.index, "apex_frame"].tolist()
    spotted = found[found["apex_source"] == "spotted"]
    assert len(spotted) == (len(found) if layout in ("smic", "casme3-c", "megc") else len(spotted))
    if layout in OTHERS:  # the first six are trained on below
        called = mer("train", "--seeds", 1, "--dataset", cache, "--model", "facesleuth-tiny", "--epochs", 1,
                     "--out", caches / layout / "run", "--json", "-q")  # fmt: skip
        assert called.code == 0, called.err
        assert json.loads(called.out)["folds"] == 2


def test_all_sets_in_one_cache_train_together(mer, caches, tmp_path):
    called = mer("train", "--seeds", 1, "--dataset", caches / "all", "--model", "facesleuth-tiny", "--epochs", 1,
                 "--labels", "megc3", "--out", tmp_path / "run", "--json", "-q")  # fmt: skip
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    assert summary["labels"] == "megc3"
    assert set(json.loads((tmp_path / "run" / "run.json").read_text())["data"]["datasets"]) == {
        f"{name} (synthetic)" for name in LAYOUTS
    }
    assert summary["folds"] == 2 * len(LAYOUTS)
    assert "not the published clips" in called.err


def test_own_clips_with_own_labels(mer, raw, tmp_path):
    """A folder of clips and a clips.csv is a dataset; labels of one's own need no code."""
    truth = pd.read_parquet(raw / "truth.parquet")
    folder = tmp_path / "lab"
    folder.mkdir()
    rows = []
    for row in truth.to_dict("records"):
        name = f"{row['subject']}_{row['clip']}"
        (folder / name).symlink_to(raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"], target_is_directory=True)
        label = "concealed" if row["emotion"] in ("disgust", "repression") else "open"
        rows.append((name, row["subject"], label, row["onset_number"], row["apex_number"], row["offset_number"]))
    table = pd.DataFrame(rows, columns=["clip", "subject", "emotion", "onset", "apex", "offset"])
    table.to_csv(folder / "clips.csv", index=False)
    summary = json.loads(mer("preprocess", folder, "--out", tmp_path / "c", "--size", 32, "--json", "-q").out)
    assert (summary["dataset"], summary["ok"]) == ("lab", 15)
    train = [
        "train",
        "--seeds",
        1,
        "--dataset",
        tmp_path / "c",
        "--model",
        "facesleuth-tiny",
        "--epochs",
        1,
        "--json",
        "-q",
    ]
    facts = json.loads(mer(*train, "--out", tmp_path / "r1").out)
    assert facts["classes"] == ["concealed", "open"]
    (tmp_path / "swapped.toml").write_text('[classes]\nshown = ["open"]\nhidden = ["concealed"]\n')
    facts = json.loads(mer(*train, "--out", tmp_path / "r2", "--protocol-labels", tmp_path / "swapped.toml").out)
    assert (facts["labels"], facts["classes"]) == ("swapped", ["shown", "hidden"])


def test_films_with_what_coders_marked(mer, long_set, tmp_path):
    """A film and an .eaf or a BORIS table beside it is a dataset, without a sheet; each coder has half of the film."""
    truth = pd.read_parquet(long_set / "truth.parquet").query("kind in ['micro', 'macro']")
    for at, (who, ending) in enumerate((("anna", ".eaf"), ("ben", ".csv"))):
        film = tmp_path / "lab" / who / "s01.mp4"
        film.parent.mkdir(parents=True)
        film.symlink_to(long_set / "s01.mp4")
        marks = [
            Mark("micro", row.onset_frame, row.offset_frame, row.apex_frame, row.emotion, row.aus)
            for row in truth[at::2].itertuples()
        ]
        write_codings(film.with_suffix(ending), [Coding(film, 30.0, tuple(marks), 480)])
    facts = json.loads(mer("inspect", tmp_path / "lab", "--json").out)
    assert (facts["dataset"], facts["clips"], facts["usable"], facts["subjects"]) == ("lab", 4, 4, 2)
    summary = json.loads(mer("preprocess", tmp_path / "lab", "--out", tmp_path / "c", "--size", 32, "--json", "-q").out)
    assert summary["ok"] == 4
    called = mer("train", "--seeds", 1, "--dataset", tmp_path / "c", "--model", "facesleuth-tiny", "--epochs", 1,
                 "--out", tmp_path / "run", "--json", "-q")  # fmt: skip
    assert called.code == 0, called.err
    assert json.loads(called.out)["folds"] == 2


def test_one_video_a_clip_gives_the_planted_frames(mer, tmp_path):
    assert mer("synth", tmp_path / "raw", "--subjects", 2, "--clips", 3, "--video", "-q").code == 0
    assert len(list((tmp_path / "raw").rglob("*.avi"))) == 6
    summary = json.loads(mer("preprocess", tmp_path / "raw", "--out", tmp_path / "c", "--size", 32, "--json", "-q").out)
    assert (summary["ok"], summary["decoded_frames"]) == (6, 12)
    truth = pd.read_parquet(tmp_path / "raw" / "truth.parquet").set_index("clip_id")
    found = read_manifests(tmp_path / "c").set_index("clip_id")
    for column in ("onset_frame", "apex_frame", "offset_frame"):
        assert found[column].to_dict() == truth[column].to_dict()
