import dataclasses
import json
import multiprocessing

import cv2
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.cache import Store
from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets import read_dataset
from mer_pipeline.engines import engine_of
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.stages import preprocess as module
from mer_pipeline.stages.preprocess import Parameters, preprocess

CLIPS = 15
STAGES = ("keyframes", "detect", "align", "crop")


@pytest.fixture
def annotations(raw):
    return read_dataset(raw)


def counts(summary, what):
    assert tuple(summary.stages) == STAGES
    return {stage: summary.stages[stage][what] for stage in STAGES}


def test_only_the_needed_frames_are_decoded_and_a_second_run_decodes_none(annotations, tmp_path, monkeypatch):
    first = preprocess(annotations, tmp_path, Parameters(size=64))
    assert counts(first, "computed") == dict.fromkeys(STAGES, CLIPS)
    assert first.decoded_frames == 2 * CLIPS  # onset and apex

    monkeypatch.setattr(FaceMesh, "__init__", lambda self, **_: pytest.fail("the models were loaded"))
    second = preprocess(annotations, tmp_path, Parameters(size=64))
    assert counts(second, "computed") == dict.fromkeys(STAGES, 0)
    assert counts(second, "cached") == dict.fromkeys(STAGES, CLIPS)
    assert second.decoded_frames == 0
    assert (second.ok, second.failures) == (CLIPS, [])


def test_another_size_computes_crops_and_nothing_before_them(annotations, cache):
    try:
        summary = preprocess(annotations, cache, Parameters(size=48))
    finally:
        back = preprocess(annotations, cache, Parameters(size=64))
    assert counts(summary, "computed") == {"keyframes": 0, "detect": 0, "align": 0, "crop": CLIPS}
    assert counts(back, "computed") == dict.fromkeys(STAGES, 0)


def test_the_manifest_holds_what_the_sheet_says(annotations, cache, raw):
    table = read_manifests(cache).set_index("clip_id")
    truth = pd.read_parquet(raw / "truth.parquet").set_index("clip_id")
    assert set(table.index) == set(truth.index)
    for column in ("onset_frame", "apex_frame", "offset_frame", "emotion"):
        assert table[column].to_dict() == truth[column].to_dict(), column
    assert set(table["apex_source"]) == {"annotated"}
    facts = json.loads((cache / "casme2" / "dataset.json").read_text())
    assert facts["parameters"] == {
        "size": 64,
        "detector": list(Detector().identity),
        "registration": "stable",
        "motion": "none",
        "frames": 0,
    }
    assert set(table["registration"]) == {"stable"}
    assert table["gap_frames"].isna().all()
    assert table["warnings"].isna().all()
    crops = Store(cache / "objects").get("crop", table["crop_key"].iloc[0]).arrays["crops"]
    assert (crops.shape, crops.dtype) == ((2, 64, 64, 3), np.uint8)


def broken(annotations, tmp_path):
    """The same clips with one missing folder, one damaged frame, one faceless clip, one fault from the sheet."""
    folder = tmp_path / "wall"
    folder.mkdir()
    for number in range(1, 5):
        cv2.imwrite(str(folder / f"img{number}.jpg"), np.full((120, 160, 3), 90, np.uint8))
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for number in range(1, 5):
        (damaged / f"img{number}.jpg").write_bytes(b"no image")
    frames = {"onset_frame": 0, "apex_frame": 1, "offset_frame": 2}
    clips = list(annotations.clips)
    clips[0] = dataclasses.replace(clips[0], source=tmp_path / "absent")
    clips[1] = dataclasses.replace(clips[1], source=damaged, **frames)
    clips[2] = dataclasses.replace(clips[2], source=folder, **frames)
    clips[3] = dataclasses.replace(clips[3], fault="onset 9 is after offset 3; correct the sheet")
    return dataclasses.replace(annotations, clips=tuple(clips)), clips


def test_bad_clips_are_listed_and_the_others_finish(annotations, tmp_path):
    bad, clips = broken(annotations, tmp_path)
    summary = preprocess(bad, tmp_path / "cache", Parameters(size=32))
    assert summary.ok == CLIPS - 4
    assert summary.as_json()["failed"] == 4
    reasons = {failure["clip"]: (failure["stage"], failure["reason"]) for failure in summary.failures}
    expected = [
        ("annotate", "no such file or folder"),
        ("detect", "not a readable image"),
        ("detect", "no face found in frame 0"),
        ("annotate", "onset 9 is after offset 3"),
    ]
    for clip, (stage, reason) in zip(clips[:4], expected, strict=True):
        assert reasons[clip.clip_id][0] == stage
        assert reason in reasons[clip.clip_id][1]
    table = read_manifests(tmp_path / "cache").set_index("clip_id")
    assert table["status"].value_counts().to_dict() == {"ok": CLIPS - 4, "failed": 4}
    assert table.loc[clips[2].clip_id, "reason"] == reasons[clips[2].clip_id][1]


def test_a_damaged_artefact_is_reported_and_computed_again(annotations, tmp_path):
    preprocess(annotations, tmp_path, Parameters(size=32))
    damaged = next(path for path in (tmp_path / "objects" / "align").rglob("*") if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-5])
    summary = preprocess(annotations, tmp_path, Parameters(size=32))
    assert counts(summary, "computed") == {"keyframes": 0, "detect": 0, "align": 1, "crop": 0}
    assert summary.damaged == [f"{damaged}.damaged"]


def test_an_interrupted_run_goes_on_where_it_stopped(annotations, tmp_path):
    def stop(task, done, total, detail=""):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preprocess(annotations, tmp_path, Parameters(size=32), progress=stop)
    summary = preprocess(annotations, tmp_path, Parameters(size=32))
    assert counts(summary, "cached") == dict.fromkeys(STAGES, 4)
    assert counts(summary, "computed") == dict.fromkeys(STAGES, CLIPS - 4)


def test_a_changed_frame_is_seen(annotations, raw, tmp_path):
    clip = annotations.clips[0]
    frame = sorted(clip.source.iterdir())[0]
    before = frame.read_bytes()
    preprocess(annotations, tmp_path, Parameters(size=32))
    try:
        frame.write_bytes(before + b"\0")
        summary = preprocess(annotations, tmp_path, Parameters(size=32))
    finally:
        frame.write_bytes(before)
    assert counts(summary, "computed") == dict.fromkeys(STAGES, 1)


def test_a_full_disk_stops_the_run(annotations, tmp_path, monkeypatch):
    def full(*_):
        raise WriteError("cannot be written (No space left on device)")

    monkeypatch.setattr(module.Store, "put", full)
    with pytest.raises(WriteError, match="No space left"):
        preprocess(annotations, tmp_path, Parameters(size=32))


def files_of(cache):
    return {path.relative_to(cache): path.read_bytes() for path in (cache / "objects").rglob("*") if path.is_file()}


def test_two_processes_do_what_one_does_in_the_same_order(annotations, tmp_path, monkeypatch):
    bad, _ = broken(annotations, tmp_path)
    monkeypatch.setattr(module, "_CLIPS_A_WORKER", 2)
    summaries, told = [], []
    for jobs in (1, 2):
        seen = []
        summaries.append(
            preprocess(
                bad,
                tmp_path / str(jobs),
                Parameters(size=32, motion="dis"),
                jobs=jobs,
                progress=lambda task, done, total, detail, seen=seen: seen.append((done, detail)),
            )
        )
        told.append(seen)
    assert [summary.jobs for summary in summaries] == [1, 2]
    one, two = ({**s.as_json(), "seconds": 0, "timings": {}, "jobs": 0} for s in summaries)
    assert one == two
    assert summaries[1].timings.keys() >= {"start", "decode", "detect", "align", "crop", "motion", "write"}
    assert read_manifests(tmp_path / "1").equals(read_manifests(tmp_path / "2"))
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")
    # Clips that nothing need be computed for are told first: here those that failed before any stage.
    assert [done for done, _ in told[1]] == list(range(1, CLIPS + 1))
    order = [clip.clip_id for clip in bad.clips]
    early = [order[0], order[3]]
    assert [detail for _, detail in told[1]] == [*early, *(clip for clip in order if clip not in early)]

    monkeypatch.setattr(module, "run_clips", lambda *_: pytest.fail("processes were started"))
    again = preprocess(bad, tmp_path / "2", Parameters(size=32, motion="dis"), jobs=2)
    assert (again.ok, again.stages["motion"]["cached"]) == (CLIPS - 4, CLIPS - 4)


def test_few_clips_start_no_process(annotations, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "run_clips", lambda *_: pytest.fail("processes were started"))
    assert preprocess(annotations, tmp_path, Parameters(size=32), jobs=8).jobs == 1


def test_an_interrupted_run_of_two_processes_goes_on_where_it_stopped(annotations, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CLIPS_A_WORKER", 2)

    def stop(task, done, total, detail=""):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preprocess(annotations, tmp_path, Parameters(size=32), jobs=2, progress=stop)
    assert not multiprocessing.active_children()
    summary = preprocess(annotations, tmp_path, Parameters(size=32), jobs=1)
    assert 2 <= summary.stages["crop"]["cached"] < CLIPS
    assert summary.ok == CLIPS


def test_what_a_process_cannot_write_stops_the_run(annotations, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CLIPS_A_WORKER", 2)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "align").symlink_to(tmp_path / "a disk that is not there")
    with pytest.raises(WriteError, match="cannot be written"):
        preprocess(annotations, tmp_path, Parameters(size=32), jobs=2)


def test_a_process_that_is_killed_is_one_line(annotations, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CLIPS_A_WORKER", 2)

    def kill(task, done, total, detail=""):
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(MerError, match="ended from outside"):
        preprocess(annotations, tmp_path, Parameters(size=32), jobs=2, progress=kill)


def test_registration_none_leaves_the_drift_in(annotations, tmp_path):
    summary = preprocess(annotations, tmp_path, Parameters(size=32, registration="none"))
    assert summary.ok == CLIPS
    table = read_manifests(tmp_path)
    assert set(table["registration"]) == {"none"}
    assert (table["drift_px"] == 0).all()


def test_an_impossible_size_is_refused():
    with pytest.raises(MerError, match=r"size 4 is outside 16\.\.1024"):
        Parameters(size=4)


def test_frames_for_a_model_of_sequences(annotations, cache, tmp_path):
    """They are cropped beside onset and apex, and what training sees of those stays the same."""
    from mer_pipeline.training import load_clips

    summary = preprocess(annotations, tmp_path, Parameters(size=64, frames=5))
    assert 5 * CLIPS <= summary.decoded_frames <= 6 * CLIPS  # the apex may be one of the five
    table = read_manifests(tmp_path)
    crops = [Store(tmp_path / "objects").get("crop", key) for key in table["crop_key"]]
    for row, found in zip(table.to_dict("records"), crops, strict=True):
        frames = found.facts["frames"]
        assert {row["onset_frame"], row["apex_frame"], row["offset_frame"]} <= set(frames)
        assert len(found.arrays["crops"]) == len(frames) in (5, 6)
    usual, longer = load_clips(cache), load_clips(tmp_path)
    # Following the head from frame to frame, registration begins elsewhere and may end a thousandth of a pixel away.
    assert (usual.images.int() - longer.images.int()).abs().float().mean() < 0.1
    with pytest.raises(MerError, match=r"1 frames are outside 2\.\.256"):
        Parameters(frames=1)


def test_a_job_array_computes_what_one_process_does(annotations, tmp_path):
    pytest.importorskip("submitit")
    few = dataclasses.replace(annotations, clips=annotations.clips[:3])
    engine = engine_of("slurm", 2, {"cluster": "local"})
    one = preprocess(few, tmp_path / "1", Parameters(size=32))
    two = preprocess(few, tmp_path / "2", Parameters(size=32), engine=engine)
    assert (one.jobs, two.jobs, two.ok) == (1, 2, 3)
    assert read_manifests(tmp_path / "1").equals(read_manifests(tmp_path / "2"))
    assert not list((tmp_path / "2").glob("jobs-*"))
