"""The page of `mer serve`, over HTTP and in a real browser."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pandas as pd
import pytest

from mer_pipeline.video import VideoWriter, open_footage

from .browser import browser, needs_chromium, watched

SERVE = [sys.executable, "-u", "-c", "from mer_pipeline.cli import main; main()", "serve"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Here alone connections are opened, and to this machine only."""
    connect = socket.socket.connect

    def local(self, address):
        assert not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1"), address
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)


@pytest.fixture(scope="module")
def clip(raw, tmp_path_factory):
    """A video of one expression."""
    row = pd.read_parquet(raw / "truth.parquet").iloc[0]
    frames = open_footage(raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"])
    path = tmp_path_factory.mktemp("web") / "my clip é.mp4"
    with VideoWriter(path, 200) as writer:
        for index, image in frames.read(range(len(frames))):
            writer.write(image, index / 200)
    return path


@pytest.fixture(scope="module")
def server(run, tmp_path_factory):
    """Its address, the folder that it keeps uploads in and its temporary folder."""
    keep, temporary = tmp_path_factory.mktemp("keep") / "kept", tmp_path_factory.mktemp("temporary")
    process = subprocess.Popen(
        [*SERVE, "--model", str(run), "--port", "0", "--limit", "3", "--keep", str(keep), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    address = re.search(r"http://\S+/", process.stdout.readline())[0]
    yield address, keep, temporary
    process.terminate()
    _out, err = process.communicate(timeout=20)
    assert "Traceback" not in err
    assert list(temporary.glob("mer-serve-*")) == []


def request(address, content=None, **headers):
    """Status, headers and body of a request."""
    request = urllib.request.Request(address, content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def upload(address, content, name="clip.mp4", kind="application/octet-stream"):
    status, _headers, body = request(f"{address}clips?name={name}", content, **{"Content-Type": kind})
    return status, json.loads(body)


def finished(address, key):
    for _ in range(400):
        job = json.loads(request(f"{address}clips/{key}")[2])
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def test_an_upload_becomes_a_result_and_is_put_away(server, clip):
    address, keep, temporary = server
    status, answer = upload(address, clip.read_bytes(), "a%2F..%2Fmine.mp4")
    assert status == 202
    job = finished(address, answer["key"])
    assert (job["state"], job["error"], job["name"], job["sheets"]) == ("done", None, "mine.mp4", 1)
    assert job["result"]["clip"] == "mine.mp4"
    assert job["result"]["expressions"][0]["aus_source"] == "predicted"
    assert len(job["timeline"]["seconds"]) == len(job["timeline"]["motion"]) > 10
    status, headers, picture = request(f"{address}clips/{answer['key']}/sheets/0.png")
    assert (status, headers["content-type"], picture[:4]) == (200, "image/png", b"\x89PNG")
    assert [path.name for path in keep.iterdir()] == ["mine.mp4"]
    assert (keep / "mine.mp4").stat().st_mode & 0o777 == 0o600
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("content", [b"no video\n" * 99, b""], ids=["text", "empty"])
def test_a_bad_file_is_one_line_with_its_own_name(server, content):
    address, keep, temporary = server
    before = list(keep.glob("*"))
    _status, answer = upload(address, content, "bad.mp4")
    job = finished(address, answer["key"])
    assert job["error"].startswith("bad.mp4: not a readable video")
    assert "\n" not in job["error"]
    assert list(keep.glob("*")) == before
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def test_what_must_not_be_is_refused(server):
    address, _keep, temporary = server
    status, answer = upload(address, bytes(4 << 20))
    assert (status, answer["error"]) == (413, "clip.mp4: larger than 3 MiB; start mer serve with a higher --limit")
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
    assert upload(address, b"x", kind="multipart/form-data")[0] == 415, "what forms of other pages can send"
    assert request(address, Host="elsewhere.example")[0] == 400, "a foreign name that points at this machine"
    assert request(f"{address}clips/guessed")[0] == 404
    assert request(f"{address}clips/guessed/sheets/0.png")[0] == 404
    headers = request(address)[1]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["access-control-allow-origin"] is None


def test_the_page_loads_nothing_from_elsewhere(server):
    page = request(server[0])[2].decode()
    assert set(re.findall(r"https?://[^\s\"']+", page)) <= {"http://www.w3.org/2000/svg"}


def test_a_taken_port_is_one_line(mer, run, server):
    port = re.search(r":(\d+)/", server[0])[1]
    called = mer("serve", "--model", run, "--port", port)
    assert called.code == 1
    assert called.error_lines[-1].startswith(f"error: 127.0.0.1:{port}: cannot listen (Address already in use); choose")


def test_an_absent_extra_is_one_line(mer, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    called = mer("serve", "--model", run, "--port", "0")
    assert called.code == 1
    assert 'pip install "mer-pipeline[web]"' in called.error_lines[-1]


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_from_the_upload_to_the_result(server, clip, width, tmp_path):
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": width, "height": 844})
        complaints, asked = watched(page)
        page.goto(server[0])
        page.set_input_files("#file", clip)
        page.wait_for_selector("a.button", timeout=60_000)
        card = page.locator("article").first
        assert clip.name in card.inner_text()
        assert card.locator("tbody tr").count() == 1
        assert card.locator("svg path").get_attribute("d").startswith("M")
        picture = card.locator(".sheets img")
        page.wait_for_function("document.querySelector('.sheets img').naturalWidth === 1200")
        assert picture.bounding_box()["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
        with page.expect_download() as download:
            card.get_by_text("Download JSON").click()
        (result,) = json.loads(download.value.path().read_text())
        assert result["expressions"][0]["emotion"] in card.inner_text()
        with page.expect_download() as download:
            card.get_by_text("Download CSV").click()
        header, row = download.value.path().read_text().splitlines()
        values = dict(zip(header.split(","), row.split(","), strict=True))
        assert (values["clip"], values["apex_frame"]) == (clip.name, str(result["expressions"][0]["apex_frame"]))
        page.wait_for_function("document.querySelector('video').readyState >= 1")
        card.locator("tbody tr").click()
        assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(
            result["expressions"][0]["onset_s"], abs=0.01
        )
        assert 38 * picture.bounding_box()["width"] / 1200 >= 9, "its letters can be read"

        bad = tmp_path / "bad.mp4"
        bad.write_text("no video")
        page.set_input_files("#file", bad)
        page.wait_for_selector("[role=alert]")
        assert page.locator("[role=alert]").inner_text().startswith("bad.mp4: not a readable video")
        huge = tmp_path / "huge.mp4"
        huge.write_bytes(bytes(4 << 20))
        page.set_input_files("#file", huge)
        page.wait_for_function("document.querySelectorAll('[role=alert]').length === 2")
        assert "larger than 3 MiB" in page.locator("[role=alert]").first.inner_text()
        if folder := os.environ.get("MER_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/serve-{width}.png", full_page=True)
        page.reload()
        page.wait_for_selector("a.button")
        assert clip.name in page.locator("article").last.inner_text(), "results outlive a reload"
    assert complaints == []
    assert all(url.startswith((server[0], "blob:", "data:")) for url in asked), asked
