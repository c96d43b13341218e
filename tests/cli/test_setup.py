"""`mer setup`, and commands that need a face where its models are absent."""

import json

import pytest

from tests.cli.test_commands import assert_one_error_line


def test_models_that_are_there_are_left(mer):
    installed = json.loads(mer("setup", "--json").out)
    assert installed["made"] is False
    assert f"were already in {installed['folder']}" in mer("setup").out
    (row,) = [row for row in json.loads(mer("doctor", "--json").out) if row["what"] == "face models"]
    assert row["found"].startswith(f"{installed['folder']}: from {installed['source']}, by mer ")
    assert row["fix"] == ""


def test_a_wheel_that_will_not_do_is_one_line(mer, tmp_path):
    (tmp_path / "no.whl").write_bytes(b"nothing")
    assert_one_error_line(mer("setup", "--from", tmp_path / "no.whl"), "no.whl: damaged, or not a wheel")


@pytest.mark.usefixtures("portrait_anew")
@pytest.mark.parametrize(
    "arguments",
    [
        ["preprocess", "{raw}", "--out", "{out}", "-q"],
        ["spot", "{clip}", "--fps", "200", "-q"],
        ["spot", "{clip}", "--fps", "200"],
        ["predict", "{clip}", "--model", "{run}", "--fps", "200", "-q"],
        ["predict", "{clip}", "--model", "{run}", "--detector", "mediapipe-tasks", "-q"],
        ["synth", "{out}", "--subjects", "1", "--clips", "5"],
        ["demo", "--out", "{out}"],
    ],
    ids=lambda arguments: " ".join(each for each in arguments if "{" not in each),
)
def test_a_command_without_models_says_so_in_one_line(mer, raw, run, monkeypatch, tmp_path, arguments):
    monkeypatch.setenv("MER_MODELS", str(tmp_path / "nowhere"))
    clip = next((raw / "CASME2-RAW" / "sub01").iterdir())
    places = {"raw": raw, "out": tmp_path / "out", "clip": clip, "run": run}
    called = mer(*(each.format(**places) for each in arguments))
    assert_one_error_line(called, f"{tmp_path / 'nowhere'}: the models that find faces are not there; run: mer setup")
    assert (called.out, called.err.count("\n")) == ("", 1)
    assert not any(tmp_path.iterdir())


def test_doctor_says_how_to_get_models(mer, monkeypatch, tmp_path):
    monkeypatch.setenv("MER_MODELS", str(tmp_path))
    (row,) = [row for row in json.loads(mer("doctor", "--json").out) if row["what"] == "face models"]
    assert row["found"] == f"{tmp_path}: the models that find faces are not there"
    assert row["fix"] == "run: mer setup"


@pytest.mark.parametrize("command", ["preprocess", "spot", "predict"])
def test_a_face_model_that_will_not_do_is_one_line(mer, raw, run, tmp_path, command):
    (tmp_path / "own.task").write_bytes(b"nothing")
    rest = {"preprocess": ["--out", tmp_path / "c"], "spot": ["--fps", "200"], "predict": ["--model", run]}[command]
    source = raw if command == "preprocess" else next((raw / "CASME2-RAW" / "sub01").iterdir())
    called = mer(command, source, *rest, "--face-model", tmp_path / "own.task", "-q")
    assert_one_error_line(called, "own.task: not a zip archive, or a damaged one; give a face_landmarker.task")
