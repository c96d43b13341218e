"""What is planted in each layout is what its reader finds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mer_pipeline.datasets import compare_counts, read_dataset
from mer_pipeline.faces.detectors import choose_detector
from mer_pipeline.facs import parse_aus
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import LAYOUTS, Options, synthesise
from mer_pipeline.synth.plan import ClipPlan
from mer_pipeline.training import load_clips, load_recipe, train

CLIPS = 12


def any_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering is tested elsewhere; here a clip may be any pictures, as long as no two are the same."""

    def noise(_subject: object, plan: ClipPlan, _camera: object, seed: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
        rng = np.random.default_rng(seed)
        return (rng.integers(0, 255, (24, 24, 3), np.uint8) for _ in range(plan.n_frames))

    monkeypatch.setattr("mer_pipeline.synth.dataset.render", noise)
    monkeypatch.setattr("mer_pipeline.synth.dataset._cropped", lambda frames, *_: frames)


NO_APEX = {"casme3-c", "megc", "smic"}  # sets without an apex
NO_AUS = {"megc", "smic", "smic-long"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    any_pictures(monkeypatch)
    raw = synthesise(tmp_path / "raw", layout=layout, subjects=1, clips=CLIPS, options=Options(noise=0))
    found = read_dataset(raw)
    truth = pd.read_parquet(raw / "truth.parquet")
    assert found.dataset == layout
    assert [problem.field for problem in found.problems] == list(LAYOUTS[layout].slips)
    clips = {clip.clip_id: clip for clip in (*found.clips, *found.macro)}
    assert set(clips) == set(truth["clip_id"])
    assert {clip.clip_id for clip in found.macro} == set(truth["clip_id"][truth["expression"] == "macro"])
    slips = {problem.clip: problem.field for problem in found.problems}
    for row in truth.itertuples():
        clip = clips[row.clip_id]
        unnamed = layout in ("casme3-c", "samm-long") and row.expression == "macro"
        assert (clip.fault, clip.fps, clip.emotion) == (None, row.fps, None if unnamed else row.emotion)
        assert clip.onset_frame == row.onset_frame
        expected = None if slips.get(row.clip_id) == "apex" or layout in NO_APEX else row.apex_frame
        assert clip.apex_frame == expected
        assert clip.offset_frame == (None if slips.get(row.clip_id) == "offset" else row.offset_frame)
        if layout not in NO_AUS and not (unnamed and layout == "casme3-c"):
            assert clip.aus is not None
            assert clip.aus.numbers >= parse_aus(row.aus).numbers
        seconds = (row.offset_frame - row.onset_frame) / row.fps
        assert (seconds <= 0.5) == (row.expression == "micro")


NEW = ("casme", "4dme", "dfme", "casme3-long", "casme3-c", "samm-long", "smic-long", "megc")


@pytest.mark.parametrize("layout", NEW)
def test_from_the_folder_to_a_network(tmp_path, monkeypatch, layout):
    """Inspect, preprocess and train for an epoch; `test_every_dataset` does so with faces."""
    any_pictures(monkeypatch)
    raw = synthesise(tmp_path / "raw", layout=layout, subjects=2, clips=3)
    found = read_dataset(raw)
    assert len(found.clips) + len(found.macro) == 6
    assert compare_counts(found) or layout in ("4dme", "smic-long", "megc")
    # To spot an apex needs a face.
    middle = [c.apex_frame or ((c.onset_frame or 0) + (c.offset_frame or 0)) // 2 for c in found.clips]
    clips = tuple(replace(clip, apex_frame=apex) for clip, apex in zip(found.clips, middle, strict=True))
    summary = preprocess(
        replace(found, clips=clips), tmp_path / "c", Parameters(size=32, detector=choose_detector("none")), jobs=1
    )
    assert (summary.ok, summary.failures) == (len(found.clips), [])
    recipe = load_recipe("facesleuth-tiny", {"epochs": 1})
    train(load_clips(tmp_path / "c"), recipe, tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "metrics.json").is_file()
