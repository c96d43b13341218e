"""Uploads that are broken off, too large, too many or too slow: an answer, and nothing that stays."""

import contextlib
import os
import signal
import tempfile
from pathlib import Path

import pytest

from mer_pipeline.apps import web
from mer_pipeline.apps.jobs import JobQueue
from mer_pipeline.apps.server import listening
from mer_pipeline.apps.web import make_app

from . import asgi

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="modes and signals of POSIX")


@pytest.fixture
def jobs(monkeypatch, tmp_path):
    """A queue that nothing works on."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    queue = JobQueue(lambda: contextlib.nullcontext())
    yield queue
    queue.__exit__()


def ask(jobs, *parts, headers=(), method="POST", path="/clips", end=b"", host="127.0.0.1"):
    """Status and headers of a request whose body comes in parts, and how many of these were taken."""
    app = make_app(jobs, host="127.0.0.1", most_mib=1)
    given = [("content-type", "application/octet-stream"), *headers]
    status, found, _, taken = asgi.ask(
        app, f"{path}?name=a.mp4", *parts, headers=given, method=method, end=end, host=host
    )
    return status, found, taken


def uploads(tmp_path):
    return [path for path in tmp_path.glob("mer-serve-*/*") if path.is_file()]


MIB = bytes(1 << 20)


@pytest.mark.parametrize(
    ("parts", "options", "status"),
    [
        pytest.param((MIB[:10], MIB[:10]), {"end": None}, 408, id="broken off"),
        pytest.param((), {"end": None}, 408, id="broken off at once"),
        pytest.param((MIB[:10],), {"end": b"idle"}, 408, id="idle"),
        pytest.param((MIB, b"x"), {}, 413, id="too large"),
        pytest.param((MIB, MIB, MIB, MIB), {}, 413, id="far too large"),
        pytest.param((b"x",), {"headers": [("content-type", "text/plain")]}, 415, id="of another type"),
        pytest.param((b"x",), {"host": "evil.example"}, 400, id="to a foreign name"),
    ],
)
def test_what_is_refused_leaves_nothing(jobs, tmp_path, monkeypatch, parts, options, status):
    monkeypatch.setattr(web, "_IDLE_S", 0.05)
    assert ask(jobs, *parts, **options)[0] == status
    assert uploads(tmp_path) == []


def test_what_announces_too_much_is_refused_at_once(jobs, tmp_path):
    status, _, taken = ask(jobs, MIB, headers=[("content-length", str(100 << 30))])
    assert (status, taken, uploads(tmp_path)) == (413, 0, [])


def test_what_waits_is_private(jobs, tmp_path):
    assert ask(jobs, b"video")[0] == 202
    (file,) = uploads(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_so_many_are_taken_and_no_more(jobs, tmp_path):
    statuses = [ask(jobs, b"video")[0] for _ in range(10)]
    assert statuses == [202] * 8 + [503] * 2
    status, headers, _ = ask(jobs, b"video")
    assert (status, headers["retry-after"], len(uploads(tmp_path))) == (503, "10", 8)


def test_so_many_are_received_at_once(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "_OPEN", 0)
    assert ask(jobs, b"video")[0] == 503
    assert uploads(tmp_path) == []


@pytest.mark.parametrize(("host", "status"), [("[::1]", 200), ("localhost", 200), ("127.0.0.1", 200), ("evil.x", 400)])
def test_it_answers_to_its_own_names(jobs, host, status):
    assert ask(jobs, method="GET", path="/", host=host)[0] == status


def test_what_a_killed_server_left_is_removed_at_the_next_start(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    names = {f"mer-serve-{child}-x": False, f"mer-serve-{os.getppid()}-x": True, "mer-serve-x": True, "other": True}
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "face.mp4").touch()
    JobQueue(lambda: contextlib.nullcontext()).__exit__()
    assert {name: (tmp_path / name).exists() for name in names} == names


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_server_that_is_asked_to_end_leaves_nothing(monkeypatch, tmp_path, number):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(number)

    def serve():
        with listening("127.0.0.1", 0), JobQueue(lambda: contextlib.nullcontext(contextlib.nullcontext())) as jobs:
            Path(jobs.place("a.mp4")).write_bytes(b"face")
            signal.raise_signal(number)

    with pytest.raises(SystemExit) as stopped:
        serve()
    assert (stopped.value.code, list(tmp_path.iterdir()), signal.getsignal(number)) == (128 + number, [], before)
