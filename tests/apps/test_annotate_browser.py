"""`mer annotate` in a real browser, by the keyboard alone: from a film to a dataset and a network."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from mer_pipeline.apps.annotate import candidates
from mer_pipeline.apps.annotate.films import Films
from mer_pipeline.cache import Store
from mer_pipeline.datasets import read_dataset
from mer_pipeline.datasets.coders import read_codings
from mer_pipeline.faces.detectors import DEFAULT, choose_detector
from mer_pipeline.spotting.result import Event, Interval, Spotting, Timeline
from mer_pipeline.synth import Options, synthesise

from .browser import browser, needs_chromium, watched
from .test_annotate import film

pytestmark = needs_chromium
ANNOTATE = [sys.executable, "-u", "-c", "from mer_pipeline.cli import main; main()", "annotate"]
STARTS = range(20, 520, 50)  # ten


class Running:
    """`mer annotate` as a process of its own."""

    def __init__(self, folder, port=0):
        self.process = subprocess.Popen(
            [*ANNOTATE, str(folder), "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        self.address = re.search(r"http://\S+/", line)[0]
        self.port = int(re.search(r":(\d+)/", self.address)[1])

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        assert "Traceback" not in self.process.communicate(timeout=20)[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A film in which ten candidates were spotted before."""
    lab = tmp_path_factory.mktemp("annotate") / "lab"
    film(lab / "p1" / "talk.mp4", frames=540, fps=60)
    spotted = [Interval.at((at, at + 8, at + 20), 60.0, "micro", 1.0, 1.0, ()) for at in STARTS]
    timeline = Timeline(np.linspace(0, 9, 540), np.abs(np.sin(np.arange(540) / 16)))
    found = Spotting("", 60.0, 540, intervals=spotted, events=[Event("blink", 40, 48)], timeline=timeline)
    key = candidates._key(Films(lab).film("p1/talk.mp4"), choose_detector(DEFAULT))
    candidates._write(Store(lab / "annotations" / ".spotted"), key, found)
    return lab


@pytest.fixture(scope="module")
def server(folder):
    running = Running(folder)
    yield running
    running.end()


@pytest.fixture
def start():
    """Starts `mer annotate`; what a failed test left running ends with it."""
    made = []

    def begin(*given):
        made.append(Running(*given))
        return made[-1]

    yield begin
    for each in made:
        each.process.kill()


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


def opened(context, address, coder, marks=10):
    """A page in which a coder has said who that is, with the keyboard."""
    page = context.new_page()
    complaints, asked = watched(page)
    page.goto(address)
    page.wait_for_selector("#trouble:not([hidden])")
    page.keyboard.type(coder)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#entries li >> nth={marks - 1}", timeout=300_000)
    page.wait_for_selector("#picture[data-frame]")
    return page, complaints, asked


def mark_all(page, marks=10):
    """Judge every candidate: the onset two frames earlier, Action Units, an emotion; every fourth is rejected."""
    for number in range(marks):
        for key in ("1", "ArrowLeft", "ArrowLeft", "u"):
            page.keyboard.press(key)
        page.keyboard.type("4+L12B")
        page.keyboard.press("Enter")
        page.keyboard.press("e")
        page.keyboard.type(("disgust", "happiness")[number % 2])
        page.keyboard.press("Enter")
        page.keyboard.press("x" if number % 4 == 3 else "Enter")


def keys(page, *names):
    for name in names:
        page.keyboard.press(name)


def saved(page):
    page.wait_for_selector("#saved:text-is('saved')", timeout=30_000)


def entries(folder, coder):
    return json.loads((folder / "annotations" / coder / "p1" / "talk.mp4.json").read_text())["entries"]


def frames(entry):
    return [entry[f"{point}_frame"] for point in ("onset", "apex", "offset")]


def test_ten_candidates_are_a_dataset_though_the_tab_is_closed(chromium, folder, server):
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page, complaints, asked = opened(context, server.address, "Anna")
    mark_all(page)
    page.close()  # at once, while the last changes are on their way
    page = context.new_page()
    page.goto(server.address)  # who marks is remembered
    page.wait_for_selector("#counts:text-is('8 accepted, 2 rejected')")
    saved(page)
    found = entries(folder, "Anna")
    assert [frames(each) for each in found] == [[at - 2, at + 8, at + 20] for at in STARTS]
    assert {each["aus"] for each in found} == {"4+L12B"}
    data = read_dataset(folder)
    assert (len(data.clips), data.problems) == (8, ())
    assert data.emotions == {"disgust": 5, "happiness": 3}
    (coding,) = read_codings(folder / "annotations" / "Anna" / "p1" / "talk.eaf")
    assert [mark.span for mark in coding.marks] == [(c.onset_frame, c.offset_frame) for c in data.clips]
    assert complaints == []
    assert all(each.startswith((server.address, "data:")) for each in asked), asked


def test_marks_are_moved_made_undone_and_typed(chromium, folder, server):
    page, complaints, _ = opened(chromium.new_context(), server.address, "Ben")
    keys(page, "2", "ArrowRight", "ArrowRight", "ArrowRight", "3", "ArrowLeft", "Escape")
    keys(page, "ArrowDown", "ArrowLeft", "o", "m")  # one frame before its apex
    keys(page, "Home", "Shift+ArrowRight", "ArrowRight", "n", "t")
    page.keyboard.type("on a hunch")
    keys(page, "Escape", "w")
    page.keyboard.type("Lea")
    keys(page, "Enter", "u")
    page.keyboard.type("4+")  # so far no Action Units, and kept
    saved(page)
    made, first, second = entries(folder, "Ben")[:3]
    assert (frames(made), made["status"], made["note"], made["aus"]) == ([11, 19, 26], "accepted", "on a hunch", "4+")
    assert frames(first) == [20, 31, 39]
    assert (frames(second), second["kind"]) == ([77, 78, 90], "macro")
    page.wait_for_selector("#aus-words.bad:has-text('is not Action Unit notation')")
    keys(page, "Escape", *"zzzz", "ArrowUp")  # units, person, note, the mark itself
    saved(page)
    first, second = entries(folder, "Ben")[:2]
    assert (frames(first), second["kind"]) == ([20, 31, 39], "macro")
    keys(page, *"zzzz", "y")  # macro, onset, offset, apex: the frames of one move are undone together
    saved(page)
    first, second = entries(folder, "Ben")[:2]
    assert (frames(first), frames(second), second["kind"]) == ([20, 31, 40], [70, 78, 90], "micro")
    page.keyboard.press("g")
    page.wait_for_selector("#agreement[open]")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    assert "accept, and go to the next open mark" in page.inner_text("#keys")
    assert complaints == []


def test_a_server_that_is_killed_loses_nothing(chromium, folder, start):
    first = start(folder)
    page, _, _ = opened(chromium.new_context(), first.address, "Cleo")
    keys(page, "Enter")
    saved(page)
    first.end(signal.SIGKILL)
    keys(page, "Enter", "x")
    page.wait_for_selector("#trouble:has-text('The server does not answer')")
    again = start(folder, first.port)
    assert again.address == first.address
    saved(page)
    assert page.locator("#trouble").is_hidden()
    again.end(signal.SIGKILL)
    assert [each["status"] for each in entries(folder, "Cleo")[:4]] == ["accepted", "accepted", "rejected", "open"]


@pytest.mark.parametrize("width", [1440, 390])
def test_it_fits(chromium, server, width):
    context = chromium.new_context(viewport={"width": width, "height": 860})
    page, complaints, _ = opened(context, server.address, "Dan")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    assert page.locator("#accept").bounding_box()["y"] < 860, "within reach"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
    if shots := os.environ.get("MER_SCREENSHOTS"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=f"{shots}/annotate-{width}-{scheme}.png", full_page=True)
    assert complaints == []


@pytest.mark.slow
def test_from_a_film_to_a_network(mer, chromium, tmp_path, start):
    """What was spotted in two people's films is judged, and a network is trained on what is left."""
    options = Options(fps=30, seconds=16, noise=1.0, amplitude_px=(1.5, 3.0))
    made = synthesise(tmp_path / "long", layout="long", subjects=2, clips=4, seed=3, options=options)
    for number in (1, 2):
        (tmp_path / "lab" / f"p{number}").mkdir(parents=True)
        (made / f"s0{number}.mp4").rename(tmp_path / "lab" / f"p{number}" / "talk.mp4")
    running = start(tmp_path / "lab")
    page, complaints, _ = opened(chromium.new_context(), running.address, "Anna", marks=3)
    counts = []
    for number in (0, 1):
        page.wait_for_selector(f"#picture[aria-label$='p{number + 1}/talk.mp4']")
        page.wait_for_selector("#working:text-is('motion of the skin')", timeout=300_000)
        page.wait_for_selector("#entries li")
        counts.append(page.locator("#entries li").count())
        mark_all(page, counts[-1])
        saved(page)
        page.keyboard.press("PageDown")
    running.end()
    assert complaints == []
    found = json.loads(mer("inspect", tmp_path / "lab", "--json").out)
    accepted = sum(count - count // 4 for count in counts)
    assert (found["clips"] + found["macro"], found["problems"], found["subjects"]) == (accepted, [], 2)
    summary = json.loads(
        mer("preprocess", tmp_path / "lab", "--out", tmp_path / "cache", "--size", 64, "--json", "-q").out
    )
    assert (summary["ok"], summary["failed"]) == (found["clips"], 0)
    called = mer("train", "--dataset", tmp_path / "cache", "--model", "facesleuth-tiny", "--epochs", 1, "--seeds", 1,
                 "--out", tmp_path / "run", "--json", "-q")  # fmt: skip
    assert json.loads(called.out)["clips"] == found["clips"], called.err
