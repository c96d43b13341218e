"""Small synthetic data that many tests share, and a guard against the network."""

import functools
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mer_pipeline.cli import main
from mer_pipeline.datasets import read_dataset
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import Options, portrait, synthesise
from mer_pipeline.training import load_clips, load_recipe, train

SHARED = Path(__file__).parents[2] / "shared" / "data"
# These take longest: begun first, they do not leave one of two processes idle at the end.
_FIRST = ("test_readme", "test_extending", "test_examples", "test_media", "test_every_dataset", "test_door")


def pytest_collection_modifyitems(config, items):
    """Skip what needs data that is not here, and what takes minutes unless it is asked for; long files come first."""
    items.sort(key=lambda item: item.path.stem not in _FIRST)
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"needs the folder {SHARED.parent.name}/data beside the checkout"))
        if item.get_closest_marker("slow") and "slow" not in config.getoption("-m"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with -m slow"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Nothing in `mer` may open a connection."""

    def refuse(self, address):
        raise AssertionError(f"a connection to {address} was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session", autouse=True)
def _one_portrait():
    """The built-in portrait is prepared once a process: that takes longer than to film two clips."""
    built_in = functools.cache(lambda: portrait.load_portraits(None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mer_pipeline.synth.dataset.load_portraits",
            lambda face: built_in() if face is None else portrait.load_portraits(face),
        )
        yield


@pytest.fixture
def portrait_anew(monkeypatch):
    """The built-in portrait is prepared as on a first call, for tests of what can go wrong then."""
    monkeypatch.setattr("mer_pipeline.synth.dataset.load_portraits", portrait.load_portraits)


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture(scope="session")
def raw(tmp_path_factory) -> Path:
    """A synthetic CASME II: 3 subjects, 5 clips each (every class once)."""
    return synthesise(tmp_path_factory.mktemp("synth") / "raw", subjects=3, clips=5, seed=1)


@pytest.fixture(scope="session")
def cache(raw, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "cache"
    preprocess(read_dataset(raw), folder, Parameters(size=64))
    return folder


@pytest.fixture(scope="session")
def run(cache, tmp_path_factory) -> Path:
    """A finished run of the tiny model, trained for one epoch: for what a run is, not for what it scores."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(load_clips(cache), load_recipe("facesleuth-tiny", {"epochs": 1}), folder, device="cpu")
    return folder


@pytest.fixture(scope="session")
def long_set(tmp_path_factory) -> Path:
    """A synthetic set of one long video: 16 seconds at 30 frames a second, four expressions, blinks, noise."""
    folder = tmp_path_factory.mktemp("synth") / "long"
    options = Options(fps=30, seconds=16, noise=1.0, blink_share=1.0, amplitude_px=(1.5, 3.0))
    return synthesise(folder, layout="long", subjects=1, clips=4, seed=3, options=options)


@pytest.fixture(scope="session")
def two_people(tmp_path_factory) -> Path:
    """A synthetic film of two people beside each other: six seconds at 25 frames a second, two expressions each."""
    folder = tmp_path_factory.mktemp("synth") / "two"
    options = Options(fps=25, seconds=6, people=2, amplitude_px=(2, 3))
    return synthesise(folder, layout="long", subjects=1, clips=2, seed=5, options=options) / "s01.mp4"


@dataclass(frozen=True)
class Called:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.strip()]


@pytest.fixture
def mer(monkeypatch, capsys):
    """Run a `mer` command in this process."""

    def call(*arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["mer", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        printed = capsys.readouterr()
        return Called(code, printed.out, printed.err)

    return call
