"""More cases of the campaign: odd names and environments on the command line, and a server under load."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from mer_pipeline.apps.web import serve
from mer_pipeline.cli import main
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference import Predictor
from studies.campaign_set import Undisturbed, place
from studies.children import MOST_S, finished, start
from studies.damage import mutated

_NAMES = (
    "a\nb", "[red]", "[bold]x", ":bomb:", "a\x1b[31mb", "12:30:05", "x" * 200, "微笑" * 30, " ", "-q", "--json",
    "%03d", "a\tb", "concat:a|b", "é", "e\u0301", "\u202egpj", "*?{}", "a;b", "$(x)", "'\"", "\udce4\udcf6",
    ".hidden", "con",
)  # fmt: skip
_VARIABLES = (
    ("X", "x"), ("COLUMNS", "1"), ("COLUMNS", "x"), ("TERM", "dumb"), ("NO_COLOR", "1"), ("LC_ALL", "C"),
    ("FORCE_COLOR", "1"), ("TMPDIR", "/absent"),
)  # fmt: skip
_ENCODINGS = ("utf-8", "ascii", "gbk", "latin-1", "utf-16-le")


class EdgeCases:
    """The cases over an undisturbed set; each category is a method."""

    def __init__(self, made: Undisturbed) -> None:
        self.made = made

    def names(self, number: int, rng: random.Random) -> str:
        """A command on a file of an odd name, in an odd environment: exit code 0 or 1, and no traceback."""
        name = rng.choice(_NAMES)
        video = rng.choice(self.made.videos)
        with place() as folder, _environment(rng):
            clip = folder / "own" / f"{name}{video.suffix}"
            clip.parent.mkdir()
            shutil.copy(video, clip)
            (clip.parent / "clips.csv").write_text(
                f'clip,subject,emotion\n"{clip.name}",anna,{name[:5]}\n'.replace("\n,", ","), errors="surrogateescape"
            )
            model = ["--model", self.made.folder / "run", "--detector", "none", "--device", "cpu"]
            commands = (
                ["inspect", clip.parent],
                ["preprocess", clip.parent, "--out", folder / name, "--detector", "none", "--size", 32, "--jobs", 1],
                ["predict", clip, *model, "--csv", folder / f"{name}.csv", "--image", folder / f"{name}.png"],
                ["predict", clip, folder / name, *model, "--json"],
                ["spot", clip, "--detector", "none"],
                ["report", folder / name],
            )
            code, text = _called(commands[number % len(commands)], rng.choice(_ENCODINGS))
            assert code in (0, 1, 2), f"exit code {code}"
            assert "Traceback" not in text, text[-300:]
            assert "\x1b[31m" not in text, "a name reached the terminal"
        return f"exit code {code}"

    def server(self, number: int, rng: random.Random) -> str:
        """A hundred uploads at once, most of them bad; the server works on, ends when asked to, and leaves nothing."""
        with place() as folder:
            (folder / "tmp").mkdir()
            hard, good = number % 3 == 2, self.made.folder / "videos" / "mjpeg.avi"
            with self._served(folder / "tmp", 9 if hard else rng.choice((1, 2, 15))) as port:
                statuses = self._load(port, rng)
                assert statuses.count(0) < 60, "most requests had no answer"
                assert 500 not in statuses, statuses
                if not hard:  # which is killed at work
                    _wait_for(port, good.read_bytes())
                    assert len(list((folder / "tmp").glob("mer-serve-*/*"))) <= 1, "uploads stay"
            if hard:
                with self._served(folder / "tmp", signal.SIGTERM) as port:
                    assert len(list((folder / "tmp").glob("mer-serve-*"))) == 1, "what a killed server had stays"
                    _wait_for(port, good.read_bytes())
            left = list((folder / "tmp").glob("mer-serve-*"))
            assert not left, f"left behind: {left}"
        return "served after 1 kills" if hard else "served"

    @contextlib.contextmanager
    def _served(self, temporary: Path, end: int) -> Iterator[int]:
        """A server for a while, which is then sent a signal; gives its port."""
        ready, told = os.pipe()
        child = start(lambda: _serve(self.made.folder / "run", temporary, told))
        os.close(told)
        try:
            with os.fdopen(ready) as pipe:
                yield int(pipe.readline())
        finally:
            os.kill(child, end)
            code = finished(child, 15)
        assert code != -9 or end == 9, "it did not end"

    def _load(self, port: int, rng: random.Random) -> list[int]:
        statuses: list[int] = []
        seeds = [rng.random() for _ in range(100)]
        threads = [threading.Thread(target=lambda s=s: statuses.append(self._request(port, s))) for s in seeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(MOST_S)
        assert not any(thread.is_alive() for thread in threads), "a request hangs"
        return statuses

    def _request(self, port: int, seed: float) -> int:
        """One client of some kind; the status that it is given, 0 for none."""
        rng = random.Random(seed)
        video = rng.choice(self.made.videos).read_bytes()
        kind = rng.choice(("good", "damaged", "playlist", "slow", "broken", "huge", "host", "origin", "raw", "get"))
        content = {"damaged": mutated(video, rng), "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"}.get(
            kind, video
        )
        headers = {"Content-Type": "text/plain" if kind == "origin" else "application/octet-stream"}
        if kind == "host":
            headers["Host"] = "evil.example"
        if kind == "origin":
            headers["Origin"] = "http://evil.example"
        with contextlib.suppress(OSError, http.client.HTTPException):
            if kind in ("slow", "broken", "huge", "raw"):
                return _by_hand(port, kind, content, rng)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=MOST_S / 2)
            suffix = "m3u8" if kind == "playlist" else "avi"
            if kind == "get":
                connection.request("GET", rng.choice(("/", "/clips/x", "/clips/../x", "/%00", "/clips/x/sheets/0.png")))
            else:
                connection.request("POST", f"/clips?name=a%00b.{suffix}", content, headers)
            answer = connection.getresponse()
            answer.read()
            if kind == "host":
                assert answer.status == 400
            if kind == "origin":
                assert answer.status == 415
            return answer.status
        return 0


def _by_hand(port: int, kind: str, content: bytes, rng: random.Random) -> int:
    """A client that does not keep to the protocol."""
    with socket.create_connection(("127.0.0.1", port), timeout=MOST_S / 2) as connection:
        if kind == "raw":
            connection.sendall(rng.randbytes(200) + b"\r\n\r\n")
            return 0
        length = 100 << 30 if kind == "huge" else len(content)
        head = f"POST /clips?name=x.avi HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        connection.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode())
        if kind == "huge":
            return int(connection.recv(100).split(b" ")[1])
        connection.sendall(content[: len(content) // 2])
        if kind == "slow":
            time.sleep(rng.uniform(0, 3))
            connection.sendall(content[len(content) // 2 :])
            return int(connection.recv(100).split(b" ")[1])
    return 0


def _serve(run: Path, temporary: Path, told: int) -> None:
    import tempfile

    tempfile.tempdir = str(temporary)
    predictor = Predictor(run, "cpu", detector=Detector("none"))

    def ready(address: str) -> None:
        os.write(told, f"{address.rstrip('/').rpartition(':')[2]}\n".encode())

    serve(lambda: predictor, port=0, most_mib=2, on_ready=ready)


def _wait_for(port: int, content: bytes) -> None:
    """Upload a good clip as soon as there is room for it, and wait for its result."""
    key, until = None, time.monotonic() + 3 * MOST_S  # other work may share the cores
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=MOST_S)
        if key is None:
            connection.request("POST", "/clips?name=good.avi", content, {"Content-Type": "application/octet-stream"})
        else:
            connection.request("GET", f"/clips/{key}")
        answer = json.loads(connection.getresponse().read())
        key = key or answer.get("key")
        if answer.get("state") in ("done", "failed"):
            return
        time.sleep(0.1)
    raise AssertionError("a good clip has no result")


@contextlib.contextmanager
def _environment(rng: random.Random) -> Iterator[None]:
    """Odd variables for a while."""
    before = dict(os.environ)
    os.environ.update([rng.choice(_VARIABLES)])
    if rng.random() < 0.2:
        os.environ.pop("HOME", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _called(arguments: list[object], encoding: str) -> tuple[int, str]:
    """Exit code of a command and all that it printed."""
    from mer_pipeline.cli import common

    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
    before, code = (sys.argv, sys.stdout, sys.stderr), 0
    sys.argv, sys.stdout, sys.stderr = ["mer", *map(str, arguments)], *streams
    common._out.cache_clear()
    common._err.cache_clear()
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    finally:
        sys.argv, sys.stdout, sys.stderr = before
    return code, "".join(each.buffer.getvalue().decode(encoding, "replace") for each in streams)
