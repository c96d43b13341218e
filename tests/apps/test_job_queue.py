"""What is uploaded may have any name and fail in any way: the clip after it has its turn."""

import contextlib
import time

import pytest

from mer_pipeline.apps import jobs as jobs_module
from mer_pipeline.apps.jobs import JobQueue


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """A queue that keeps uploads and finds nothing in them."""
    monkeypatch.setattr(JobQueue, "_predict", lambda self, predictor, job: None)
    with JobQueue(lambda: contextlib.nullcontext(), tmp_path / "kept") as queue:
        yield queue


def work(jobs, name):
    """What became of an upload."""
    file = jobs.place(name)
    file.write_bytes(b"video")
    job = jobs.job(jobs.take(name, file))
    for _ in range(200):
        if job.state in ("done", "failed"):
            assert not file.exists()
            return job
        time.sleep(0.02)
    raise AssertionError(job.state)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("a\0b.mp4", "ab.mp4", id="NUL"),
        pytest.param("a\n\x1b[31mb.mp4", "a[31mb.mp4", id="control characters"),
        pytest.param("x" * 300 + ".mp4", "x" * 200 + ".mp4", id="300 characters"),
        pytest.param("微" * 300 + ".mp4", "微" * 66 + ".mp4", id="900 bytes"),
        pytest.param("a." + "x" * 300, "a." + "x" * 19, id="a suffix of 300 characters"),
        pytest.param("..", "clip", id="the folder above"),
        pytest.param("C:\\clips\\.a.mp4", "a.mp4", id="a path of Windows, hidden"),
        pytest.param("", "clip", id="none"),
    ],
)
def test_an_upload_is_kept_under_a_safe_name(jobs, tmp_path, name, kept):
    job = work(jobs, name)
    assert (job.state, job.error, job.name) == ("done", None, kept)
    assert (tmp_path / "kept" / kept).read_bytes() == b"video"
    assert work(jobs, name).state == "done"
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_an_upload_that_cannot_be_kept_fails_alone(jobs, tmp_path):
    (tmp_path / "kept").write_text("a file where the folder should be")
    job = work(jobs, "a.mp4")
    assert (job.state, job.error.split(";")[0]) == ("failed", "a.mp4: cannot be written (a file has this name)")
    (tmp_path / "kept").unlink()
    assert work(jobs, "b.mp4").state == "done"


def test_an_upload_that_cannot_be_written_fails_alone(jobs, tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(jobs_module.shutil, "copyfileobj", full_disk)
        line = "a.mp4: cannot be kept (No space left on device); check the folder of --keep"
        assert work(jobs, "a.mp4").error == line
    (tmp_path / "kept" / "b.mp4").symlink_to(tmp_path / "private")  # leads out of the folder, and is not followed
    assert work(jobs, "b.mp4").state == "done"
    assert not (tmp_path / "private").exists()


def full_disk(*_):
    raise OSError(28, "No space left on device")
