"""Files of coders: what is written is read back frame for frame, and what coders change or break."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mer_pipeline.datasets import read_dataset
from mer_pipeline.datasets.coders import Coding, Mark, read_codings, write_codings
from mer_pipeline.datasets.coders.boris import COLUMNS
from mer_pipeline.datasets.coders.coding import Clock, Moment, to_marks
from mer_pipeline.datasets.long_videos import read_long
from mer_pipeline.errors import MerError
from mer_pipeline.video import FOR_MEASURING, VideoWriter

from .raw import told

MARKS = (
    Mark("micro", 7, 16, 11, "disgust", "4+L12"),
    Mark("blink", 18, 18),
    Mark("macro", 20, 71, 40, "happiness", "6+12"),
    Mark("micro", 30, 38, 34, "surprise", "1+2"),
    Mark("micro", 36, 44, 39),
    Mark("hidden", 70, 80),
    Mark("turn", 75, 99),
    Mark("no face", 76, 78),
    Mark("micro", 3604, 3611, None),
)


def plain(marks):
    return [(mark.kind, mark.span, mark.apex_frame, mark.emotion, mark.aus) for mark in marks]


@pytest.mark.parametrize("name", ["a.eaf", "a.csv"])
@pytest.mark.parametrize("fps", [29.97, 30000 / 1001, 30, 60, 100, 200, 600, 1000])
def test_the_same_frames_are_read_back(tmp_path, fps, name):
    everywhere = [Mark("micro", frame, frame + 5, frame + 2) for frame in range(4000, 9000, 41)]
    coding = Coding(Path("film.mp4"), fps, (*MARKS, *everywhere), 216_000, "anna")
    write_codings(tmp_path / name, [coding])
    (found,) = read_codings(tmp_path / name)
    assert plain(found.marks) == plain(coding.marks)
    assert (found.fps, found.frames, found.subject, found.film.name) == (fps, 216_000, "anna", "film.mp4")
    assert found.warnings == ()


LYING = [
    pytest.param((Mark("macro", 389, 395), Mark("micro", 390, 390, 390)), id="a mark without an apex around another"),
    pytest.param((Mark("macro", 389, 395), Mark("micro", 380, 400, 392)), id="in another"),
    pytest.param((Mark("macro", 20, 71, 34), Mark("micro", 30, 38, 34)), id="one apex of two"),
    pytest.param((Mark("micro", 32, 32, None, "happiness", "1+2"),), id="labels of one frame"),
    pytest.param(
        (Mark("macro", 30, 40, None, "anger"), Mark("micro", 32, 32, None, "happiness")), id="in a longer one"
    ),
]


@pytest.mark.parametrize("name", ["a.eaf", "a.csv"])
@pytest.mark.parametrize("marks", LYING)
def test_each_mark_keeps_its_own_apex_and_labels(tmp_path, marks, name):
    write_codings(tmp_path / name, [Coding(Path("film.mp4"), 29.97, marks, 5000)])
    (found,) = read_codings(tmp_path / name)
    assert sorted(plain(found.marks)) == sorted(plain(marks))
    assert found.warnings == ()


SET = [
    pytest.param([("macro", "", 0, 90), ("micro", "", 30, 50)], 40, [None, 40], id="the narrowest"),
    pytest.param([("macro", "", 0, 90), ("micro", "", 30, 50)], 60, [60, None], id="the only one around it"),
    pytest.param([("macro", "frames 0/90", 0, 90)], 40, [40], id="in a mark that was written without one"),
    pytest.param([("macro", "", 0, 90), ("micro", "frames 30/50", 30, 50)], 40, [40, None], id="not noted before"),
    pytest.param([("macro", "frames 0/60/90", 0, 90)], 40, [40], id="moved"),
]


@pytest.mark.parametrize(("spans", "apex", "apexes"), SET)
def test_an_apex_that_a_coder_sets_is_of_one_mark(spans, apex, apexes):
    moments = [Moment(kind, first * 10, last * 10, text) for kind, text, first, last in spans]
    marks, wrong = to_marks([*moments, Moment("apex", apex * 10, apex * 10 + 10)], Clock(100.0), "here")
    assert [mark.apex_frame for mark in marks] == apexes
    assert wrong == []


def test_a_rate_that_varies_is_read_by_the_times_of_the_film():
    times_s = np.cumsum([0.0, *([0.0333, 0.0417] * 50)])
    clock = Clock(30.0, times_s)
    shown = [Moment("micro", np.ceil(times_s[first] * 1000), np.ceil(times_s[first + 6] * 1000)) for first in range(90)]
    marks, wrong = to_marks(shown, clock, "here")
    assert [mark.span for mark in marks] == [(first, first + 6) for first in range(90)]
    assert wrong == []


MOVED = [
    pytest.param(('TIME_VALUE="110"', 'TIME_VALUE="150"'), (15, 16), None, id="the onset was moved"),
    pytest.param(("frames 7/11/16", "looks doubtful"), (7, 16), 11, id="the text was written over"),
    pytest.param(("frames 7/11/16", "frames 1/2/3"), (7, 16), 11, id="the frames in the text are of something else"),
]


@pytest.mark.parametrize(("change", "span", "apex"), MOVED)
def test_the_time_counts_where_a_coder_changed_the_mark(tmp_path, change, span, apex):
    write_codings(tmp_path / "a.eaf", [Coding(Path("film.mp4"), 100.0, (replace(MARKS[0], aus="", emotion=""),), 500)])
    text = (tmp_path / "a.eaf").read_text()
    old, new = ('TIME_VALUE="70"', change[1]) if change[0].startswith("TIME") else change
    assert old in text
    (tmp_path / "a.eaf").write_text(text.replace(old, new))
    (mark,) = read_codings(tmp_path / "a.eaf")[0].marks
    assert (mark.span, mark.apex_frame) == (span, apex)


ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/lab/my%20film.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="1000"/></HEADER>
<TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="800"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Micro expressions" PARTICIPANT="P07"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>?</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="child" PARENT_REF="Micro expressions" TIER_ID="AUs"><ANNOTATION>
<REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1"><ANNOTATION_VALUE>4+7</ANNOTATION_VALUE></REF_ANNOTATION>
</ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="transcript"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="child" TIME_ALIGNABLE="false" CONSTRAINTS="Symbolic_Association"/>
</ANNOTATION_DOCUMENT>
"""


def film(path: Path, frames: int = 120, fps: float = 30.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, Fraction(fps).limit_denominator(1001), FOR_MEASURING) as writer:
        for at in range(frames):
            writer.write(np.full((32, 48, 3), at % 250, np.uint8))
    return path


def test_what_elan_itself_writes(tmp_path):
    """Child tiers, an offset of the film, a name with a blank, and times that the film turns into frames."""
    film(tmp_path / "my film.mp4")
    (tmp_path / "a.eaf").write_text(ELAN)
    (found,) = read_codings(tmp_path / "a.eaf")
    assert (found.film, found.fps, found.frames, found.subject) == (tmp_path / "my film.mp4", 30.0, 120, "P07")
    assert plain(found.marks) == [("micro", (45, 54), None, "", "4+7")]


def boris(path: Path, *rows: dict[str, object], columns=COLUMNS, separator=",") -> Path:
    lines = [columns, *([str(row.get(column, "")) for column in columns] for row in rows)]
    path.write_text("\n".join(separator.join(line) for line in lines) + "\n")
    return path


def test_what_boris_itself_writes(tmp_path):
    """Tabs, paths of another machine, three decimals, modifiers, no focal subject, and behaviours of other kinds."""
    common = {
        "Media file": "player #1:C:/lab/film.mp4",
        "FPS": "29.97",
        "Total length": "60",
        "Subject": "No focal subject",
    }
    table = boris(
        tmp_path / "events.tsv",
        {**common, "Behavior": "microexpression", "Modifiers": "4+L10|disgust", "Start (s)": 1.001, "Stop (s)": 1.301},
        {**common, "Behavior": "apex", "Start (s)": 1.101, "Stop (s)": 1.101},
        {**common, "Behavior": "laughs", "Start (s)": 3, "Stop (s)": 4},
        separator="\t",
    )
    (found,) = read_codings(table)
    assert plain(found.marks) == [("micro", (30, 39), 33, "disgust", "4+L10")]
    assert (found.film.name, found.subject, found.frames) == ("film.mp4", "", 1798)
    assert found.warnings == ("film.mp4: behaviours that are no expression were left out: laughs",)


NEWER = ("Observation id", "Source", "Media duration (s)", "FPS (frame/s)", "Subject", "Behavior", "Modifier #1",
         "Modifier #2", "Start (s)", "Stop (s)", "Media file name",
         "Image index start", "Image index stop")  # fmt: skip
COUNTED = [
    pytest.param(29.97, 2.369, (71, 84), (71, 84), id="time and count agree"),
    pytest.param(29.97, 2.386, (71, 84), (71, 84), id="a time between two frames"),
    pytest.param(29.97, 2.236, (71, 84), (67, 84), id="the time was corrected"),
    pytest.param("NA", 2.369, (71, 84), (71, 84), id="no rate"),
    pytest.param(29.97, 2.369, ("NA", ""), (71, 84), id="not counted"),
]


@pytest.mark.parametrize(("fps", "start", "images", "span"), COUNTED)
def test_what_newer_boris_writes(tmp_path, fps, start, images, span):
    """A film in two columns, a column for each set of modifiers, and the frames that the player counted."""
    row = {"Source": "player #1:/films/a.mp4;/films/s01.mp4", "Media file name": "/films/s01.mp4", "FPS (frame/s)": fps,
           "Media duration (s)": "16.0", "Subject": "anna", "Behavior": "micro-expression", "Modifier #1": "happiness",
           "Modifier #2": "6+12", "Start (s)": start, "Stop (s)": 2.803, "Image index start": images[0],
           "Image index stop": images[1]}  # fmt: skip
    (found,) = read_codings(boris(tmp_path / "a.csv", row, columns=NEWER))
    assert plain(found.marks) == [("micro", span, None, "happiness", "6+12")]
    assert (found.film.name, found.subject) == ("s01.mp4", "anna")
    without = [column for column in NEWER if column != "Media file name"]
    (found,) = read_codings(boris(tmp_path / "b.csv", {**row, "Source": "player #1:/films/s01.mp4"}, columns=without))
    assert found.film.name == "s01.mp4"


@pytest.mark.parametrize(("name", "warned"), [("talk.mp4", 0), ("talk.avi", 0), ("renamed.mp4", 1)])
@pytest.mark.parametrize("table", ["anna.eaf", "anna.csv"])
def test_another_film_than_the_named_one_is_doubtful(tmp_path, name, warned, table):
    write_codings(tmp_path / table, [Coding(Path("talk.mp4"), 30.0, MARKS[:1], 120)])
    (found,) = read_codings(tmp_path / table, tmp_path / "films" / name)
    words = f"{table} is of talk.mp4, and is taken for {name}: right if it was renamed"
    assert found.warnings == (words,) * warned


def test_films_with_coders_files_beside_them_are_a_dataset(tmp_path):
    raw = tmp_path / "My Lab"
    for who in ("anna", "ben"):
        own = film(raw / who / "talk.mp4")
        marks = (MARKS[0], replace(MARKS[2], offset_frame=500 if who == "ben" else 71))
        write_codings(own.with_suffix(".eaf"), [Coding(own, 30.0, marks)])
    (raw / "ben" / "broken.eaf").write_text("<a>")
    found = read_dataset(raw)
    assert (found.dataset, found.recognised_by) == ("my-lab", "the coder's file anna/talk.eaf")
    assert [
        (c.clip_id, c.onset_frame, c.apex_frame, c.offset_frame, c.emotion, str(c.aus), c.fps) for c in found.clips
    ] == [(f"my-lab/{who}/talk_7", 7, 11, 16, "disgust", "4+L12", 30.0) for who in ("anna", "ben")]
    assert [clip.clip_id for clip in found.macro] == ["my-lab/anna/talk_20", "my-lab/ben/talk_20"]
    assert told(found) == [("", "file", "broken.eaf")]
    truth = read_long(raw / "anna")
    assert [(video.video.name, video.spans) for video in truth.videos] == [
        ("talk.mp4", {"micro": ((7, 16),), "macro": ((20, 71),)})
    ]


def test_without_a_name_all_films_are_one_person(tmp_path):
    for name in ("a", "b"):
        write_codings(tmp_path / f"{name}.eaf", [Coding(film(tmp_path / f"{name}.mp4"), 30.0, MARKS[:1])])
    found = read_dataset(tmp_path)
    assert found.subjects == ["unknown"]
    assert found.warnings[0].startswith("2 films do not say who is seen: they count as one person")


HOSTILE = '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;">]>\n<a>&c;</a>'
BAD = [
    pytest.param("a.eaf", HOSTILE.encode(), "not an .eaf file: it declares entities", id="entities"),
    pytest.param("a.eaf", HOSTILE.encode("utf-16"), "not an .eaf file: it declares entities", id="entities in UTF-16"),
    pytest.param("a.eaf", b"", "not a readable .eaf file", id="empty"),
    pytest.param("a.eaf", b"<a/>", "not a readable .eaf file", id="other XML"),
    pytest.param("a.eaf", b"<a>" * 100_000, "not a readable .eaf file", id="deep"),
    pytest.param(
        "a.eaf", ELAN.replace("Micro expressions", "talk").encode(), "no tier of expressions; name its", id="tiers"
    ),
    pytest.param("a.eaf", ELAN.replace(' TIME_VALUE="800"', "").encode(), "an annotation of unknown time", id="time"),
    pytest.param("a.eaf", ELAN.replace('"800"', '"400"').encode(), "an annotation of unknown time", id="backwards"),
    pytest.param("a.eaf", ELAN.replace('"800"', '"9' + "0" * 400 + '"').encode(), "unknown time", id="for ever"),
    pytest.param("a.eaf", ELAN.encode(), "the rate of its film is not known; put the film beside it", id="no film"),
    pytest.param("a.csv", b"a,b\n1,2\n", "no header row with the column Media file", id="no BORIS table"),
    pytest.param(
        "a.csv", ",".join(COLUMNS).encode() + b"\n,,,f.mp4,,30,,micro,,,,x,1\n", "no time in 'start'", id="no time"
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_a_bad_file_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MerError) as caught:
        read_codings(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_subtitles(tmp_path):
    write_codings(tmp_path / "a.vtt", [Coding(Path("film.mp4"), 25.0, MARKS[:2], 500)])
    assert (tmp_path / "a.vtt").read_text() == (
        "WEBVTT\n\n00:00:00.280 --> 00:00:00.680\nmicro-expression, AU 4+L12, disgust\n"
        "\n00:00:00.720 --> 00:00:00.760\nblink\n"
    )


WRONG = [
    pytest.param("a.txt", 1, "of unknown kind; end its name in .eaf", id="ending"),
    pytest.param("a.eaf", 2, "one .eaf file holds one film, not 2; give one video", id="two films"),
]


@pytest.mark.parametrize(("name", "films", "message"), WRONG)
def test_what_cannot_be_written(tmp_path, name, films, message):
    with pytest.raises(MerError, match=message):
        write_codings(tmp_path / name, [Coding(Path("film.mp4"), 25.0)] * films)
