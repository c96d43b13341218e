"""The pages in a real browser: nothing to complain about, nothing wider than a phone."""

import shutil
from pathlib import Path

import pytest

from mer_pipeline.reports import write_report
from tests.reports import pages

CHROMIUM = next(
    (Path(path) for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None
)
ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
# What a reader would not see if it kept its light colour on dark paper.
_PAINTED = [("body", "backgroundColor"), ("body", "color"), (".figure text", "fill"), (".figure .line", "stroke")]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def files(run, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        "run": write_report(run, folder / "run.html", cache=cache),
        "faces": write_report(run, folder / "faces.html", cache=cache, with_faces=True),
        "hostile": write_report(pages.with_hostile_names(run, folder / "hostile")),
        "seeds": write_report(pages.of_two_seeds(run, folder / "seeds")),
        "ablation": write_report(pages.of_ablation(run, folder / "ablation")),
    }


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["run", "faces", "hostile", "seeds", "ablation"])
def test_a_page_opens_without_complaint_and_fits(browser, files, name, width):
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    complaints, requests, dialogs = [], [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(files[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("section").count() >= 5
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    assert dialogs == []
    context.close()


def test_it_follows_light_and_dark(browser, files):
    colours = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(files["run"].as_uri())
        of = "part => getComputedStyle(document.querySelector(part))"
        colours[scheme] = [page.evaluate(f"({of})('{part}').{what}") for part, what in _PAINTED]
        context.close()
    for light, dark in zip(colours["light"], colours["dark"], strict=True):
        assert light != dark
