"""`mer spot` as a user calls it: results, JSON, evaluation, wrong calls, interruption."""

import json
import signal
from unittest.mock import Mock

import av
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.datasets.coders import read_codings
from mer_pipeline.datasets.long_videos import read_long
from mer_pipeline.errors import MerError
from mer_pipeline.inference.naming import Named
from mer_pipeline.spotting.result import Event, Interval, Spotting, Timeline
from mer_pipeline.spotting.video import rate_of, spot_people


def only_error(called):
    lines = [line for line in called.error_lines if line.startswith("error:")]
    assert len(lines) == 1, called.err
    assert "Traceback" not in called.err
    return lines[0]


def test_evaluation_of_a_set(mer, long_set):
    """One document with an entry a video, and the scores; without VIDEO all that the truth knows."""
    called = mer("spot", "--evaluate", long_set, "--json", "-q")
    assert called.code == 0
    document = json.loads(called.out)
    (entry,) = document["videos"]
    parts = {"video", "fps", "frames", "faces", "looked_at", "with_face", "intervals", "events", "warnings",
             "person", "others_in_view"}  # fmt: skip
    assert parts == set(entry)
    of_interval = {"onset_frame", "apex_frame", "offset_frame", "onset_s", "apex_s", "offset_s", "strength", "kind"}
    assert of_interval | {"salience", "flags"} == set(entry["intervals"][0])
    assert set(document["evaluation"]) == {"micro", "macro", "all"}
    assert document["evaluation"]["all"]["f1"] >= 0.85
    assert set(document["evaluation"]["micro"]) == {"tp", "fp", "fn", "precision", "recall", "f1"}


def test_a_table_a_timeline_and_a_warning(mer, long_set):
    called = mer("spot", long_set / "s01.mp4")
    assert called.code == 0
    assert "lasts" in called.out
    assert "macro-expressions in 16.0 s" in called.out
    curve, marks = called.out.splitlines()[-2:]
    assert len(curve) == 96
    assert "█" in curve
    assert "|" in marks
    assert "=" in marks
    assert "30 fps: a micro-expression" in called.err
    assert "frames/s" in called.err


def test_a_bad_video_among_others_is_one_line_and_exit_1(mer, long_set, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    called = mer("spot", tmp_path / "bad.mp4", long_set / "s01.mp4", "--json", "-q")
    assert called.code == 1
    first, second = json.loads(called.out)
    assert "not a readable video" in first["error"]
    assert second["intervals"]
    assert "bad.mp4: not a readable video" in only_error(called)


def audio_only(path):
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


BAD = [
    pytest.param(lambda at: [at / "absent.mp4"], "no such file or folder", id="absent"),
    pytest.param(
        lambda at: [audio_only(at / "voice.wav")], "the file has no video stream; is it audio only?", id="audio"
    ),
    pytest.param(lambda at: ["--evaluate", at / "absent"], "no such file or folder", id="no truth"),
    pytest.param(lambda at: ["--evaluate", at], "the folder is empty", id="empty truth"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_what_cannot_be_is_one_line(mer, tmp_path, arguments, message):
    called = mer("spot", *arguments(tmp_path), "-q")
    assert called.code == 1
    assert message in only_error(called)


def test_a_folder_of_frames_needs_a_rate(mer, raw):
    called = mer("spot", next((raw / "CASME2-RAW" / "sub01").iterdir()), "-q")
    assert called.code == 1
    assert "does not say its rate; give --fps" in only_error(called)


def test_nothing_to_spot_is_wrong_usage(mer):
    called = mer("spot")
    assert called.code == 2
    assert "give at least one video, or --evaluate TRUTH" in " ".join(called.err.replace("│", " ").split())


@pytest.mark.shared
def test_a_video_without_a_face_is_an_error(mer, shared):
    called = mer("spot", shared / "clips" / "no_face.mp4", "-q")
    assert called.code == 1
    assert "no face was found in the" in only_error(called)


def test_an_interruption_in_the_middle_is_a_line_and_exit_130(mer, long_set, monkeypatch):
    def interrupted(video, *, progress, **options):
        def press(task, done, total, detail=""):
            assert done < total, "it has read a part of the video"
            signal.raise_signal(signal.SIGINT)

        return spot_people(video, progress=press, **options)

    monkeypatch.setattr("mer_pipeline.spotting.evaluate.spot_people", interrupted)
    # A shell that starts the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        called = mer("spot", long_set / "s01.mp4", "--json")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (called.code, called.out) == (130, "")
    assert called.err.strip().splitlines()[-1] == "interrupted"


def test_action_units_of_every_interval_are_named(mer, long_set):
    called = mer("spot", long_set / "s01.mp4", "--aus", "--json", "-q")
    assert called.code == 0
    (video,) = json.loads(called.out)
    assert video["intervals"]
    for interval in video["intervals"]:
        assert interval["emotion"] in ("negative", "positive", "surprise", "none")
        assert all(0.5 <= probability <= 1 for probability in interval["aus"].values())
    # An expression was planted in each.
    assert sum(bool(interval["aus"]) for interval in video["intervals"]) >= len(video["intervals"]) / 2


def test_a_wrong_rate_is_refused_and_recorded_where_it_is_insisted_on(mer, long_set):
    video = long_set / "s01.mp4"
    called = mer("spot", video, "--fps", 200, "-q")
    assert called.code == 1
    assert "200 frames a second were asked for, and it states 30" in called.err
    assert "--force-fps" in called.err
    forced = json.loads(mer("spot", video, "--fps", 200, "--force-fps", "--json", "-q").out)[0]
    assert "taken for 200 frames a second by --force-fps; it states 30" in forced["warnings"]
    assert forced["fps"] == 200
    assert mer("spot", video, "--fps", 30, "-q").code == 0


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("spot", ("--fps", 99_999_999, "--force-fps"), "less than or equal to 10000"),
        ("predict", ("--fps", 99_999_999, "--force-fps"), "less than or equal to 10000"),
        ("spot", ("--force-fps",), "give --fps"),
        ("predict", ("--force-fps",), "give --fps"),
    ],
)
def test_a_rate_that_no_camera_has_or_that_is_left_out_is_wrong_usage(mer, long_set, command, options, said):
    called = mer(command, long_set / "s01.mp4", *options, "-q")
    assert called.code == 2
    assert said in " ".join(called.err.replace("│", " ").split())


def test_a_file_that_states_a_rate_that_no_camera_has_is_one_line():
    footage = Mock(path="film.mp4", fps=99_999_999.0, bits_a_second=None)
    with pytest.raises(MerError, match=r"film.mp4: it states 1e\+08 frames a second, more than 10000; give the rate"):
        rate_of(footage, None)
    assert rate_of(footage, 200.0, force=True)[0] == 200.0


def test_the_loop_with_a_coder(mer, long_set, tmp_path, monkeypatch):
    """Spot, write for ELAN, BORIS and players, read back: the same frames, and full agreement."""
    video, files = long_set / "s01.mp4", {name: tmp_path / f"out.{name}" for name in ("eaf", "csv", "vtt")}
    outputs = ["--eaf", files["eaf"], "--boris", files["csv"], "--vtt", files["vtt"]]
    marks = ((10, 14, 20, "micro"), (50, 60, 90, "macro"), (200, 203, 209, "micro"))
    intervals = [Interval.at(frames, 30.0, kind, 1.0, 2.0, ("blink",)) for *frames, kind in marks]
    spotted = Spotting(str(video), 30.0, 480, 1, intervals=intervals, events=[Event("blink", 4, 9, 0.1333, 0.3)])
    monkeypatch.setattr("mer_pipeline.spotting.evaluate.spot_people", lambda *_, **__: [spotted])
    assert mer("spot", video, *outputs, "--json", "-q").code == 0
    frames = [(each.kind, each.onset_frame, each.apex_frame, each.offset_frame) for each in spotted.intervals]
    for name in ("eaf", "csv"):
        (coding,) = read_codings(files[name], video)
        assert [(m.kind, m.onset_frame, m.apex_frame, m.offset_frame) for m in coding.expressions] == frames
        assert len(coding.marks) == len(frames) + len(spotted.events)
    assert files["vtt"].read_text().count("-->") == len(coding.marks)
    document = json.loads(mer("spot", "--evaluate", files["eaf"], video, "--json", "-q").out)
    assert document["evaluation"]["all"]["f1"] == 1
    assert document["agreement"]["frames"] == spotted.frames
    assert document["agreement"]["kappa"] == {"micro": 1, "macro": 1, "any": 1}
    assert document["agreement"]["errors"]["apex"]["absolute_ms"] == 0
    two = mer("spot", "--evaluate", files["eaf"], files["csv"])
    assert two.code == 0
    assert "onset: +0 ms on average, 0 ms off" in two.out
    assert json.loads(mer("spot", "--evaluate", files["eaf"], files["csv"], "--json").out)["videos"] == []


def test_spot_then_recognise(mer, long_set, tmp_path, monkeypatch):
    """Answers for the challenge, and their score from the film and from the file."""
    video, out = long_set / "s01.mp4", tmp_path / "out.csv"
    truth = read_long(long_set).videos[0].marks
    micro = [mark for mark in truth if mark.kind == "micro"]
    intervals = [Interval.at((*m.span[:1], m.apex_frame, m.span[1]), 30.0, m.kind, 1.0, 2.0, ()) for m in truth]
    spotted = Spotting(
        str(video), 30.0, 480, 1, intervals=intervals, timeline=Timeline(np.arange(480) / 30, np.ones(480))
    )
    read = [
        Named("positive" if m.emotion == "happiness" else "none" if m == micro[0] else "negative", 0.9, {})
        for m in truth
    ]
    monkeypatch.setattr("mer_pipeline.spotting.evaluate.spot_people", lambda *_, **__: [spotted])
    monkeypatch.setattr("mer_pipeline.inference.naming.name_intervals", lambda *_: read)
    arguments = ["--evaluate", long_set, "--str", "--official", "--json", "-q"]
    document = json.loads(mer("spot", *arguments, "--submission", out).out)
    assert document["strs"]["spotting"]["tp"] == len(micro) - 1, "where no expression is read, there is no answer"
    assert document["strs"]["spotting"]["fn"] == 1
    assert set(document["strs_official"]["analysis"]) == {"precision", "recall", "f1", "uf1", "uar"}
    assert "emotion" not in document["videos"][0]["intervals"][0], "named only where --aus asks for it"
    lines = out.read_text().splitlines()
    assert lines[0] == "subject,video,onset,offset,emotion"
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["01", "s01", str(m.onset_frame + 1), str(m.offset_frame + 1)] for m in micro[1:]
    ]
    again = json.loads(mer("spot", "--evaluate", long_set, out, "--str", "--json").out)
    assert again["strs"] == document["strs"]
    words = mer("spot", "--evaluate", out, out, "--official").out
    assert "STRS OFFICIAL" in words
    assert "the public scorer: an answer may hit several true intervals" in words
    assert mer("spot", video, "--str").code == 2
    alone = mer("spot", "--evaluate", long_set, "--lvqa", "-q")
    assert (alone.code, "one video has no others" in only_error(alone)) == (1, True)
    rows = [f"{n}.mp4,{m.kind},{m.onset_frame},{m.offset_frame},{m.aus},{n}" for n in "ab" for m in truth]
    (tmp_path / "two.csv").write_text("\n".join(["video,kind,onset_frame,offset_frame,aus,subject", *rows]))
    document = json.loads(mer("spot", "--evaluate", tmp_path / "two.csv", "--lvqa", "--json", "-q").out)
    assert document["lvqa"]["scores"]["counts"]["expressions"] == {"mae": 0, "rmse": 0}
    assert document["lvqa"]["priors_only"]["aus"] == {"f1": 1, "jaccard": 1}, "both videos are one"
    assert document["lvqa"]["scores"]["aus"]["f1"] == 0, "none was read"
    assert "without looking" in mer("spot", "--evaluate", tmp_path / "two.csv", "--lvqa", "-q").out


WRONG_OUTPUTS = [
    pytest.param(["--eaf", "out.txt"], 2, "out.txt does not end in .eaf", id="ending"),
    pytest.param(["--boris", "out.eaf"], 2, "out.eaf does not end in .csv", id="swapped"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG_OUTPUTS)
def test_outputs_for_coders_have_their_endings(mer, long_set, arguments, code, message):
    called = mer("spot", long_set / "s01.mp4", *arguments)
    assert called.code == code
    assert message in " ".join(called.err.replace("│", " ").split())


def test_a_coders_file_is_of_its_film(mer, long_set, tmp_path):
    (tmp_path / "other.mp4").write_bytes((long_set / "s01.mp4").read_bytes())
    assert mer("spot", "--evaluate", tmp_path / "absent.eaf", long_set / "s01.mp4").code == 1
    assert "no such" in mer("spot", "--evaluate", tmp_path / "absent.eaf", tmp_path / "other.mp4").err


def test_a_window_gives_the_frames_of_the_film(mer, long_set, tmp_path):
    """What is spotted in a part is what lies there, in the film's own numbers."""
    video, truth = long_set / "s01.mp4", read_long(long_set).videos[0].marks
    last = truth[-1]
    start_s = (last.onset_frame - 45) // 3 / 10
    window = [video, "--from", start_s, "--to", "00:16", "--json", "-q"]
    called = mer("spot", *window, "--eaf", tmp_path / "a.eaf")
    assert called.code == 0
    (entry,) = json.loads(called.out)
    assert entry["frames"] == 480 - round(start_s * 30)
    assert f"only {start_s:g} s to 16 s was searched" in entry["warnings"]
    (found,) = entry["intervals"]
    assert abs(found["apex_frame"] - last.apex_frame) <= 6
    assert found["apex_s"] == pytest.approx(found["apex_frame"] / 30, abs=1e-3)
    (coding,) = read_codings(tmp_path / "a.eaf", video)
    assert [mark.span for mark in coding.expressions] == [(found["onset_frame"], found["offset_frame"])]
    (predicted,) = json.loads(mer("predict", *window, "--all", "--macro").out)
    (expression,) = predicted["expressions"]
    assert [expression[name] for name in ("onset_frame", "apex_s")] == [found["onset_frame"], found["apex_s"]]


WRONG_WINDOWS = [
    pytest.param("spot", ["--from", "soon"], 2, "'soon' is no time such as 12.5, 00:12 or 1:02:03.5", id="no time"),
    pytest.param("spot", ["--from", "99"], 1, "no frame lies between 99 s and 15.9667 s", id="behind the end"),
    pytest.param("spot", ["--from", "1", "--evaluate", "x"], 2, "a truth is of whole videos", id="truth"),
    pytest.param("predict", ["--from", "1", "--onset", "9"], 2, "key frames are spotted", id="given frames"),
]


@pytest.mark.parametrize(("command", "arguments", "code", "message"), WRONG_WINDOWS)
def test_wrong_windows(mer, long_set, command, arguments, code, message):
    called = mer(command, long_set / "s01.mp4", *arguments, "-q")
    assert called.code == code
    assert message in " ".join(called.err.replace("│", " ").split())


@pytest.mark.parametrize("options", [("--eaf", "x.eaf"), ("--submission", "x.csv")], ids=["eaf", "submission"])
def test_a_file_that_cannot_be_written_loses_no_result(mer, long_set, tmp_path, options):
    (tmp_path / "file").touch()
    name, path = options
    called = mer("spot", long_set / "s01.mp4", name, tmp_path / "file" / path, "--to", "0:02", "--json", "-q")
    assert called.code == 1
    assert "cannot be written" in only_error(called)
    assert json.loads(called.out)[0]["frames"] > 0


def test_people_are_told_apart_in_every_output(mer, two_people, tmp_path):
    """JSON, printed names, BORIS and the table of frames; one by number is the same as of all."""
    boris, frames = tmp_path / "b.csv", tmp_path / "f.csv"
    called = mer("spot", two_people, "--face", "all", "--boris", boris, "--frames", frames, "--json", "-q")
    assert called.code == 0
    entries = json.loads(called.out)
    assert [(each["person"], each["others_in_view"], each["faces"]) for each in entries] == [(1, 0, 2), (2, 0, 2)]
    subjects = pd.read_csv(boris)["Subject"]
    assert set(subjects) == {"person 1", "person 2"}
    rows = pd.read_csv(frames)
    assert rows.groupby("face_id").size().to_dict() == {1: 150, 2: 150}
    for entry in entries:
        own = rows[(rows["face_id"] == entry["person"]) & (rows["expression"] == "micro")]["frame"].tolist()
        spans = [range(each["onset_frame"], each["offset_frame"] + 1) for each in entry["intervals"]]
        assert own == [frame for span in spans for frame in span]
    second = mer("spot", two_people, "--face", 2, "--aus", "-q")
    assert "s01.mp4, person 2: 2 micro-" in second.out
    assert "person 1" not in second.out
    assert "not read" not in second.out


WRONG_FACES = [
    pytest.param(["--face", "0"], 2, "'0' is not largest, all or a number from 1", id="zero"),
    pytest.param(["--face", "all", "--eaf", "x.eaf"], 2, "one file holds one person: give --face 1", id="eaf"),
    pytest.param(["--face", "all", "--evaluate", "x"], 2, "a truth is of one face a video", id="truth"),
    pytest.param(["--frames", "x.txt"], 1, "the name must end in .csv or .parquet", id="ending"),
    pytest.param(["b.mp4", "--frames", "x.csv"], 2, "one table holds one film", id="two films"),
    pytest.param(["b.mp4", "--eaf", "x.eaf"], 2, "Invalid value for --eaf: one file holds one film", id="eaf of two"),
    pytest.param(["b.mp4", "--vtt", "x.vtt"], 2, "Invalid value for --vtt: one file holds one film", id="vtt of two"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG_FACES)
def test_wrong_faces_and_tables(mer, tmp_path, arguments, code, message):
    called = mer("spot", tmp_path / "a.mp4", *arguments, "-q")
    assert called.code == code
    assert message in " ".join(called.err.replace("│", " ").split())


@pytest.mark.parametrize("options", [("--official",), ("--lvqa", "--str")], ids=["official", "two"])
def test_a_score_without_a_truth_names_the_options_that_were_given(mer, options):
    called = mer("spot", "a.mp4", *options)
    assert called.code == 2
    named = ", ".join(sorted(options, reverse=True))
    assert f"Invalid value for {named}: the score needs --evaluate" in " ".join(called.err.replace("│", " ").split())


@pytest.mark.parametrize("second", [[], ["b.mp4"], ["b.eaf"]], ids=["alone", "film", "coder"])
def test_a_film_in_the_place_of_a_truth_is_one_line(mer, tmp_path, second):
    (tmp_path / "a.mp4").touch()
    called = mer("spot", "--evaluate", tmp_path / "a.mp4", *(tmp_path / name for name in second), "-q")
    assert called.code == 1
    assert "a.mp4: a film, where a table of what was marked is expected; give a coder's" in only_error(called)


IGNORED = [
    pytest.param(["--aus"], "--aus", id="aus"),
    pytest.param(["--eaf", "x.eaf", "--lvqa"], "--eaf, --lvqa", id="eaf and lvqa"),
    pytest.param(["--frames", "x.csv"], "--frames", id="frames"),
    pytest.param(["--fps", "30"], "--fps", id="fps"),
]


@pytest.mark.parametrize(("arguments", "names"), IGNORED)
def test_what_a_comparison_would_ignore_is_refused(mer, arguments, names):
    called = mer("spot", "--evaluate", "a.eaf", "b.eaf", *arguments)
    assert called.code == 2
    told = " ".join(called.err.replace("│", " ").split())
    assert f"Invalid value for {names}: this is for films, and a file of answers or of a coder is given" in told


def test_answers_of_one_video_are_refused_before_it_is_searched(mer, long_set, monkeypatch):
    monkeypatch.setattr("mer_pipeline.spotting.evaluate.spot_people", lambda *_, **__: pytest.fail("it was searched"))
    called = mer("spot", "--evaluate", long_set, "--lvqa", "-q")
    assert (called.code, "one video has no others" in only_error(called)) == (1, True)
