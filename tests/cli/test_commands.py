"""Commands as a user calls them: results, JSON shapes, wrong calls with their exact line and exit code."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.inference.load import load_model


def assert_one_error_line(called, *parts):
    assert called.code == 1, called.err
    lines = [line for line in called.error_lines if line.startswith("error:")]
    assert len(lines) == 1, called.err
    assert "Traceback" not in called.err
    for part in parts:
        assert part in lines[0]


def test_version_and_help(mer):
    assert mer("--version").out.startswith("mer 0.")
    called = mer("--help")
    for name in (
        "inspect", "preprocess", "train", "compare", "ablate", "report", "predict", "spot", "serve", "annotate",
        "export", "models", "synth", "demo", "setup", "doctor",
    ):  # fmt: skip
        assert name in called.out


WRONG_USAGE = [
    pytest.param(["inspct"], "No such command", id="unknown command"),
    pytest.param(["preprocess", "raw"], "Missing option '--out'", id="missing option"),
    pytest.param(
        ["preprocess", "raw", "--out", "c", "--size", "3"], "Invalid value for '--size'", id="size out of range"
    ),
    pytest.param(["train"], "Missing option '--dataset'", id="train without data"),
    pytest.param(["synth", "out", "--subjects", "0"], "Invalid value for '--subjects'", id="no subjects"),
    pytest.param(["train", "--dataset", "c", "--epochs", "x"], "Invalid value for '--epochs'", id="epochs no number"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_USAGE)
def test_wrong_usage_exits_with_2(mer, arguments, message):
    called = mer(*arguments)
    assert called.code == 2
    assert message in " ".join(called.err.replace("│", " ").split())


def test_preprocess_json_and_a_second_run(mer, raw, tmp_path):
    first = json.loads(mer("preprocess", raw, "--out", tmp_path / "c", "--size", 32, "--json", "-q").out)
    assert {"dataset", "clips", "ok", "failed", "stages", "failures", "seconds"} <= set(first)
    assert (first["dataset"], first["clips"], first["ok"], first["failed"]) == ("casme2", 15, 15, 0)
    called = mer("preprocess", raw, "--out", tmp_path / "c", "--size", 32)
    assert "0 frames decoded" in called.out
    assert {line.split("│")[2].strip() for line in called.out.splitlines() if line.startswith("│")} == {"0"}


def without_apex_column(raw, folder):
    sheet = pd.read_excel(raw / "CASME2-coding-20190701.xlsx", dtype=str)
    sheet.drop(columns="OnsetFrame").to_excel(folder / "CASME2-coding-20190701.xlsx", index=False)
    return folder


BAD_RAW = [
    pytest.param(lambda raw, at: at / "absent", ("no such folder",), id="missing folder"),
    pytest.param(lambda raw, at: at, ("the folder is empty", "check the download"), id="empty folder"),
    pytest.param(
        without_apex_column, ("no header row with the column OnsetFrame",), id="sheet without a needed column"
    ),
]


@pytest.mark.parametrize("command", ["inspect", "preprocess"])
@pytest.mark.parametrize(("make", "parts"), BAD_RAW)
def test_a_bad_raw_folder_is_one_line(mer, raw, tmp_path, command, make, parts):
    folder = tmp_path / "raw"
    folder.mkdir()
    options = ["--out", tmp_path / "cache"] if command == "preprocess" else []
    assert_one_error_line(mer(command, make(raw, folder), *options), *parts)


def test_a_bad_clip_is_listed_and_strict_fails(mer, raw, tmp_path):
    copy = tmp_path / "raw"
    copy.mkdir()
    for item in raw.iterdir():
        (copy / item.name).symlink_to(item)
    (copy / "CASME2-RAW").unlink()
    (copy / "CASME2-RAW").mkdir()
    subjects = sorted((raw / "CASME2-RAW").iterdir())
    for subject in subjects[1:]:
        (copy / "CASME2-RAW" / subject.name).symlink_to(subject)
    called = mer("preprocess", copy, "--out", tmp_path / "c", "--size", 32, "--json", "-q")
    summary = json.loads(called.out)
    assert (called.code, summary["ok"], summary["failed"]) == (0, 10, 5)
    assert all("absent" in failure["reason"] for failure in summary["failures"])
    assert mer("preprocess", copy, "--out", tmp_path / "c", "--size", 32, "--strict").code == 1


def test_no_permission_to_write_is_one_line(mer, raw, tmp_path):
    (tmp_path / "file").write_text("")
    called = mer("preprocess", raw, "--out", tmp_path / "file" / "cache", "-q")
    assert_one_error_line(called, "cannot be written", "check permissions and free space")


def test_train_json(mer, cache, tmp_path):
    called = mer("train", "--dataset", cache, "--model", "facesleuth-tiny", "--attention", "cva", "--epochs", 1,
                 "--seeds", 1, "--out", tmp_path / "run", "--json", "-q")  # fmt: skip
    summary = json.loads(called.out)
    assert (summary["attention"], summary["protocol"], summary["folds"], summary["clips"]) == ("cva", "loso", 3, 15)
    assert summary["theta_deg"] == []
    again = mer("train", "--dataset", cache, "--model", "facesleuth-tiny", "--attention", "cva", "--epochs", 1,
                "--seeds", 1, "--out", tmp_path / "run")  # fmt: skip
    assert "optimistic: epoch chosen on the test fold" in again.out
    assert again.out.index("last epoch") < again.out.index("optimistic")


BAD_TRAIN = [
    pytest.param(["--dataset", "absent"], "absent: no such folder", id="no cache"),
    pytest.param(["--model", "facesluth"], "did you mean facesleuth", id="unknown model"),
    pytest.param(["--recipe", "absent.toml"], "absent.toml: not a readable recipe", id="absent recipe"),
    pytest.param(["--attention", "sao"], "'sao'", id="unknown attention"),
    pytest.param(["--set", "epoch=1"], "unknown key 'epoch'", id="unknown key"),
    pytest.param(["--labels", "megc4"], "megc4", id="unknown protocol"),
    pytest.param(["--device", "tpu"], "unknown device 'tpu'", id="unknown device"),
    pytest.param(["--device", "cuda:9"], "cuda:9 is not there", id="absent device"),
]


@pytest.mark.parametrize(("options", "message"), BAD_TRAIN)
def test_a_wrong_training_is_one_line(mer, cache, tmp_path, options, message):
    base = ["--dataset", cache, "--model", "facesleuth-tiny", "--epochs", 1, "--out", tmp_path / "run"]
    assert_one_error_line(mer("train", *base, *options), message)
    assert not (tmp_path / "run").exists()


def test_predict_json_of_a_frame_folder(mer, raw, run):
    truth = pd.read_parquet(raw / "truth.parquet").iloc[0]
    clip = raw / "CASME2-RAW" / f"sub{truth['subject']}" / truth["clip"]
    called = mer("predict", clip, "--model", run, "--fps", 200, "--json", "-q")
    (result,) = json.loads(called.out)
    assert {"clip", "fps", "frames", "faces", "expressions", "warnings"} <= set(result)
    assert (result["fps"], result["frames"], result["faces"]) == (200, truth["n_frames"], 1)
    (warning,) = result["warnings"]
    assert warning.startswith("a demonstration model")
    assert "casme2 (synthetic)" in result["model"]
    (found,) = result["expressions"]
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert found["emotion"] == max(found["probabilities"], key=found["probabilities"].get)
    assert found["aus_source"] == "predicted"
    assert list(found["aus"]) == [str(number) for number in load_model(run, "cpu").card.au_trained]
    assert abs(found["apex_frame"] - truth["apex_frame"]) <= 6

    given = mer("predict", clip, "--model", run, "--onset", 2, "--apex", 9, "--json", "-q")
    (found,) = json.loads(given.out)[0]["expressions"]
    assert (found["onset_frame"], found["apex_frame"], found["offset_frame"]) == (2, 9, None)


def one_frame(at):
    at.mkdir()
    cv2.imwrite(str(at / "img1.jpg"), np.zeros((48, 64, 3), np.uint8))
    return at


def text_avi(at):
    path = at.with_suffix(".avi")
    path.write_text("this is no video")
    return path


BAD_CLIPS = [
    pytest.param(lambda at: at / "absent.avi", [], "no such file or folder", id="absent"),
    pytest.param(text_avi, [], "not a readable video", id="text named avi"),
    pytest.param(one_frame, [], "a clip of one frame has no motion", id="one frame"),
]


@pytest.mark.parametrize(("make", "options", "message"), BAD_CLIPS)
def test_a_bad_clip_is_one_line(mer, run, tmp_path, make, options, message):
    assert_one_error_line(mer("predict", make(tmp_path / "clip"), "--model", run, "-q", *options), message)


def test_a_bad_clip_does_not_stop_the_others(mer, raw, run, tmp_path):
    clip = next((raw / "CASME2-RAW" / "sub01").iterdir())
    called = mer("predict", tmp_path / "absent.avi", clip, "--model", run, "--json", "-q")
    bad, good = json.loads(called.out)
    assert called.code == 1
    assert "no such file" in bad["error"]
    assert good["expressions"]
    assert "error" not in good


def test_an_onset_after_the_apex_is_one_line(mer, raw, run):
    clip = next((raw / "CASME2-RAW" / "sub01").iterdir())
    assert_one_error_line(
        mer("predict", clip, "--model", run, "--onset", 9, "--apex", 3, "-q"), "onset 9 is after apex 3"
    )


def test_a_folder_that_is_no_model_is_one_line(mer, raw, tmp_path):
    assert_one_error_line(mer("predict", raw, "--model", tmp_path), "not a run folder")


@pytest.mark.shared
def test_predict_on_real_video(mer, run, shared):
    clips = shared / "clips"
    called = mer("predict", clips / "pexels_face.mp4", "--model", run, "--json", "-q")
    (result,) = json.loads(called.out)
    assert called.code == 0
    assert (result["frames"], result["faces"]) == (472, 1)
    assert result["looked_at"] >= 20
    assert result["with_face"] >= 0.95 * result["looked_at"]
    assert "24 fps" in result["warnings"][1]

    assert_one_error_line(
        mer("predict", clips / "no_face.mp4", "--model", run, "-q"), "no_face.mp4", "no face was found"
    )

    called = mer("predict", clips / "face_noface.mov", "--model", run, "--json", "-q")
    (result,) = json.loads(called.out)
    assert result["frames"] == 169
    assert 0 < result["with_face"] < result["looked_at"]
    assert any("no face in" in warning for warning in result["warnings"])


def test_models_and_doctor(mer):
    rows = json.loads(mer("models", "--json").out)
    assert {"name", "parameters", "source", "recipe"} <= set(rows[0])
    assert "facesleuth-tiny" in mer("models").out
    checks = json.loads(mer("doctor", "--json").out)
    found = {check["what"]: check["found"] for check in checks}
    assert "h264" in found["video codecs"]
    assert found["OpenCV packages"] == "opencv-contrib-python"
    assert "torch" in mer("doctor").out


def test_synth_then_inspect(mer, tmp_path):
    called = mer("synth", tmp_path / "s", "--subjects", 2, "--clips", 2, "-q")
    assert called.code == 0
    facts = json.loads(mer("inspect", tmp_path / "s", "--json").out)
    assert {"dataset", "clips", "subjects", "emotions", "aus", "problems"} <= set(facts)
    assert (facts["dataset"], facts["clips"], facts["subjects"], facts["problems"]) == ("casme2", 4, 2, [])
    assert_one_error_line(mer("synth", tmp_path / "s", "-q"), "is not an empty folder")
    assert_one_error_line(mer("synth", tmp_path / "t", "--layout", "casme9", "-q"), "casme9")
    assert mer("synth", tmp_path / "u", "--drift", 999, "-q").code == 2


def test_an_interrupted_command_says_how_to_go_on(mer, raw, tmp_path, monkeypatch):
    from mer_pipeline.stages import preprocess

    monkeypatch.setattr(preprocess.Store, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    called = mer("preprocess", raw, "--out", tmp_path / "c", "-q")
    assert called.code == 130
    assert called.error_lines == ["interrupted; the same command goes on from here"]


def test_an_interrupted_training_names_its_run(mer, cache, tmp_path, monkeypatch):
    from mer_pipeline.training import trainer

    monkeypatch.chdir(tmp_path)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train_network", stop)
    called = mer("train", "--seeds", 1, "--dataset", cache, "--model", "facesleuth-tiny", "--epochs", 1, "-q")
    assert called.code == 130
    (run,) = (tmp_path / "runs").iterdir()
    assert called.error_lines[-1] == f"interrupted; the same command with --out runs/{run.name} goes on from here"
