"""An entry of the cache is used for the clip that it was made of, and for no other."""

import dataclasses
import os
import shutil

import cv2
import numpy as np
import pytest

from mer_pipeline.cache import Store
from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets import Annotations, Clip
from mer_pipeline.stages import preprocess as module
from mer_pipeline.stages.parameters import Parameters
from mer_pipeline.stages.pipeline import Pipeline
from mer_pipeline.stages.preprocess import preprocess
from mer_pipeline.video import open_footage

FRAMES = {"onset_frame": 0, "apex_frame": 2, "offset_frame": 3}
STAGES = ("keyframes", "detect", "align", "crop")
SMALL = Parameters(size=32)


def write_clip(folder, clip):
    """Four frames of an annotated clip; the files of all clips so written have the same names, sizes and times."""
    folder.mkdir(parents=True)
    wanted = np.linspace(clip.onset_frame, clip.apex_frame, 4).astype(int)
    for number, index in enumerate(wanted):
        frame = folder / f"{number:03d}.bmp"
        cv2.imwrite(str(frame), cv2.cvtColor(open_footage(clip.source).frame(int(index)), cv2.COLOR_RGB2BGR))
        os.utime(frame, (1_700_000_000, 1_700_000_000))
    return folder


@pytest.fixture(scope="module")
def people(raw, tmp_path_factory):
    """Folders `a` and `b`: one expression of each of two people."""
    from mer_pipeline.datasets import read_dataset

    folder, clips = tmp_path_factory.mktemp("people"), read_dataset(raw).clips
    other = next(clip for clip in clips if clip.subject != clips[0].subject)
    return {name: write_clip(folder / name, clip) for name, clip in (("a", clips[0]), ("b", other))}


def clip_of(source, dataset="own", **changed):
    return Clip(dataset, source.name, "clip", source, **{**FRAMES, **changed})


def run(cache, *clips, dataset="own", jobs=1, parameters=SMALL):
    return preprocess(Annotations(dataset, clips), cache, parameters, jobs=jobs)


def run_before(cache, *clips, **given):
    """A run of the version whose keys had no content."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pipeline, "first_inputs", lambda self, clip, stage, inputs, *_: inputs)
        return run(cache, *clips, **given)


def crops(cache):
    """The crops of every clip of a cache, by its id."""
    table, store = read_manifests(cache), Store(cache / "objects")
    return {
        clip_id: store.get("crop", key).arrays["crops"]
        for clip_id, key in zip(table["clip_id"], table["crop_key"], strict=True)
    }


def computed(summary):
    return {stage: counts["computed"] for stage, counts in summary.stages.items()}


@pytest.fixture(scope="module")
def right(people, tmp_path_factory):
    """The crops of each person, computed in a cache of their own."""
    found = {}
    for name, source in people.items():
        cache = tmp_path_factory.mktemp("right")
        run(cache, clip_of(source))
        (found[name],) = crops(cache).values()
    assert not np.array_equal(found["a"], found["b"])
    return found


def check(cache, right):
    for clip_id, found in crops(cache).items():
        assert np.array_equal(found, right[clip_id.split("/")[1]]), clip_id


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_of_one_name_size_and_time_are_told_apart_by_their_content(people, right, tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(module, "_CLIPS_A_WORKER", 1)
    clips = [clip_of(source) for source in people.values()]
    first, second = (run(tmp_path, *clips, jobs=jobs) for _ in range(2))
    assert (first.jobs, computed(first)) == (jobs, dict.fromkeys(STAGES, 2))
    assert computed(second) == dict.fromkeys(STAGES, 0)
    check(tmp_path, right)


@pytest.mark.parametrize(
    ("before", "now", "anew"),
    [
        pytest.param(["a"], ["a"], 0, id="of one clip, which is still there"),
        pytest.param(["a"], ["a", "b"], 1, id="a second clip came, which the manifest does not name"),
        pytest.param(["a"], ["b"], 1, id="another clip alone"),
        pytest.param(["a", "b"], ["a", "b"], 2, id="of two clips, so whose it is cannot be said"),
    ],
)
def test_an_entry_of_the_version_before_is_used_for_its_clip_alone(people, right, tmp_path, before, now, anew):
    run_before(tmp_path, *(clip_of(people[name]) for name in before))
    clips = [clip_of(people[name]) for name in now]
    assert computed(run(tmp_path, *clips)) == dict.fromkeys(STAGES, anew)
    check(tmp_path, right)
    assert computed(run(tmp_path, *clips)) == dict.fromkeys(STAGES, 0)


def test_an_entry_of_another_set_in_the_same_cache_is_not_used(people, right, tmp_path):
    run_before(tmp_path, clip_of(people["a"]))
    summary = run(tmp_path, clip_of(people["b"], "second"), dataset="second")
    assert computed(summary) == dict.fromkeys(STAGES, 1)
    check(tmp_path, right)
    assert computed(run(tmp_path, clip_of(people["a"]))) == dict.fromkeys(STAGES, 0)


def test_moved_files_keep_their_entries_and_copies_beside_them_do_not_borrow(people, tmp_path):
    cache, raw, moved, other = (tmp_path / name for name in ("cache", "raw", "moved", "other"))
    shutil.copytree(people["a"], raw / "a")
    run_before(cache, clip_of(raw / "a"))
    shutil.copytree(people["b"], other / "a")
    assert computed(run(tmp_path / "cache", clip_of(other / "a"))) == dict.fromkeys(STAGES, 1)

    shutil.rmtree(cache)
    run_before(cache, clip_of(raw / "a"))
    raw.rename(moved)
    assert computed(run(cache, clip_of(moved / "a"))) == dict.fromkeys(STAGES, 0)


def test_an_old_entry_is_not_used_on_the_word_of_a_new_manifest(people, right, tmp_path):
    """Both clips were computed anew; then one new entry is lost, while the old one of both is still there."""
    clips = [clip_of(source) for source in people.values()]
    run_before(tmp_path, *clips)
    old = set((tmp_path / "objects" / "keyframes").rglob("*"))
    run(tmp_path, *clips)
    for path in set((tmp_path / "objects" / "keyframes").rglob("*")) - old:
        if path.is_file():
            path.unlink()
    run(tmp_path, clips[0])
    check(tmp_path, right)


def test_flow_images_of_one_name_size_and_time_are_told_apart(tmp_path):
    clips = []
    for level, name in enumerate(("a", "b")):
        path = tmp_path / name / "flow.bmp"
        path.parent.mkdir()
        cv2.imwrite(str(path), np.full((28, 28, 3), 10 * level, np.uint8))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        clips.append(Clip("own", name, "clip", path, kind="flow"))
    run_before(tmp_path / "cache", clips[0])
    summaries = [run(tmp_path / "cache", *clips) for _ in range(2)]
    assert [summary.stages["motion"]["computed"] for summary in summaries] == [1, 0]
    table, store = read_manifests(tmp_path / "cache"), Store(tmp_path / "cache" / "objects")
    strains = [float(store.get("motion", key).arrays["flow"][2].max()) for key in table["motion_key"]]
    assert strains == pytest.approx([0, 10 / 255], abs=1e-3)


def test_the_content_of_a_long_file_is_that_of_its_head_tail_and_size(tmp_path):
    from mer_pipeline.video import content_of

    path, size = tmp_path / "clip.bin", 3 << 20
    seen = set()
    for position in (None, 0, size - 1):
        content = bytearray(size)
        if position is not None:
            content[position] = 1
        path.write_bytes(content)
        seen.add(content_of(path))
    path.write_bytes(bytes(size + 1))
    assert len(seen | {content_of(path)}) == 4


@pytest.mark.parametrize("frame", ["onset_frame", "apex_frame", "offset_frame"])
def test_the_annotated_frames_are_part_of_the_content(tmp_path, frame):
    clip = dataclasses.replace(clip_of(tmp_path), onset_frame=1, apex_frame=3, offset_frame=5)
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.bmp"), np.zeros((4, 4, 3), np.uint8))
    wanted = (clip.onset_frame, clip.apex_frame, clip.offset_frame, 99)
    before = open_footage(tmp_path).content(wanted)
    cv2.imwrite(str(tmp_path / f"{getattr(clip, frame)}.bmp"), np.full((4, 4, 3), 9, np.uint8))
    assert open_footage(tmp_path).content(wanted) != before
