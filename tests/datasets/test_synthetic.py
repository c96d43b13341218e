"""What is planted in each layout is what its reader finds."""

from pathlib import Path

import pandas as pd
import pytest

from mer_pipeline.datasets import read_dataset
from mer_pipeline.facs import parse_aus
from mer_pipeline.synth import LAYOUTS, Options, synthesise
from mer_pipeline.synth.portrait import Portrait, load_portraits

CLIPS = 12


@pytest.fixture(scope="module")
def portraits() -> tuple[Portrait, Portrait]:
    return load_portraits(None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portraits: tuple[Portrait, Portrait], layout: str
) -> None:
    monkeypatch.setattr("mer_pipeline.synth.dataset.load_portraits", lambda face: portraits)
    # Rendering is tested elsewhere; here a clip may be any picture.
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
        assert (clip.fault, clip.fps, clip.emotion) == (None, row.fps, row.emotion)
        assert clip.onset_frame == row.onset_frame
        expected = None if slips.get(row.clip_id) == "apex" or layout == "smic" else row.apex_frame
        assert clip.apex_frame == expected
        assert clip.offset_frame == (None if slips.get(row.clip_id) == "offset" else row.offset_frame)
        if layout != "smic":
            assert clip.aus is not None
            assert clip.aus.numbers >= parse_aus(row.aus).numbers
        seconds = (row.offset_frame - row.onset_frame) / row.fps
        assert (seconds <= 0.5) == (row.expression == "micro")
