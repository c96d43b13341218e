"""`mer predict` and `mer export` as a user calls them."""

import csv
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mer_pipeline.cli.predicted import say_results
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.inference import ClipResult
from tests.cli.test_commands import assert_one_error_line


@pytest.fixture(scope="module")
def clip(raw):
    truth = pd.read_parquet(raw / "truth.parquet").iloc[0]
    return raw / "CASME2-RAW" / f"sub{truth['subject']}" / truth["clip"]


def test_a_table_has_a_row_for_every_expression_and_every_failure(mer, run, clip, tmp_path):
    called = mer(
        "predict", clip, tmp_path / "absent.avi", "--model", run, "--fps", 200, "--csv", tmp_path / "t.csv", "-q"
    )
    assert called.code == 1
    with (tmp_path / "t.csv").open() as file:
        good, bad = csv.DictReader(file)
    assert good["clip"] == str(clip)
    assert float(good[f"p_{good['emotion']}"]) == float(good["probability"])
    assert 0 <= float(good["au_12"]) <= 1
    assert (good["kind"], good["aus_source"], good["error"]) == ("micro", "predicted", "")
    assert "no such file" in bad["error"]
    assert bad["emotion"] == ""
    assert f"wrote {tmp_path / 't.csv'}" in called.out


def test_the_printed_table_says_what_the_json_says(mer, run, clip):
    found = json.loads(mer("predict", clip, "--model", run, "--json", "-q").out)[0]["expressions"][0]
    called = mer("predict", clip, "--model", run, "-q", "--confidence", 0)
    assert called.code == 0
    assert f"{found['onset_frame']}, {found['apex_frame']}, {found['offset_frame']}" in called.out
    assert found["emotion"] in called.out
    own = ("--onset", found["onset_frame"], "--apex", found["apex_frame"])
    given = mer("predict", clip, "--model", run, "-q", "--confidence", 0, *own).out
    assert "not given" in given
    assert "not known" in given
    assert "?" not in given
    assert "uncertain: " in mer("predict", clip, "--model", run, "-q", "--confidence", 1).out


def test_action_units_are_given_as_annotators_write_them(mer, run, clip):
    called = mer("predict", clip, "--model", run, "--aus", "4+R14", "--json", "-q")
    (found,) = json.loads(called.out)[0]["expressions"]
    assert (found["aus_source"], found["aus_given"]) == ("given", "4+R14")
    assert "4+R14" in mer("predict", clip, "--model", run, "--aus", "4+R14", "-q", "--confidence", 0).out
    assert_one_error_line(mer("predict", clip, "--model", run, "--aus", "4+smile"), "'smile' at character 3")


def test_without_a_model_the_one_that_ships_is_taken_and_says_what_it_scored(mer, clip):
    called = mer("predict", clip, "--json")
    assert "the model that ships: it learnt from drawn motion alone, and its UF1 on 309 real clips is" in called.err
    (expression,) = json.loads(called.out)[0]["expressions"]
    assert set(expression["probabilities"]) == {"negative", "positive", "surprise", "none"}
    assert set(expression["aus"]) == set(map(str, AU_NUMBERS))


def test_the_newest_run_is_taken_where_it_is_asked_for(mer, run, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_error_line(mer("predict", clip, "--model", "latest"), "no trained network", "leave --model out")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(run, target_is_directory=True)
    assert mer("predict", clip, "-q", "--model", "latest").code == 0


def test_pictures_are_written_and_named(mer, run, clip, tmp_path):
    called = mer(
        "predict",
        clip,
        clip,
        "--model",
        run,
        "--fps",
        200,
        "-q",
        "--image",
        tmp_path / "s.png",
        "--overlay",
        tmp_path / "o.mp4",
    )
    assert called.code == 0
    names = [f"{kind}-{clip.stem}{again}" for kind in "os" for again in ("-2", "")]
    endings = [".mp4"] * 2 + [".png"] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [n + e for n, e in zip(names, endings, strict=True)]
    for path in tmp_path.iterdir():
        assert f"wrote {path}" in called.out
    assert_one_error_line(mer("predict", clip, "--model", run, "--overlay", "o.gif"), "the name must end in .mp4")


def test_no_space_for_pictures_stops_at_once(mer, run, clip, tmp_path):
    (tmp_path / "file").write_text("")
    called = mer("predict", clip, clip, "--model", run, "--image", tmp_path / "file" / "s.png", "-q")
    assert_one_error_line(called, "cannot be written")


WRONG = [
    pytest.param(["--onset", 9, "--apex", 3], "onset 9 is after apex 3", id="onset after apex"),
    pytest.param(["--onset", 9, "--all"], "onset and apex belong to one expression", id="one frame given for all"),
    pytest.param(["--all"], "a folder of frames does not say its rate; give --fps", id="all without a rate"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_impossible_wishes_are_one_line(mer, run, clip, options, message):
    assert_one_error_line(mer("predict", clip, "--model", run, "-q", *options), message)


@pytest.mark.parametrize("options", [["--confidence", 2], ["--fps", 0], ["--onset", -1]])
def test_wrong_usage_exits_with_2(mer, run, clip, options):
    assert mer("predict", clip, "--model", run, *options).code == 2


def test_export_and_predict_with_the_file(mer, run, clip, cache, tmp_path):
    file = tmp_path / "m.onnx"
    called = mer("export", run, "--out", file, "--cache", cache)
    assert called.code == 0
    assert "largest difference to torch on 15 clips" in called.out
    values = json.loads(mer("export", run, "--format", "onnx", "--out", file, "--json").out)
    assert values["path"] == str(file)
    assert values["difference"] < 1e-4
    a, b = (
        json.loads(mer("predict", clip, "--model", m, "--json", "-q").out)[0]["expressions"][0] for m in (run, file)
    )
    assert list(a["probabilities"].values()) == pytest.approx(list(b["probabilities"].values()), abs=1.5e-4)
    assert_one_error_line(mer("export", tmp_path), "not a run folder")
    assert mer("export", run, "--format", "tflite").code == 2


def test_clips_predicted_by_two_processes_are_those_of_one(mer, clip, tmp_path):
    given = ("predict", clip, tmp_path / "absent.avi", clip.parent / sorted(p.name for p in clip.parent.iterdir())[-1],
             "--fps", 200, "--json", "-q")  # fmt: skip
    one, two = mer(*given), mer(*given, "--jobs", 2)
    assert (one.code, two.code) == (1, 1)
    assert json.loads(two.out) == json.loads(one.out)
    assert two.error_lines == one.error_lines
    assert mer("predict", clip, "--jobs", 2, "--image", tmp_path / "i.png").code == 2


def test_every_face_has_its_own_answers(mer, two_people, tmp_path, monkeypatch):
    monkeypatch.setattr("mer_pipeline.inference.predictor._AU_FRAMES", 1)
    table, frames = tmp_path / "t.csv", tmp_path / "f.parquet"
    called = mer("predict", two_people, "--face", "all", "--csv", table, "--frames", frames, "--json", "-q")
    assert called.code == 0
    first, second = json.loads(called.out)
    assert (first["person"], second["person"], first["others_in_view"]) == (1, 2, 0)
    assert not any("faces; took" in text for text in (*first["warnings"], *second["warnings"]))
    told = [(each["person"], found["apex_frame"]) for each in (first, second) for found in each["expressions"]]
    rows = pd.read_csv(table)
    assert list(zip(rows["person"], rows["apex_frame"], strict=True)) == told
    assert len(told) == 4
    measured = pd.read_parquet(frames).set_index(["face_id", "frame"])
    for person, apex in told:
        assert measured.loc[(person, apex), "expression"] == "micro"
    read = measured["AU12_p"].dropna()
    assert len(read) == 4
    assert read.between(0, 1).all()
    assert (measured.loc[read.index, "expression"] == "micro").all()


def test_a_folder_of_clips_has_a_page_and_a_table(mer, two_people, tmp_path):
    films, page, table = tmp_path / "films", tmp_path / "page.html", tmp_path / "t.csv"
    films.mkdir()
    shutil.copy(two_people, films / "two.mp4")
    (films / "broken.mp4").write_text("no video")
    called = mer("predict", films, "--from", 1, "--to", 3, "--csv", table, "--report", page, "-q")
    assert called.code == 1
    assert [line.startswith("error:") for line in called.error_lines].count(True) == 1
    rows = pd.read_csv(table)
    assert [Path(name).name for name in rows["clip"]] == ["broken.mp4", "two.mp4"]
    text = page.read_text()
    assert 'class="failed"' in text
    (sheet,) = (tmp_path / "page_files").iterdir()
    assert f'href="page_files/{sheet.name}"' in text
    assert {each.name for each in tmp_path.iterdir()} == {"films", "page.html", "page_files", "t.csv"}


WRONG_BATCHES = [
    pytest.param(["--report", "p.html", "--image", "x.png"], 2, "the page has pictures of its own", id="image"),
    pytest.param(["--report", "p.txt"], 1, "a report is an HTML file", id="ending"),
    pytest.param(["--face", "all", "--onset", "3"], 2, "--face is for clips whose key frames are spotted", id="onset"),
    pytest.param(["--frames", "f.csv", "--apex", "3"], 2, "one table holds one clip", id="frames of given ones"),
    pytest.param(["--overlay", "{clip}"], 2, "would be replaced: it is read as an input", id="its own film"),
    pytest.param(["--magnify", "8"], 2, "--slow and --magnify are for --overlay", id="no overlay"),
]


@pytest.mark.parametrize(("options", "code", "message"), WRONG_BATCHES)
def test_wrong_batches(mer, tmp_path, options, code, message):
    clip = tmp_path / "a.mp4"
    called = mer("predict", clip, *(each.format(clip=clip) for each in options), "-q")
    assert called.code == code
    assert message in " ".join(called.err.replace("│", " ").split())


def test_what_many_clips_are_warned_of_is_said_once(capsys):
    shared = "the frames do not say their rate"
    clips = [ClipResult(f"{name}.avi", warnings=[shared]) for name in "abc"]
    say_results([*clips, ClipResult("d.avi", warnings=["two faces"])], written=[], as_json=False)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert said == [f"warning: a.avi and 2 more: {shared}", "warning: d.avi: two faces"]


def test_a_picture_of_nothing_is_not_left_out_without_a_word(mer, tmp_path):
    called = mer("predict", tmp_path / "absent.avi", "--image", tmp_path / "i.png", "-q")
    assert called.code == 1
    assert called.error_lines[0] == "warning: --image: there is no expression to show, and no picture was written"
    assert list(tmp_path.iterdir()) == []
