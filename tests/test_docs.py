"""The documentation site builds strictly, loads nothing from elsewhere, and describes every name of the door."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mer_pipeline as mer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_image_holds_what_is_installed_and_nothing_else():
    """Runs and caches lie in a checkout, and show faces."""
    everything, *exceptions = (line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#")
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, wheel = config["project"], config["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml",
        project["readme"],
        *project["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
    }
    assert everything == "*"
    assert {line[1:] for line in exceptions if line[0] == "!"} == needed


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs mkdocs (extra docs)")
    pytest.importorskip("material", reason="needs mkdocs-material (extra docs)")
    pytest.importorskip("mkdocstrings", reason="needs mkdocstrings (extra docs)")
    folder = tmp_path_factory.mktemp("site")
    # A proxy that does not exist: whatever opens a connection while the site is built fails.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_has_every_page(site):
    wanted = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    assert {"index.html", "numbers.html", "architecture.html", "extending.html", "api/data.html"} <= wanted
    assert all((site / page).is_file() for page in wanted)


def test_a_page_loads_nothing_from_elsewhere(site):
    loads = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=[\"']?(https?:)?//[^>]*>", re.IGNORECASE)
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 15
    for page in pages:
        found = [match[0] for match in loads.finditer(page.read_text(encoding="utf-8"))]
        assert [tag for tag in found if 'rel="canonical"' not in tag] == [], page.name
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not any(re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style) for style in styles)


def test_every_name_of_the_door_is_described(site):
    pages = "".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    for name in mer.__all__:
        if not name.startswith("_"):
            found = getattr(mer, name)
            assert re.search(rf'id="[a-z_.]*\.{found.__name__}"', pages), name


def test_pictures_are_small():
    pictures = list((DOCS / "images").iterdir())
    assert pictures
    assert max(path.stat().st_size for path in pictures) < 300_000
