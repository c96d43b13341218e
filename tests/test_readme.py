"""Every fenced `mer` command of the README runs, on a small synthetic dataset."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
# Appended to a command so that it ends in seconds; an option given twice counts the second time.
SHORTER = {
    "train": ["--model", "facesleuth-tiny", "--epochs", "1", "--seeds", "1"],
    "preprocess": ["--size", "32"],
    "ablate": ["--model", "facesleuth-tiny", "--rows", "baseline,soa", "--seeds", "1", "--set", "epochs=1"],
}


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("mer ")]


def test_the_readme_has_the_commands_of_the_whole_chain():
    assert {line.split()[1] for line in commands()} >= {"inspect", "preprocess", "train", "predict", "synth"}


def test_every_command_runs(raw, mer, tmp_path, monkeypatch):
    shutil.copytree(raw, tmp_path / "raw" / "CASME2")
    monkeypatch.chdir(tmp_path)
    # A folder of frames stands for the reader's own video: how it is decoded is tested elsewhere.
    clip = next((raw / "CASME2-RAW" / "sub01").iterdir())
    (tmp_path / "clip.avi").symlink_to(clip, target_is_directory=True)
    for line in commands():
        arguments = shlex.split(line, comments=True)[1:]
        called = mer(*arguments, *SHORTER.get(arguments[0], []))
        assert called.code == 0, f"{line}\n{called.err}"


def test_what_the_readme_says_of_the_demo_is_what_it_prints():
    from mer_pipeline.apps.demo import CLIPS, SUBJECTS

    assert f"LOSO, {SUBJECTS} subjects, {SUBJECTS * CLIPS} clips" in README.read_text()


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "models/README.md"])
def test_pages_have_no_trailing_promises(page):
    text = (README.parent / page).read_text()
    assert not re.search(r"TODO|FIXME|coming soon|TBD", text, re.IGNORECASE)
