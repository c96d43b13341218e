"""The truth of long videos: CAS(ME)^2, SAMM Long Videos, tables."""

import pandas as pd
import pytest

from mer_pipeline.datasets import samm_long
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.long_videos import read_long
from mer_pipeline.errors import MerError

from .raw import book, casme2, frames, points

HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units", "Notes",
)  # fmt: skip
PREAMBLE = [("SAMM Long Videos",), (), ("Onset and offset are frame numbers",), (), (), (), (), (), ()]


def samm(raw, *rows, header=HEADER, folders=("006_1", "007_3")):
    book(raw / "SAMM_LongVideos_V3_Release.xlsx", ("Sheet1", [*PREAMBLE, header, *rows]))
    for folder in folders:
        frames(raw / "SAMM_longvideos" / folder, range(1, 301), folder + "_{:04d}.jpg")
    return raw


def row(name, onset, apex, offset, kind, subject=6):
    return subject, name, 1, onset, apex, offset, 100, kind, "4+7", None


def test_samm_long_videos(tmp_path):
    raw = samm(
        tmp_path,
        row("006_1_2", 10, 30, 60, "Micro - 1/2"),
        row("006_1_3", 100, 150, 290, "Macro"),
        row(" 007_3_1", 5, "/", 90, "micro - 1/2", subject="007"),
    )
    truth = read_long(raw)
    assert (truth.dataset, truth.warnings) == ("samm-long", ())
    first, second = truth.videos
    assert first.video == raw / "SAMM_longvideos" / "006_1"
    assert first.fps == 200
    assert first.spans == {"micro": ((9, 59),), "macro": ((99, 289),)}, "0-based, though the files count from 1"
    assert second.spans == {"micro": ((4, 89),), "macro": ()}


def test_what_is_wrong_in_the_samm_sheet_is_told(tmp_path):
    raw = samm(
        tmp_path,
        row("006_1_2", 10, 30, 60, "Micro - 1/2"),
        row("006_1_2", 10, 30, 60, "Micro - 1/2"),
        row("006", 10, 30, 60, "Macro"),
        row("006_1_4", 100, 120, -1, "Macro"),
        row("006_1_5", 100, 120, 900, "Macro"),
        row("007_3_1", 20, 30, 60, "?"),
    )
    annotations = samm_long.READER.read(raw, Corrections())
    reasons = [problem.reason for problem in annotations.problems]
    assert any("this clip stands in an earlier row too" in reason for reason in reasons)
    assert any("names no recording such as 006_1" in reason for reason in reasons)
    assert any("offset 900 is outside the frames 1..300" in reason for reason in reasons)
    assert any("neither micro nor macro" in reason for reason in reasons)
    assert [points(clip) for clip in annotations.clips] == [(9, 29, 59)]
    truth = read_long(raw)
    assert truth.warnings == ("2 macro-expressions without onset, offset or frames were left out",)
    assert sum(len(spans) for video in truth.videos for spans in video.spans.values()) == 2


def test_a_samm_sheet_without_a_type(tmp_path):
    raw = samm(tmp_path, header=(*HEADER[:7], "Sort", *HEADER[8:]))
    with pytest.raises(MerError, match="no header row with the column Type"):
        read_long(raw)


def test_casme_squared_has_micro_and_macro(tmp_path):
    """Three sheets as handed out; one macro row whose offset is 0."""
    codes = [
        (1, "disgust1_1", 10, 14, 20, "4", "disgust", "micro-expression", "disgust"),
        (1, "disgust1_2", 50, 60, 90, "4", "disgust", "macro-expression", "disgust"),
        (1, "disgust1_3", 95, 97, 0, "4", "disgust", "macro-expression", "disgust"),
    ]
    book(
        tmp_path / "CAS(ME)^2code_final.xlsx",
        ("CASFEcode_final", codes),
        ("naming rule1", [(1, "s15")]),
        ("naming rule2", [("disgust1", "0101")]),
    )
    folder = frames(tmp_path / "rawpic" / "s15" / "15_0101disgustingteeth", range(1, 101), "img{:03d}.jpg")
    truth = read_long(tmp_path)
    (video,) = truth.videos
    assert (truth.dataset, video.video, video.fps) == ("casme-sq", folder, 30)
    assert video.spans == {"micro": ((9, 19),), "macro": ((49, 89),)}
    assert truth.warnings == ("1 macro-expressions without onset, offset or frames were left out",)


def test_a_table(tmp_path):
    table = pd.DataFrame(
        {
            "video": ["b.mp4", "b.mp4", "b.mp4", "a.mp4"],
            "kind": ["macro", "micro", "blink", "blink"],
            "onset_frame": [50, 3, 7, 1],
            "offset_frame": [90, 9, 9, 2],
            "fps": [30.0] * 4,
        }
    )
    table.to_parquet(tmp_path / "truth.parquet")
    table.to_csv(tmp_path / "other.csv")
    truth = read_long(tmp_path)
    assert truth.videos == read_long(tmp_path / "other.csv").videos
    assert [video.video.name for video in truth.videos] == ["a.mp4", "b.mp4"]
    assert truth.videos[0].spans == {"micro": (), "macro": ()}, "a video without any expression is part of the truth"
    assert truth.videos[1].spans == {"micro": ((3, 9),), "macro": ((50, 90),)}


def test_recordings_without_expressions_are_judged_too(tmp_path):
    """False alarms in them count; leaving them out flattered every spotter."""
    raw = samm(tmp_path, row("006_1_2", 10, 30, 60, "Micro - 1/2"), folders=("006_1", "007_3", "008_1"))
    truth = read_long(raw)
    assert [video.video.name for video in truth.videos] == ["006_1", "007_3", "008_1"]
    assert truth.videos[2].spans == {"micro": (), "macro": ()}
    assert truth.videos[2].fps == 200
    assert truth.warnings[0].startswith("2 recordings without any expression are judged too")


KINDS = [
    pytest.param("ME", (1, 0), id="as papers write micro"),
    pytest.param("MaE", (0, 1), id="as papers write macro"),
    pytest.param("micro-expression", (1, 0), id="in full"),
    pytest.param("Macro", (0, 1), id="capital"),
    pytest.param("", (0, 0), id="no expression"),
    pytest.param("blink", (0, 0), id="blink"),
]


@pytest.mark.parametrize(("kind", "counts"), KINDS)
def test_kinds_as_they_are_written(tmp_path, kind, counts):
    (tmp_path / "t.csv").write_text(f"video,kind,onset_frame,offset_frame\na.mp4,{kind},3,9\nb.mp4,micro,1,4\n")
    (tmp_path / "c.mp4").write_bytes(b"")
    truth = read_long(tmp_path / "t.csv")
    assert tuple(len(spans) for spans in truth.videos[0].spans.values()) == counts
    assert "1 videos beside the table have no row, such as c.mp4" in truth.warnings[0]


BAD = [
    pytest.param(
        "video,kind,onset_frame,offset_frame\na,smile,1,9\n", "kind 'smile' is unknown; write micro or macro", id="kind"
    ),
    pytest.param("video,kind,onset_frame\na,micro,1\n", "no column offset_frame; expected video, kind", id="column"),
    pytest.param(
        "video,kind,onset_frame,offset_frame\na,micro,9,1\n", "a: onset 9 and offset 1 are no interval", id="order"
    ),
    pytest.param(
        "video,kind,onset_frame,offset_frame\na,micro,x,1\n", "onset x and offset 1 are no interval", id="no number"
    ),
    pytest.param("video,kind,onset_frame,offset_frame\n", "no usable interval", id="empty"),
    pytest.param("", "not a readable table", id="nothing"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(MerError, match=message):
        read_long(tmp_path / "truth.csv")


def test_a_damaged_parquet_file(tmp_path):
    (tmp_path / "truth.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(MerError, match="not a readable table"):
        read_long(tmp_path)


def test_a_set_of_short_clips_is_no_truth(tmp_path):
    casme2(tmp_path, ("01", "EP02_01f", 1, 5, 9, "4", "disgust"))
    with pytest.raises(MerError, match="casme2 has no long videos; give CAS"):
        read_long(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(MerError, match="no such file or folder"):
        read_long(tmp_path / "absent")
