"""What goes wrong, and what is said."""

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.synth import LAYOUTS, Options, synthesise
from mer_pipeline.synth.action_units import planted_units


def make_empty(folder: Path) -> dict[str, Any]:
    return {}


def make_full(folder: Path) -> dict[str, Any]:
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("keep me")
    return {}


def make_file(folder: Path) -> dict[str, Any]:
    (folder / "out").write_text("a file")
    return {}


def make_plain(folder: Path) -> dict[str, Any]:
    cv2.imwrite(str(folder / "plain.png"), np.full((300, 300, 3), 128, np.uint8))
    return {"face": folder / "plain.png"}


def make_text(folder: Path) -> dict[str, Any]:
    (folder / "photo.jpg").write_text("no photo")
    return {"face": folder / "photo.jpg"}


def make_void(folder: Path) -> dict[str, Any]:
    (folder / "photo.jpg").touch()
    return {"face": folder / "photo.jpg"}


def make_absent(folder: Path) -> dict[str, Any]:
    return {"face": folder / "nowhere.jpg"}


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        pytest.param(make_empty, {"layout": "casme9"}, "unknown layout 'casme9'; choose one of: casme2", id="layout"),
        pytest.param(
            make_empty,
            {"layout": "samm", "options": Options(video=True)},
            "samm is not published as videos; leave --video out, or choose one of: casme2",
            id="no videos",
        ),
        pytest.param(
            make_empty,
            {"options": Options(hand_share=0.5)},
            "hand_share is for long videos, not for casme2",
            id="hands",
        ),
        pytest.param(make_empty, {"subjects": 0}, "subjects must be 1 to 99, got 0", id="no subjects"),
        pytest.param(make_empty, {"clips": 201}, "clips must be 1 to 200, got 201", id="too many clips"),
        pytest.param(make_empty, {"seed": -1}, "seed must be 0 to", id="seed"),
        pytest.param(make_full, {}, "out: is not an empty folder; name a new folder", id="not empty"),
        pytest.param(make_file, {}, "out: is not an empty folder", id="out is a file"),
        pytest.param(make_plain, {}, "plain.png: no face found; give a photo of one frontal face", id="no face"),
        pytest.param(make_text, {}, "photo.jpg: not a readable image", id="unreadable"),
        pytest.param(make_void, {}, "photo.jpg: not a readable image", id="void"),
        pytest.param(make_absent, {}, "nowhere.jpg: cannot be read (No such file or directory)", id="absent"),
    ],
)
def test_errors(tmp_path: Path, prepare: Any, arguments: dict[str, Any], message: str) -> None:
    arguments = {**prepare(tmp_path), **arguments}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MerError) as raised:
        synthesise(tmp_path / "out", **arguments)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind, nothing is lost"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MerError, match=r"cannot be written \(a file has this name\); check permissions"):
        synthesise(tmp_path / "file" / "out")


@pytest.mark.parametrize("existed", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize(
    ("failure", "expected"),
    [(OSError(28, "No space left on device"), MerError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["disk full", "interrupted"],
)
def test_what_fails_midway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, expected: Any, existed: bool
) -> None:
    def fail(*_: object) -> None:
        assert list(tmp_path.rglob("CASME2-RAW/**/*.jpg")), "it fails after the clips"
        assert not list(tmp_path.glob("out/*")), "what is killed here leaves no half of a set"
        raise failure

    monkeypatch.setitem(LAYOUTS, "casme2", dataclasses.replace(LAYOUTS["casme2"], sheets=fail))
    if existed:
        (tmp_path / "out").mkdir()
    with pytest.raises(expected):
        synthesise(tmp_path / "out", subjects=1, clips=1)
    assert list(tmp_path.iterdir()) == ([tmp_path / "out"] if existed else [])
    assert not existed or not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("portrait_anew")
def test_scikit_image_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(MerError, match=r"needs scikit-image.*pip install 'mer-pipeline\[demo\]'"):
        synthesise(tmp_path / "out")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"amplitude_px": (3.0, 0.8)}, "amplitude_px must be a pair"),
        ({"amplitude_px": (-1.0, 2.0)}, "amplitude_px must be a pair"),
        ({"amplitude_px": (1.0, 9.0)}, "amplitude_px must be a pair"),
        ({"amplitude_px": (1.0,)}, "amplitude_px must be a pair"),
        ({"amplitude_px": (float("nan"), 1.0)}, "amplitude_px must be a pair"),
        ({"noise": -0.1}, "noise must be a number from 0 to 20, got -0.1"),
        ({"noise": float("inf")}, "noise must be a number from 0 to 20"),
        ({"flicker": 0.6}, "flicker must be a number from 0 to 0.5"),
        ({"drift_px": 21}, "drift_px must be a number from 0 to 20"),
        ({"drift_deg": -1}, "drift_deg must be a number from 0 to 10"),
        ({"drift_scale": 0.2}, "drift_scale must be a number from 0 to 0.1"),
        ({"blink_share": 1.5}, "blink_share must be a number from 0 to 1"),
    ],
)
def test_options_check_themselves(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        Options(**values)


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        *((notation, ValueError) for notation in ("", "99", "T12", "A12", "12B", "12?", "6 or 12", "ref(12)")),
        *((notation, MerError) for notation in ("12+", "X12", "L")),
    ],
)
def test_units_that_cannot_be_planted(notation: str, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=r"planted|is not Action Unit notation"):
        planted_units(notation)
