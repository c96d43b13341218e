import errno
import hashlib
import multiprocessing
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from mer_pipeline.cache import Artefact, Store, key_of, remove_leftovers, write_atomically
from mer_pipeline.errors import WriteError


def test_arrays_and_facts_come_back_as_they_were(tmp_path):
    store = Store(tmp_path / "objects")
    arrays = {"crops": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "flow": np.array([0.5, -1], np.float16)}
    store.put("crop", "k1", Artefact(arrays, {"a": [1, None, "x"]}))
    found = store.get("crop", "k1")
    assert found is not None
    assert found.facts == {"a": [1, None, "x"]}
    for name, array in arrays.items():
        assert np.array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    assert store.get("crop", "k2") is None


def test_facts_alone_are_enough(tmp_path):
    store = Store(tmp_path)
    store.put("keyframes", "k", Artefact(facts={"onset_frame": 3}))
    assert store.get("keyframes", "k").facts == {"onset_frame": 3}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-40], id="cut short"),
        pytest.param(lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:], id="one bit flipped"),
        pytest.param(lambda content: b"", id="empty"),
    ],
)
def test_a_damaged_artefact_is_set_aside_and_never_used(tmp_path, damage):
    store = Store(tmp_path)
    store.put("crop", "k", Artefact({"crops": np.ones((4, 4), np.uint8)}))
    path = store.path("crop", "k")
    path.write_bytes(damage(path.read_bytes()))
    assert store.get("crop", "k") is None
    assert [file.name for file in store.damaged] == ["k.damaged"]
    assert not path.exists()


def damaged_between(tmp_path, monkeypatch, meanwhile):
    """A store with one damaged entry; `meanwhile` happens between reading it and setting it aside."""
    store = Store(tmp_path)
    store.put("crop", "k", Artefact())
    path = store.path("crop", "k")
    path.write_bytes(path.read_bytes()[:-5])
    set_aside = Store._set_aside
    monkeypatch.setattr(Store, "_set_aside", lambda self, path: (meanwhile(path), set_aside(self, path))[1])
    return store


def test_an_entry_that_another_process_sets_aside_at_the_same_time_is_absent(tmp_path, monkeypatch):
    store = damaged_between(tmp_path, monkeypatch, lambda path: path.unlink())
    assert store.get("crop", "k") is None
    assert store.damaged == []


def test_an_entry_that_cannot_be_set_aside_is_one_line(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(errno.EACCES, "Permission denied")

    store = damaged_between(tmp_path, monkeypatch, lambda path: monkeypatch.setattr(Path, "replace", refuse))
    with pytest.raises(WriteError, match=r"crop/k/k: damaged, and cannot be set aside \(Permission denied\)"):
        store.get("crop", "k")


def test_keys_depend_on_everything():
    keys = {
        key_of("crop", 1, ["a"], None),
        key_of("align", 1, ["a"], None),
        key_of("crop", 2, ["a"], None),
        key_of("crop", 1, ["b"], None),
        key_of("crop", 1, ["a"], {"size": 112}),
    }
    assert len(keys) == 5
    assert key_of("crop", 1, {"x": 1, "y": 2}, None) == key_of("crop", 1, {"y": 2, "x": 1}, None)


def test_folders_and_files_are_private(tmp_path):
    store = Store(tmp_path / "cache" / "objects")
    store.put("crop", "k", Artefact(facts={}))
    path = store.path("crop", "k")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (tmp_path / "cache", store.root, path.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def _put_many(root, first):
    store = Store(root)
    for i in range(50):
        store.put("crop", f"{i:02d}", Artefact({"x": np.full(1000, i, np.int32)}))
        assert store.get("crop", f"{(i + first) % (i + 1):02d}") is not None


def test_two_processes_may_write_the_same_keys(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_put_many, args=(tmp_path, first)) for first in (0, 7)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    store = Store(tmp_path)
    assert all(store.get("crop", f"{i:02d}").arrays["x"][0] == i for i in range(50))
    assert not [file for file in tmp_path.rglob(".*") if file.is_file()]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"No space left on device.*check permissions and free space"):
        write_atomically(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        Store(tmp_path / "cache" / "objects")


def another_key(store, path):
    path.write_bytes(store.path("crop", "b" * 40).read_bytes())


def folder(store, path):
    path.unlink()
    (path / "inside").mkdir(parents=True)


def circle(store, path):
    path.unlink()
    path.symlink_to(path.name)


def nowhere(store, path):
    path.unlink()
    path.symlink_to("nowhere")


def pipe(store, path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [another_key, folder, circle, nowhere, pipe])
def test_what_is_no_entry_of_its_key_is_set_aside_and_made_anew(tmp_path, damage):
    store = Store(tmp_path / "objects")
    for key, value in (("a" * 40, 1), ("b" * 40, 2)):
        store.put("crop", key, Artefact({"x": np.array([value])}))
    for _ in range(2):  # what was set aside before is in nobody's way
        damage(store, store.path("crop", "a" * 40))
        assert store.get("crop", "a" * 40) is None
        store.put("crop", "a" * 40, Artefact({"x": np.array([1])}))
        assert store.get("crop", "a" * 40).arrays["x"].tolist() == [1]
    assert len(store.damaged) == 2


def test_an_entry_without_a_key_is_of_an_older_version(tmp_path):
    store = Store(tmp_path)
    body = safetensors.numpy.save({"x": np.array([1])}, metadata={"facts": "{}"})
    path = store.path("crop", "a" * 40)
    path.parent.mkdir(parents=True)
    path.write_bytes(body + hashlib.blake2b(body, digest_size=32).digest())
    assert store.get("crop", "a" * 40).arrays["x"].tolist() == [1]


def test_what_killed_processes_left_is_removed_after_an_hour(tmp_path):
    kept = ["a" * 40, ".hidden", "card.json", ".card.json.abcdefgh"]
    left = [".card.json.ab_d3fgh", "x.damaged", "folder/.0123.aaaaaaaa"]
    (tmp_path / "folder").mkdir()
    for name in kept + left:
        (tmp_path / name).touch()
        if name != kept[-1]:  # which is younger
            os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([*kept, "folder"])
