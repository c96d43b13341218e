"""No output of a command replaces what it reads, or another output."""

from unittest.mock import Mock

import pytest
import typer

from mer_pipeline.cli.common import check_outputs
from mer_pipeline.spotting.result import Spotting

from .test_spot import only_error

SAME = [
    pytest.param({"--csv": "film.mp4"}, "film.mp4 would be replaced: it is read as an input", id="input"),
    pytest.param({"--csv": "link.mp4"}, "link.mp4 would be replaced: it is read as an input", id="link"),
    pytest.param({"--image": "frames/1.png"}, "1.png would be replaced: a frame of the input", id="frame"),
    pytest.param({"--csv": "a.csv", "--boris": "in/../a.csv"}, "a.csv would be replaced: --csv is", id="outputs"),
]


@pytest.mark.parametrize(("outputs", "message"), SAME)
def test_an_output_that_is_another_file_is_refused(tmp_path, outputs, message):
    (tmp_path / "film.mp4").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.png").touch()
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    with pytest.raises(typer.BadParameter, match=message):
        check_outputs(
            {name: tmp_path / path for name, path in outputs.items()}, [tmp_path / "film.mp4", tmp_path / "frames"]
        )


def test_files_of_their_own_are_not_refused(tmp_path):
    (tmp_path / "a.csv").touch()
    outputs = {"--csv": tmp_path / "a.csv", "--boris": tmp_path / "b.csv", "--frames": None}
    check_outputs(outputs, [tmp_path, tmp_path / "absent.mp4"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


REPLACED = [
    pytest.param(
        ["--evaluate", "a.eaf", "a.mp4", "--eaf", "a.eaf"], "--eaf: a.eaf would be replaced: it is read", id="in"
    ),
    pytest.param(
        ["--evaluate", ".", "a.mp4", "--eaf", "./a.eaf"], "--eaf: a.eaf would be replaced: it is read", id="set"
    ),
    pytest.param(["a.mp4", "--boris", "x.csv", "--frames", "x.csv"], "--frames: x.csv would be replaced", id="outputs"),
    pytest.param(["--evaluate", "a.eaf", "--vtt", "x.vtt"], "--vtt: one file holds one film: give one", id="no VIDEO"),
]


@pytest.mark.parametrize(("arguments", "message"), REPLACED)
def test_no_output_is_another_file_of_the_command(mer, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.eaf").write_text("<a/>")
    (tmp_path / "a.mp4").touch()
    called = mer("spot", *arguments, "--overwrite", "-q")
    assert called.code == 2
    assert message in " ".join(called.err.replace("│", " ").split())
    assert (tmp_path / "a.eaf").read_text() == "<a/>"


@pytest.mark.parametrize(("option", "name"), [("--eaf", "a.eaf"), ("--boris", "a.csv"), ("--vtt", "a.vtt")])
def test_what_may_have_been_corrected_is_replaced_only_where_that_is_asked_for(
    mer, tmp_path, monkeypatch, option, name
):
    searched = Mock(return_value=[Spotting("a.mp4", 30.0, 90, 1)])
    monkeypatch.setattr("mer_pipeline.spotting.evaluate.spot_people", searched)
    out = tmp_path / name
    out.write_text("corrected")
    called = mer("spot", tmp_path / "a.mp4", option, out, "-q")
    assert (called.code, out.read_text(), searched.called) == (1, "corrected", False)
    assert only_error(called).endswith(
        "is there already, and what was corrected in it would be lost; give another name, or --overwrite"
    )
    assert mer("spot", tmp_path / "a.mp4", option, out, "--overwrite", "-q").code == 0
    assert out.read_text() != "corrected"


@pytest.mark.parametrize(("option", "name"), [("--eaf", "x.eaf"), ("--boris", "x.csv")])
def test_of_a_film_that_is_not_there_nothing_is_written(mer, tmp_path, option, name):
    called = mer("spot", tmp_path / "absent.mp4", option, tmp_path / name, "-q")
    assert (called.code, list(tmp_path.iterdir())) == (1, [])
    assert "absent.mp4: no such file or folder" in only_error(called)
