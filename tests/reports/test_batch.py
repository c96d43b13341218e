"""Many clips in one go: what is done is not done again, and the page says what was found."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.inference import ClipResult, Expression
from mer_pipeline.inference.predictor import ExpressionImages
from mer_pipeline.inference.result import Unclassified
from mer_pipeline.reports.batch import Batch
from mer_pipeline.reports.batch_page import write_batch
from mer_pipeline.spotting.result import Event
from mer_pipeline.video import find_clips
from tests.reports.test_in_browser import ARGUMENTS, CHROMIUM

SMILE = Expression(
    10, 14, 19, 0.33, 0.47, 0.63, "micro", "positive", "expression", {"positive": 0.9, "negative": 0.1},
    {"12": 0.97, "6": 0.6, "1": 0.1}, "none", flags=["blink"],
)  # fmt: skip
LATER = Unclassified(50, 70, 90, 1.67, 2.33, 3.0)


def results_of(clip):
    """By its name: several people, nothing, or an error."""
    if clip.name == "broken":
        raise MerError("cannot be decoded", where=clip)
    one = ClipResult(
        str(clip), 30.0, 100, warnings=["few frames", "<b>bold</b>"], events=[Event("blink", 3, 5)], model="m"
    )
    if clip.name == "still":
        return [one]
    found = replace(one, expressions=[SMILE], person=1)
    return [found, replace(found, person=2, expressions=[replace(SMILE, apex_frame=15)], unclassified=[LATER])]


class Predict:
    """Counts what it is asked for; stops before a clip."""

    def __init__(self, stop=None):
        self.asked, self._stop = [], stop

    def __call__(self, clip, *, progress, on_expression):
        if clip.name == self._stop:
            raise KeyboardInterrupt
        self.asked.append(clip.name)
        crop = np.full((448, 448, 3), 128, np.uint8)
        for result in results_of(clip):
            for found in result.expressions:
                name = f"{clip}, person {result.person}"
                if on_expression is not None:
                    on_expression(ExpressionImages(name, found, crop, crop, np.zeros((3, 8, 8), np.float32), None))
        return results_of(clip)


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "films"
    for name in ("anna/smile", "anna/still", "ben/broken", "ben/wide & <i>open</i>".replace("/i", "i")):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "1.png"), np.zeros((4, 4, 3), np.uint8))
    return find_clips(folder)


@pytest.fixture(autouse=True)
def _drawn(monkeypatch):
    monkeypatch.setattr("mer_pipeline.reports.batch.write_sheet", lambda images, path: path.write_text(images.clip))


NAMES = ["smile", "still", "broken", "wide & <i>open<i>"]


def test_an_interrupted_batch_goes_on(tmp_path, clips):
    page, told = tmp_path / "out" / "page.html", []
    first = Predict(stop="broken")
    with pytest.raises(KeyboardInterrupt):
        Batch(page, {"fps": 30}, draws=True).run(clips, first)
    kept = sorted((tmp_path / "out" / "page_files" / "done").iterdir())
    assert (first.asked, len(kept)) == (NAMES[:2], 2)
    kept[0].write_text(kept[0].read_text()[:-30])  # cut short
    second, batch = Predict(), Batch(page, {"fps": 30}, draws=True)
    entries = batch.run(clips, second, lambda *step: told.append(step[:3]))
    assert len(second.asked) == 3
    assert set(NAMES[2:]) < set(second.asked)
    assert told == [("predict", done, 4) for done in range(5)]
    fresh = Batch(tmp_path / "other.html", {"fps": 30}, draws=True).run(clips, Predict())
    assert [each.results for each in entries] == [each.results for each in fresh], "read back to the last digit"
    assert [each.sights for each in entries] == [tuple(replace(sight) for sight in each.sights) for each in fresh]
    assert all((batch.folder / sight.sheet).is_file() for entry in entries for sight in entry.sights)
    batch.finish()
    assert not (batch.folder / "done").exists()
    assert batch.folder.stat().st_mode & 0o777 == 0o700


CHANGES = [
    pytest.param({"fps": 25}, lambda clips: None, 3, id="another option"),
    pytest.param({"fps": 30}, lambda clips: (clips[0] / "2.png").write_bytes((clips[0] / "1.png").read_bytes()), 1,
                 id="another file"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "change", "again"), CHANGES)
def test_what_has_changed_is_done_anew(tmp_path, clips, settings, change, again):
    Batch(tmp_path / "t.csv", {"fps": 30}, draws=False).run(clips[:3], Predict())
    change(clips)
    predict = Predict()
    Batch(tmp_path / "t.csv", settings, draws=False).run(clips[:3], predict)
    assert len(predict.asked) == again


def test_without_pictures_nothing_is_left(tmp_path, clips):
    batch = Batch(tmp_path / "t.csv", {}, draws=False)
    batch.run(clips, Predict())
    batch.finish()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["films"]


@pytest.fixture
def page(tmp_path, clips):
    batch = Batch(tmp_path / "page.html", {}, draws=True)
    entries = batch.run(clips, Predict())
    return write_batch(tmp_path / "page.html", entries, batch, table=tmp_path / "t a.csv", seconds=60)


def test_the_page_holds_every_clip_and_nothing_from_elsewhere(page):
    text = page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert text.count("<tr data-clip=") == 8
    assert "4 micro- and 2 macro-expressions in 4 clips, 1 could not be read; 1.0 minutes of work." in text
    assert "<i>open" not in text
    assert "<b>bold" not in text
    assert 'href="t%20a.csv"' in text
    assert "http" not in text.replace("http-equiv", "")
    assert "no expressions: 1 blink" in text


def test_filters_and_order_in_a_browser(page):
    if CHROMIUM is None:
        pytest.skip("needs Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        tab, complaints = browser.new_page(viewport={"width": 390, "height": 800}), []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(page.as_uri())
        shown = tab.locator("output")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        answers = {}
        for name, value in (
            ("what", "failed"),
            ("emotion", "positive"),
            ("au", "12"),
            ("text", "PERSON 2"),
            ("least", "0.95"),
        ):
            field = tab.locator(f"[name={name}]")
            (field.select_option if name in ("what", "emotion", "au") else field.fill)(value)
            answers[name] = shown.inner_text().split()[0]
            tab.click("text=Show all")
            tab.wait_for_function("document.querySelector('output').value.startsWith('8 of')")
        tab.set_viewport_size({"width": 1440, "height": 900})
        tab.click("th[data-sort=clip] button")
        tab.click("th[data-sort=clip] button")
        first = tab.locator("tbody tr th").first.inner_text()
        browser.close()
    assert answers == {"what": "1", "emotion": "4", "au": "4", "text": "4", "least": "0"}
    assert first == "ben/wide & <i>open<i>, person 2"
    assert complaints == []


def test_clips_of_a_folder(tmp_path, clips):
    assert [clip.name for clip in clips] == NAMES
    assert find_clips(clips[0]) == [clips[0]]
    (tmp_path / "beside").mkdir()
    for name in ("poster1.jpg", "film.mp4"):
        (tmp_path / "beside" / name).touch()
    assert [clip.name for clip in find_clips(tmp_path / "beside")] == ["film.mp4"], "a picture is no frame"
    (tmp_path / "films" / "a.MP4").touch()
    (tmp_path / "films" / ".hidden.mp4").touch()
    (tmp_path / "films" / "notes").mkdir()
    (tmp_path / "films" / "notes" / "circle").symlink_to(tmp_path / "films" / "notes", target_is_directory=True)
    assert [clip.name for clip in find_clips(tmp_path / "films")] == ["a.MP4", *NAMES]
    with pytest.raises(MerError, match="no videos or frames in this folder; videos end in"):
        find_clips(tmp_path / "films" / "notes")


def test_what_is_kept_is_strict_json(tmp_path, clips):
    Batch(tmp_path / "t.csv", {}, draws=False).run(clips[:1], Predict())
    (kept,) = (tmp_path / "t_files" / "done").iterdir()
    assert {"clip", "results", "sights", "checksum"} == set(json.loads(kept.read_text()))
