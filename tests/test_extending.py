"""The recipes of docs/extending.md: all are applied to a copy of the package, whose tests and commands are then run."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
MOST_FILES = {"dataset": 6, "network": 4, "command": 4, "detector": 3, "protocol": 2}
# What the copy is used by: its tests, then commands, whose answers are written down. One process for all recipes: to
# start it takes longer than most of them.
USE = """
import contextlib, io, json, pathlib, sys
import pytest

tests, commands = json.loads(sys.argv[1])
for each in tests:
    if code := pytest.main(each):
        sys.exit(code)
from mer_pipeline.cli import main


def call(arguments):
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["mer", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    return code, out.getvalue(), err.getvalue()


pathlib.Path("called.json").write_text(json.dumps({name: call(arguments) for name, arguments in commands.items()}))
"""
# What is run of a test file that stands in the repository already: the rest of it is run where it stands.
CASES = {"protocol": ["-k", "odd-even"]}


def recipes() -> dict[str, tuple[int, list[tuple[str, str, str]]]]:
    """Of every recipe how many files its heading names, and its blocks: language, path, text."""
    _, *parts = re.split(r"^## A (?:face )?(\w+) \((\d+) files\)$", PAGE, flags=re.MULTILINE)
    found = {}
    for name, files, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        blocks = re.findall(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
        found[name] = (int(files), blocks)
    return found


RECIPES = recipes()


def added(old: str, diff: str) -> str:
    """A text with the lines of a diff that begin with `+`, put where its other lines stand."""
    lines = diff.splitlines()
    assert all(not line or line[0] in " +" for line in lines), diff
    context = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
    assert f"\n{old}".count(f"\n{context}") == 1, f"these lines do not stand there exactly once:\n{context}"
    new = "".join(f"{line[1:]}\n" for line in lines)
    return f"\n{old}".replace(f"\n{context}", f"\n{new}")[1:]


def apply(root: Path, language: str, path: str, text: str) -> None:
    file = root / path
    if language == "diff":
        text = added(file.read_text(encoding="utf-8"), text)
    else:
        assert not file.exists(), f"{path} is there already"
        file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Called:
    """What a command printed."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it printed without frames and line breaks."""
        return " ".join((self.out + self.err).replace("│", " ").split())


def extended(root: Path) -> Path:
    """A copy of the package with every recipe applied."""
    for part in ("mer_pipeline", "models", "docs"):
        # With what Python has compiled: to compile it anew takes longer than a test.
        shutil.copytree(ROOT / part, root / part)
    shutil.copytree(ROOT / "tests", root / "tests", ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for _, blocks in RECIPES.values():
        for block in blocks:
            apply(root, *block)
    return root


def use(root: Path, commands: dict[str, list[object]]) -> dict[str, Called]:
    """Run the recipes' own tests and then `mer` commands, in one process whose package is the copy."""
    files = {
        name: list(dict.fromkeys(path for _, path, _ in blocks if path.endswith(".py")))
        for name, (_, blocks) in RECIPES.items()
    }
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(root)]
    tests = [
        [*options, *(path for path in paths if path.startswith("tests/")), *CASES.get(name, ())]
        for name, paths in files.items()
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}

    def python(*given: str) -> None:
        called = subprocess.run(
            [sys.executable, *given],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert called.returncode == 0, f"{given}\n{called.stdout}\n{called.stderr}"

    python("-c", USE, json.dumps([tests, {name: [*map(str, command)] for name, command in commands.items()}]))
    if importlib.util.find_spec("ruff"):
        every = [path for paths in files.values() for path in paths]
        python("-m", "ruff", "check", "--no-cache", *every)
        python("-m", "ruff", "format", "--no-cache", "--check", *every)
    return {name: Called(*called) for name, called in json.loads((root / "called.json").read_text()).items()}


@pytest.fixture(scope="module")
def called(raw, cache, tmp_path_factory) -> dict[str, Called]:
    """What each command answers in the extended copy."""
    out = tmp_path_factory.mktemp("extended")
    train = ["train", "--seeds", 1, "--set", "epochs=1", "--protocol"]
    tiny = ["--model", "facesleuth-tiny"]
    commands = {
        "synth": ["synth", out / "raw", "--layout", "mylab", "--subjects", 2, "--clips", 3, "-q"],
        "inspect": ["inspect", out / "raw", "--json"],
        "models": ["models", "--json"],
        "network": [*train, "kfold:2", "--dataset", cache, "--model", "mynet", "-q", "--out", out / "n", "--json"],
        "help": ["--help"],
        "count": ["count", raw],
        "count nothing": ["count"],
        "preprocess": ["preprocess", raw, "--out", out / "c", "--size", 32, "--detector", "middle", "--json", "-q"],
        "detector": [*train, "kfold:2", "--dataset", out / "c", *tiny, "--out", out / "d", "--json", "-q"],
        "train help": ["train", "--help"],
        "protocol": [*train, "odd-even", "--dataset", cache, *tiny, "--out", out / "p", "--json", "-q"],
    }
    return use(extended(out / "copy"), commands)


def test_the_page_has_five_recipes():
    assert list(RECIPES) == list(MOST_FILES)
    titles = re.findall(r'^```\w+ title="', PAGE, re.MULTILINE)
    assert len(titles) == sum(len(blocks) for _, blocks in RECIPES.values()) == PAGE.count("\n```\n")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_touches_few_files(name):
    files, blocks = RECIPES[name]
    paths = {path for _, path, _ in blocks}
    assert len(paths) == files <= MOST_FILES[name]
    assert any(path.startswith("tests/") for path in paths)


@pytest.mark.parametrize(
    ("diff", "new"),
    [
        pytest.param(" b\n+x\n", "a\nb\nx\nc\nb b\n", id="after a line"),
        pytest.param("+x\n\n+y\n c\n", None, id="a blank line that is not there"),
        pytest.param("+x\n b\n+y\n c\n", "a\nx\nb\ny\nc\nb b\n", id="before and between"),
        pytest.param(" z\n+x\n", None, id="absent line"),
        pytest.param(" a\n c\n+x\n", None, id="lines that are not neighbours"),
    ],
)
def test_what_a_block_of_changes_does(diff, new):
    if new is None:
        with pytest.raises(AssertionError, match="do not stand there exactly once"):
            added("a\nb\nc\nb b\n", diff)
    else:
        assert added("a\nb\nc\nb b\n", diff) == new


def test_a_dataset_is_recognised_and_its_layout_written(called):
    assert (called["synth"].code, called["inspect"].code) == (0, 0), called["inspect"].err
    found = json.loads(called["inspect"].out)
    assert (found["dataset"], found["clips"], found["subjects"], found["problems"]) == ("mylab", 6, 2, [])


def test_a_network_is_listed_and_trained(called):
    (row,) = [row for row in json.loads(called["models"].out) if row["name"] == "mynet"]
    assert (row["parameters"], row["view"]) == (965, "pair")
    trained = called["network"]
    assert trained.code == 0, trained.err
    assert [json.loads(trained.out)[key] for key in ("model", "clips", "folds")] == ["mynet", 15, 2]


def test_a_command_is_listed_and_runs(called):
    assert "count Count the clips of a dataset." in called["help"].words
    assert (called["count"].code, called["count"].out) == (0, "15 clips of casme2\n")
    wrong = called["count nothing"]
    assert (wrong.code, "Missing argument" in wrong.err) == (2, True)


def test_a_detector_finds_faces_and_the_card_names_it(called):
    assert json.loads(called["preprocess"].out)["ok"] == 15
    assert called["detector"].code == 0, called["detector"].err
    card = json.loads((Path(json.loads(called["detector"].out)["run"]) / "final" / "card.json").read_text())
    assert card["chain"]["detector"] == ["middle"]


def test_a_protocol_is_named_by_the_help_and_holds_out(called):
    assert "odd-even (every other subject)" in called["train help"].words
    trained = called["protocol"]
    assert trained.code == 0, trained.err
    assert [json.loads(trained.out)[key] for key in ("protocol", "folds")] == ["odd-even", 2]
