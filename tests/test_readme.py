"""Every fenced `mer` command of the README and the guide runs, on a small synthetic dataset."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
# In this order, each in the folder that the ones before it left; that of your own data adds a second set to the cache.
PAGES = ["README.md", *(f"docs/guide/{name}.md" for name in (
    "install", "first-day", "any-video", "training", "many", "comparing", "your-data", "synthetic",
))]  # fmt: skip
# Appended to a command so that it ends in seconds; an option given twice counts the second time.
SHORTER = {
    "synth": ["--subjects", "2", "--clips", "2"],
    "spot": ["--fps", "200"],  # which the folder of frames does not say
    "train": ["--model", "facesleuth-tiny", "--epochs", "1", "--seeds", "1"],
    "preprocess": ["--size", "32"],
    "ablate": ["--model", "facesleuth-tiny", "--rows", "baseline,soa", "--seeds", "1", "--set", "epochs=1"],
}


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("mer ")]


def test_the_readme_has_the_five_commands_of_the_first_day():
    assert [line.split()[1] for line in commands(README)] == ["inspect", "preprocess", "train", "report", "predict"]


def test_no_page_with_commands_is_left_out():
    pages = [path for path in [README, *(ROOT / "docs").rglob("*.md")] if commands(path)]
    assert sorted(pages) == sorted(ROOT / page for page in PAGES)


def test_every_command_runs(raw, mer, tmp_path, monkeypatch):
    shutil.copytree(raw, tmp_path / "raw" / "CASME2")
    monkeypatch.chdir(tmp_path)
    # A folder of frames stands for the reader's own video: how it is decoded is tested elsewhere.
    clip = next((raw / "CASME2-RAW" / "sub01").iterdir())
    (tmp_path / "clip.avi").symlink_to(clip, target_is_directory=True)
    # A command that several pages show runs once.
    for line in dict.fromkeys(line.partition("#")[0].strip() for page in PAGES for line in commands(ROOT / page)):
        arguments = shlex.split(line)[1:]
        called = mer(*arguments, *SHORTER.get(arguments[0], []))
        assert called.code == 0, f"{line}\n{called.err}"


def test_what_the_readme_says_of_the_demo_is_what_it_prints():
    from mer_pipeline.apps.demo import CLIPS, SUBJECTS

    for page in (README, ROOT / "docs" / "guide" / "install.md"):
        assert f"LOSO, {SUBJECTS} subjects, {SUBJECTS * CLIPS} clips" in page.read_text()


def test_the_demos_range_over_seeds_is_the_same_on_every_page():
    pages = [README, ROOT / "docs" / "guide" / "install.md", ROOT / "models" / "facesleuth-tiny" / "README.md"]
    stated = r"UF1 (0\.\d{3}) to (0\.\d{3}) over 5 seeds, mean (0\.\d{3})"
    said = [re.findall(stated, page.read_text()) for page in pages]
    assert [len(one) for one in said] == [1, 1, 1]
    assert said[0] == said[1] == said[2]
    low, high, mean = map(float, said[0][0])
    assert low < mean < high


def test_the_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert len(links) >= 12
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "models/README.md"])
def test_pages_have_no_trailing_promises(page):
    text = (ROOT / page).read_text()
    assert not re.search(r"TODO|FIXME|coming soon|TBD", text, re.IGNORECASE)
