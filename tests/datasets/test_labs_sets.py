"""The sets of longer recordings and of other laboratories, with every trap that is known of their sheets."""

import pytest
import xlwt

from mer_pipeline.datasets import compare_counts, read_dataset
from mer_pipeline.datasets.fourdme import EMOTIONS
from mer_pipeline.datasets.long_videos import read_long
from mer_pipeline.errors import MerError
from mer_pipeline.labels import label_set

from .raw import SAMM_HEADER, book, frames, points, told

DFME = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")


def test_dfme_has_three_parts_and_a_rate_a_clip(tmp_path):
    """Subjects of the parts do not meet; an onset may be 0; the challenge's release is a .csv without Action Units."""
    train = [("sub0003", "sub0003_01", 109, 199, 228, "anger", 0, 500, "23"),
             ("sub0003", "sub0003_02", 0, 9, 20, "contempt", 2, 300, "L12"),
             ("sub0004", "sub0004_01", 1, 9, 20, "fear", 3, "?", "1")]  # fmt: skip
    book(tmp_path / "training_full_with_AU.xlsx", ("Sheet1", [DFME, *train]))
    (tmp_path / "testA_release.csv").write_text(",".join(DFME[:-1]) + "\nsub0003,sub0003_01,20,30,40,happiness,4,200\n")
    book(
        tmp_path / "testB_with_AU.xlsx",
        ("Sheet1", [DFME, ("sub0001", "sub0001_01", 20, 30, 40, "surprise", 6, 200, 1)]),
    )
    frames(tmp_path / "DFME_train/sub0003_01", range(100, 240), "{:05d}.png")
    for name in ("sub0003_02", "sub0004_01"):
        frames(tmp_path / "DFME_train" / name, range(30), "{:05d}.png")
    frames(tmp_path / "test_data_A/sub0003_01", range(20, 41), "{:05d}.png")
    frames(tmp_path / "test_data_B/test_data_B/sub0001_01", range(20, 41), "{:05d}.png")
    found = read_dataset(tmp_path)
    assert [(clip.clip_id, points(clip), clip.fps, clip.emotion) for clip in found.clips] == [
        ("dfme/0003/sub0003_01", (9, 99, 128), 500.0, "anger"),
        ("dfme/0003/sub0003_02", (0, 9, 20), 300.0, "contempt"),
        ("dfme/0004/sub0004_01", (1, 9, 20), None, "fear"),
        ("dfme/A0003/sub0003_01", (0, 10, 20), 200.0, "happiness"),
        ("dfme/B0001/sub0001_01", (0, 10, 20), 200.0, "surprise"),
    ]
    assert [clip.aus is None for clip in found.clips] == [False, False, False, True, False]
    assert told(found) == [("dfme/0003/sub0003_02", "emotion", "contempt"), ("dfme/0004/sub0004_01", "fps", "?")]
    assert {count.name: count.published for count in compare_counts(found)}["clips"] == 2629


@pytest.mark.parametrize("name", ["training.csv", "test_a.csv"])
def test_another_table_of_such_a_name_is_no_dfme(tmp_path, name):
    (tmp_path / name).write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(MerError, match="not a known dataset"):
        read_dataset(tmp_path)


CASME3_LONG = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type", "Objective class")


def xls(path, **sheets):
    made = xlwt.Workbook()
    for title, lines in sheets.items():
        sheet = made.add_sheet(title.replace("_", " ") if title != "organize" else title)
        for at, line in enumerate(lines):
            for column, cell in enumerate(line):
                sheet.write(at, column, cell)
    made.save(str(path))


def test_casme3_long_videos(tmp_path):
    """An .xls file; the first frames of a recording are missing, one has a gap, one offset is 700 frames on."""
    rows = [("spNO.1", "b", 10, 10, 20, "4", "Micro-expression", "IV"),
            ("spNO.1", "b", 25, 30, 60, "12", "Macro-expression", "I"),
            ("spNO.1", "b", 70, 80, 800, "12", "Micro-expression", "I"),
            ("spNO.1", "b", 3, 12, 25, "12", "Micro-expression", "I"),
            ("spNO.1", "b", 805, 812, 830, "1", "odd", "VII")]  # fmt: skip
    blinks = [("Subject", "Filename", "Onset", "Offset"), ("spNO.1", "b", 40, 44), ("spNO.1", "b", 90, 95)]
    made = {"AU+Emotion": [CASME3_LONG, *rows], "eye_blink": blinks}
    xls(tmp_path / "CAS(ME)3_part_A_v2.xls", **made)
    numbers = [*range(8, 15), *range(16, 850)]
    folder = frames(tmp_path / "part_A/spNO.1/b/color", numbers, "{}.jpg")
    found = read_dataset(tmp_path)
    assert [(clip.name, points(clip), clip.emotion, clip.fault) for clip in found.clips] == [
        ("b_10", (2, None, 11), "class iv", None),
        ("b_70", (61, 71, 791), "class i", None),
        ("b_3", (None, None, None), "class i", "onset 3 is outside the frames 8..849; correct the sheet or the frames"),
    ]
    assert [clip.name for clip in found.macro] == ["b_25", "b_805"]
    assert told(found) == [
        ("casme3-long/001/b_10", "apex", "10"), ("casme3-long/001/b_70", "offset", "800"),
        ("casme3-long/001/b_3", "onset", "3"), ("casme3-long/001/b_805", "type", "odd"),
    ]  # fmt: skip
    assert "24.3 s after the onset: no micro-expression lasts so" in [problem.reason for problem in found.problems]
    assert found.warnings[:2] == (
        "blinks annotated too, which are no expressions: 2",
        "1 clips lack frames between onset and offset: what moves in them moves faster than it did",
    )
    counts = {count.name: (count.here, count.published) for count in compare_counts(found)}
    assert counts == {"clips": (3, 860), "macro": (2, 3346)}
    (video,) = read_long(tmp_path).videos
    assert (video.video, video.spans["macro"]) == (folder, ((16, 51), (796, 821)))


def test_no_blinks_are_not_counted(tmp_path):
    rows = [CASME3_LONG, ("spNO.1", "b", 10, 12, 20, "4", "Micro-expression", "I")]
    xls(
        tmp_path / "CAS(ME)3_part_A_v2.xls",
        **{"AU+Emotion": rows, "eye_blink": [(*CASME3_LONG[:2], "Onset", "Offset")]},
    )
    frames(tmp_path / "part_A/spNO.1/b/color", range(1, 30), "{}.jpg")
    found = read_dataset(tmp_path)
    assert [clip.name for clip in found.clips] == ["b_10"]
    assert not [text for text in found.warnings if text.startswith("blinks")]


def test_beside_the_sheet_of_its_short_clips_casme3_is_that(tmp_path):
    header = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
    book(
        tmp_path / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
        ("label", [header, ("spNO.1", "b", 10, 12, 20, "4", "I", "fear")]),
    )
    book(
        tmp_path / "CAS(ME)3_part_A_v2.xls",
        ("AU+Emotion", [CASME3_LONG, ("spNO.1", "b", 10, 12, 20, "4", "Micro-expression", "I")]),
    )
    frames(tmp_path / "part_A/spNO.1/b/color", range(1, 30), "{}.jpg")
    assert read_dataset(tmp_path).dataset == "casme3"
    assert read_dataset(tmp_path, "casme3-long").clips[0].emotion == "class i"
    assert read_long(tmp_path).dataset == "casme3-long"


def test_casme3_part_c(tmp_path):
    """No apex, commas between Action Units, one row full-width; types are numbers, and a length is wrong."""
    header = ("sub", "count", "onset", "offset", "au", "emotion")
    rows = [(1, 1, 10, 20, "4,7", "disgust"), (1, 2, 40, 50, "Ｒ４，５", "Others"), (2, 1, 3, 9, "1", "fear")]
    book(tmp_path / "CAS(ME)3_part_C_ME.xlsx", ("mockCrimeME", [header, *rows]))
    everything = [("Subject", "Onset", "Offset", "diff", "Exp_type", "risk"), (1, 10, 20, 10, 1, 1),
                  (1, 60, 90, 31, 0, 1), (2, 20, 60, 44, 0, 0), (2, 70, 80, 10, 2, 0)]  # fmt: skip
    xls(tmp_path / "CAS(ME)3_part_C.xls", organize=everything)
    for subject in ("01", "02"):
        frames(tmp_path / "part_C/part_C" / subject / "a/color", range(1, 100), "{}.jpg")
    found = read_dataset(tmp_path)
    assert [(clip.clip_id, points(clip), str(clip.aus), clip.emotion) for clip in found.clips] == [
        ("casme3-c/01/a_10", (9, None, 19), "4+7", "disgust"),
        ("casme3-c/01/a_40", (39, None, 49), "R4+5", "others"),
        ("casme3-c/02/a_3", (2, None, 8), "1", "fear"),
    ]
    assert [(clip.clip_id, points(clip)) for clip in found.macro] == [
        ("casme3-c/01/a_60", (59, None, 89)), ("casme3-c/02/a_20", (19, None, 59)),
        ("casme3-c/02/a_70", (69, None, 79)),
    ]  # fmt: skip
    assert told(found) == [("2", "diff", "44"), ("casme3-c/02/a_70", "type", "2")]


LONG = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset",
    "Apex",
    "Offset",
    "Duration",
    "Type",
    "Action Units",
    "Notes",
)


def samm_long(raw, *rows):
    lines = [
        (subject, name, 1, onset, apex, offset, 0, kind, "4+7", None)
        for subject, name, onset, apex, offset, kind in rows
    ]
    book(raw / "SAMM_LongVideos_V3_Release.xlsx", ("FACS_Movement_Only", [*[("about",)] * 9, LONG, *lines]))
    frames(raw / "SAMM_longvideos/006_1", range(1, 301), "006_1_{:04d}.jpg")


def test_samm_long_videos_with_the_emotions_of_samm(tmp_path):
    """Joined by name and type; an apex of -1, an onset before the recording and an offset just after it."""
    samm_long(
        tmp_path,
        (6, "006_1_2", 10, 30, 60, "Micro - 1/2"), (6, "006_1_2", 10, 30, 60, "Macro"),
        (6, "006_1_3", 0, -1, 80, "Macro"),
        (6, "006_1_4", 200, 250, 303, "Macro"), (6, "006_1_5", 100, 120, 150, "Micro - 1/2"),
    )  # fmt: skip
    own = [("006", "006_1_2", 3, 5562, 5588, 5632, 71, "Micro - 1/2", "5B", "Anger", 3, None)]
    book(tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx", ("MICRO_ONLY", [*[("about",)] * 13, SAMM_HEADER, *own]))
    found = read_dataset(tmp_path)
    assert (found.dataset, found.warnings) == (
        "samm-long",
        ("macro-expressions annotated too, which count in no class: 2",),
    )
    assert [(clip.name, points(clip), clip.emotion) for clip in found.clips] == [
        ("006_1_2_10", (9, 29, 59), "anger"), ("006_1_5_100", (99, 119, 149), None),
    ]  # fmt: skip
    assert [(clip.name, points(clip), clip.emotion) for clip in found.macro] == [
        ("006_1_3_0", (0, None, 79), None), ("006_1_4_200", (199, 249, 299), None),
    ]  # fmt: skip
    assert [(problem.field, problem.value, problem.reason) for problem in found.problems] == [
        ("clip", "006_1_5", "not in SAMM_Micro_FACS_Codes_v2.xlsx; no emotion"),
        ("clip", "006_1_2_10", "this clip stands in an earlier row too; the earlier one counts"),
        ("apex", "-1", "no frame number; it will be spotted"),
        ("onset", "0", "before the recording, whose first frame 1 was taken"),
        ("offset", "303", "after the recording, whose last frame 300 was taken"),
    ]


def test_samm_long_videos_without_the_sheet_of_samm_have_no_emotions(tmp_path):
    samm_long(tmp_path, (6, "006_1_2", 10, 30, 60, "Micro - 1/2"))
    found = read_dataset(tmp_path)
    assert [clip.emotion for clip in found.clips] == [None]
    assert found.warnings[0].startswith("no emotions: put SAMM_Micro_FACS_Codes_v2.xlsx beside the sheet")


HS = ("Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F", "Offset3F", None, "FirstF",
      "LastF", "TotalMF1", "TotalMF2", "TotalMF3", "TotalVL", "Emotion")  # fmt: skip
VIS = ("Subject", "Filename", None, "OnsetF", "ApexF", "OffsetF", "Onset2F", "Offset2F", None, "FirstF", "TotalMF1",
       "TotalVL", "Emotion")  # fmt: skip


@pytest.mark.parametrize("cameras", [("HS",), ("HS", "VIS")])
def test_smic_e_has_up_to_three_expressions_a_row_and_several_cameras(tmp_path, cameras):
    fast = [(20, "s20_ne_01", None, 110, 129, 140, 150, 160, 169, None, 100, 199, 20, 12, 10, 100, "negative"),
            (1, "s01_po_02", None, 105, 115, None, None, 0, 0, None, 100, 180, 11, 0, 0, 50, "po")]  # fmt: skip
    slow = [(20, "s20_ne_01", None, 11, 13, 15, None, None, None, 10, 5, 20, "negative")]
    book(tmp_path / "SMIC-HS-E_annotation.xlsx", ("HS", [HS, *fast]), ("VIS", [VIS, *slow]))
    frames(tmp_path / "HS_long/SMIC_HS_E/s20/s20_ne_01", range(100, 200), "image{}.jpg")
    frames(tmp_path / "HS_long/SMIC_HS_E/s1/s01_po_02", range(100, 150), "image{}.jpg")
    if "VIS" in cameras:
        frames(tmp_path / "VIS_long/SMIC_VIS_E/s20/s20_ne_01", range(10, 30), "image{}.jpg")
    found = read_dataset(tmp_path)
    of_vis = [("smic-long/20/VIS_s20_ne_01", (1, 3, 5), 25.0, "negative")] * ("VIS" in cameras)
    assert [(clip.clip_id, points(clip), clip.fps, clip.emotion) for clip in found.clips] == [
        ("smic-long/20/s20_ne_01", (10, None, 29), 100.0, "negative"),
        ("smic-long/20/s20_ne_01-2", (40, None, 50), 100.0, "negative"),
        ("smic-long/20/s20_ne_01-3", (60, None, 69), 100.0, "negative"),
        ("smic-long/01/s01_po_02", (5, None, 15), 100.0, "positive"),
        *of_vis,
    ]
    assert [(problem.clip, problem.field, problem.reason) for problem in found.problems] == [
        ("smic-long/20/s20_ne_01-2", "total2", "from onset to offset there are 11 frames"),
        ("smic-long/01/s01_po_02", "last", "the files say 149"),
    ]
    left_out = "1 rows of VIS were left out: VIS_long/SMIC_VIS_E is not there"
    assert (left_out in found.warnings) == ("VIS" not in cameras)


def fourdme(raw, *rows):
    header = ("sub_ID", "fold_name", "fold", "Emotion", "Onset", "Apex", "Offset", "AUs", "AU4", "AU7", "AU12",
              *EMOTIONS, "Total", "eye blink")  # fmt: skip
    book(raw / "4DME_Labelling_Micro_release v1.xlsx", ("Sheet1", [header, *rows]))
    for row in rows:
        frames(raw / "gray_micro" / row[0] / row[1], range(1, 31), "{}.jpg")


def test_4dme_has_several_emotions_and_units_that_are_held(tmp_path):
    fourdme(
        tmp_path,
        ("01", "01_1", 1, "Surprise+Positive", 3, 9, 20, "AU12", 0, 0, 1, 1, 0, 1, 0, 0, 2, 1),
        ("01", "01_2", 1, "Negative", 3, 9, 20, "AU4(k)+L7", 1, 1, 0, 0, 1, 0, 0, 0, 1, 0),
        ("02", "02_1", 1, "Negative", 3, 9, 20, "AU4+AU7", 1, 0, 0, 0, 0, 0, 0, 1, 2, 0),
    )
    found = read_dataset(tmp_path)
    assert [(clip.clip_id, points(clip), str(clip.aus), clip.emotion) for clip in found.clips] == [
        ("4dme/01/01_1", (2, 8, 19), "12", "positive+surprise"),
        ("4dme/01/01_2", (2, 8, 19), "L7", "negative"),
        ("4dme/02/02_1", (2, 8, 19), "4+7", "negative"),
    ]
    assert [(problem.clip, problem.field, problem.reason) for problem in found.problems] == [
        ("4dme/02/02_1", "emotion", "its columns of 0 and 1 say Others; the text counts"),
        ("4dme/02/02_1", "total", "1 emotions are marked"),
        ("4dme/02/02_1", "aus", "its columns of 0 and 1 say 4; the text counts"),
    ]
    assert [warning.partition(" clips ")[2][:14] for warning in found.warnings] == [
        "have several e", "have Action Un", "are marked as ",
    ]  # fmt: skip
    assert label_set("4dme-5").class_of("positive+surprise") is None


def test_casme_has_two_columns_for_the_apex(tmp_path):
    header = ("Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "AU", "Emotion")
    rows = [(1, "EP01_5", None, 3, 9, 12, 20, None, "4", "tense"),
            (1, "EP01_6", None, 3, "/", 12, 20, None, "4", "disgust"),
            (1, "EP01_7", None, 3, "/", None, 20, None, "4", "disgust")]  # fmt: skip
    book(tmp_path / "casme.xlsx", ("Sheet1", [header, *rows]))
    for row in rows:
        frames(tmp_path / "CASME_raw_selected/sub01" / row[1], range(1, 25), "img{}.jpg")
    found = read_dataset(tmp_path)
    assert [(clip.clip_id, points(clip), clip.emotion, clip.fps) for clip in found.clips] == [
        ("casme/01/EP01_5", (2, 8, 19), "tense", 60.0),
        ("casme/01/EP01_6", (2, 11, 19), "disgust", 60.0),
        ("casme/01/EP01_7", (2, None, 19), "disgust", 60.0),
    ]
    assert told(found) == [("casme/01/EP01_7", "apex", "/")]


@pytest.mark.parametrize("top", ["", "dataset/"])
def test_the_test_folder_of_the_challenge(tmp_path, top):
    rows = [("s1", "a1", 3, 9, "negative"), ("s1", "a1", 15, 20, "positive"), ("s2", "b1", 3, 40, "surprise")]
    book(tmp_path / "dataset/label.xlsx", ("label", [("subject", "video", "onset", "offset", "emotion"), *rows]))
    for subject, video in (("s1", "a1"), ("s2", "b1"), ("s3", "a1")):
        frames(tmp_path / f"{top}data" / subject / video, range(1, 31), "{}.jpg")
    found = read_dataset(tmp_path)
    assert [(clip.clip_id, points(clip), clip.emotion) for clip in found.clips] == [
        ("megc/s1/a1_3", (2, None, 8), "negative"),
        ("megc/s1/a1_15", (14, None, 19), "positive"),
        ("megc/s2/b1_3", (None, None, None), "surprise"),
    ]
    assert told(found) == [("megc/s2/b1_3", "offset", "40")]
    assert [len(video.marks) for video in read_long(tmp_path).videos] == [2, 0], (
        "one without any is judged, one whose only interval is wrong is not"
    )
