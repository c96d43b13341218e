"""Each set in the forms in which it is handed out, with every trap that is known of it."""

import importlib
import pkgutil
from pathlib import Path

import pytest

from mer_pipeline import datasets
from mer_pipeline.datasets import READERS, Reader, read_dataset
from mer_pipeline.datasets.builder import AnnotationsBuilder, ClipLocation
from mer_pipeline.datasets.corrections import Corrections
from mer_pipeline.datasets.layout import Layout
from mer_pipeline.datasets.rows import Row
from mer_pipeline.errors import MerError

from .raw import (
    CASME2_HEADER,
    CASME2_SHEET,
    CASME3_HEADER,
    MMEW_HEADER,
    SAMM_HEADER,
    book,
    casme2,
    frames,
    points,
    told,
)


def test_every_set_has_a_reader() -> None:
    names = [found.name for found in pkgutil.iter_modules(datasets.__path__, "mer_pipeline.datasets.")]
    readers = [getattr(importlib.import_module(name), "READER", None) for name in names]
    published = {reader.name for reader in readers if reader}
    assert {"casme2", "samm", "mmew", "smic", "casme-sq", "casme3", "megc2019_flow"} <= published
    assert sorted(reader.name for reader in READERS) == sorted(published | {"own"})


def test_a_new_set_is_a_layout_columns_and_locate(tmp_path: Path) -> None:
    layout = Layout("four", "4DME", 60.0, r"4DME.*", "4DME_labels.xlsx", ("4DME",), ("*/*",), "4DME/01/a/1.png")
    columns = {name: (name,) for name in ("subject", "clip", "onset", "apex", "offset", "aus", "emotion")}

    def locate(row: Row, table: AnnotationsBuilder) -> ClipLocation | None:
        if row["clip"] == "lost":
            table.report(row, "clip", "is known to be lost")
            return None
        return ClipLocation(row["subject"], row["clip"], table.root / row["subject"] / row["clip"])

    rows = [("01", "a", 2, 5, 9, "4", "disgust"), ("01", "lost", 2, 5, 9, "4", "disgust")]
    book(tmp_path / "4DME_labels.xlsx", ("s", [tuple(columns), *rows]))
    frames(tmp_path / "4DME/01/a", range(1, 12))
    reader = Reader(layout, columns, locate)
    found = reader.read(tmp_path, Corrections())
    assert (reader.recognise(tmp_path), found.dataset) == (found.recognised_by, "four")
    assert [(clip.clip_id, points(clip), clip.fps) for clip in found.clips] == [("four/01/a", (1, 4, 8), 60.0)]
    assert told(found) == [("", "clip", "lost")]
    with pytest.raises(MerError, match=r"no coding sheet; put 4DME_labels\.xlsx beside the frames"):
        reader.read(tmp_path / "4DME", Corrections())


@pytest.mark.parametrize(
    ("root", "prefix", "person"),
    [
        ("CASME2-RAW", "img", "sub01"),
        ("CASME2_RAW_selected", "img", "sub1"),
        ("Cropped", "reg_img", "sub01"),
        ("Cropped_original", "reg_img", "sub01"),
        ("Cropped-updated/Cropped", "reg_img", "sub01"),
        (".", "img", "sub01"),
    ],
)
def test_casme2_layouts(tmp_path: Path, root: str, prefix: str, person: str) -> None:
    book(
        tmp_path / "CASME2-coding-20140508.xlsx",
        ("Sheet1", [CASME2_HEADER, (1, "EP02_01f", None, 46, 59, 86, None, "R2", "happiness")]),
    )
    frames(tmp_path / root / person / "EP02_01f", range(40, 100), prefix + "{}.jpg")
    found = read_dataset(tmp_path)
    assert found.recognised_by == "the sheet CASME2-coding-20140508.xlsx"
    (clip,) = found.clips
    assert (clip.clip_id, clip.fps, clip.emotion, str(clip.aus)) == ("casme2/01/EP02_01f", 200.0, "happiness", "R2")
    assert (points(clip), found.problems) == ((6, 19, 46), ())


def test_casme2_video_and_an_apex_that_is_a_slash(tmp_path: Path) -> None:
    book(
        tmp_path / CASME2_SHEET,
        ("Sheet1", [CASME2_HEADER, ("04", "EP12_01f", None, 2, "/", 9, None, "4+7+L10", "Disgust ")]),
    )
    (tmp_path / "CASME2-RAW" / "sub04").mkdir(parents=True)
    (tmp_path / "CASME2-RAW/sub04/EP12_01f.avi").touch()
    found = read_dataset(tmp_path)
    assert points(found.clips[0]) == (1, None, 8), "frames of a video count from 1 in the sheet"
    assert told(found) == [("casme2/04/EP12_01f", "apex", "/")]
    assert found.problems[0].reason == "no frame number; it will be spotted"
    assert (found.problems[0].sheet, found.problems[0].row) == (f"{CASME2_SHEET}, Sheet1", 2)


@pytest.mark.parametrize("preamble", [0, 13])
def test_samm_preamble_padding_and_impossible_apexes(tmp_path: Path, preamble: int) -> None:
    rows = [
        ("006", "006_1_2", 3, 5562, 5588, 5632, 71, "Micro - 1/2", "5B+24", "Anger", 3, None),
        ("032", "032_3_1", 3, 4896, 1930, 4935, 40, "Micro - 1/2", "L12 or L14", "Other", 3, None),
        (28, "028_4_1", 3, 95, 160, 150, 56, "Micro - 1/2", "ref(7B)+43", "Surprise", 3, None),
    ]
    book(tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx", ("MICRO_ONLY", [*[("about",)] * preamble, SAMM_HEADER, *rows]))
    frames(tmp_path / "SAMM/006/006_1_2", range(5560, 5640), "006_{:05d}.jpg")
    frames(tmp_path / "SAMM/032/032_3_1", range(4890, 4940), "032_{:04d}.jpg")
    frames(tmp_path / "SAMM/028/028_4_1", range(95, 151), "028_{:03d}.jpg")
    found = read_dataset(tmp_path)
    assert [points(clip) for clip in found.clips] == [(2, 28, 72), (6, None, 45), (0, None, 55)]
    assert [clip.emotion for clip in found.clips] == ["anger", "others", "surprise"]
    assert told(found) == [("samm/032/032_3_1", "apex", "1930"), ("samm/028/028_4_1", "apex", "160")]
    assert found.problems[0].row == preamble + 3
    assert (found.outside_counts, found.au_flags) == ({"43": 1}, {"alternative": 1, "reflex": 1})


@pytest.mark.parametrize("layout", ["Micro_Expression/{emotion}/{clip}", "S{subject}/{emotion}/{clip}"])
def test_mmew_folders_habits_and_slips(tmp_path: Path, layout: str) -> None:
    rows = [
        ("S03", "S03-01-002", 1, 5, 12, "6+12", "happiness", None),
        (3, "S03-05-001", 101, 108, 112, "4", "others", None),
        (4, "S04-05-001", 3, 4, 12, "4", "disgust", None),
        (4, "S04-05-002", 3, 40, 12, "4", "disgust", None),
    ]
    book(tmp_path / "MMEW_Micro_Exp.xlsx", ("Sheet1", [MMEW_HEADER, *rows]))
    places = [("03", "happiness"), ("03", "repression"), ("04", "fear"), ("04", "disgust")]
    for (subject, emotion), row in zip(places, rows, strict=True):
        frames(tmp_path / layout.format(subject=subject, emotion=emotion, clip=row[1]), range(1, 13), "{}.jpg")
    found = read_dataset(tmp_path)
    assert [points(clip) for clip in found.clips] == [(0, 4, 11), (0, 7, 11), (2, 3, 11), (2, None, 11)]
    assert [clip.emotion for clip in found.clips] == ["happiness", "others", "disgust", "disgust"]
    assert {clip.fps for clip in found.clips} == {90.0}
    assert told(found) == [("mmew/04/S04-05-001", "emotion", "disgust"), ("mmew/04/S04-05-002", "apex", "40")]
    assert [warning[:7] for warning in found.warnings] == ["1 clips", "1 clips"]


@pytest.mark.parametrize(
    ("root", "person", "prefix"),
    [("HS", "s01", "image"), ("HS", "s1", "image"), ("SMIC_all_cropped/HS", "s01", "reg_image"), (".", "s01", "image")],
)
def test_smic_has_no_sheet(tmp_path: Path, root: str, person: str, prefix: str) -> None:
    micro = tmp_path / root / person / "micro"
    frames(micro / "negative" / "s01_ne_01", range(90823, 90850), prefix + "{:06d}.bmp")
    frames(micro / "positive" / "s01_sur_01", range(7, 12), prefix + "{:06d}.bmp")
    (micro / "surprise" / "s01_sur_02").mkdir(parents=True)
    (tmp_path / root / person / "non_micro").mkdir()
    found = read_dataset(tmp_path)
    assert found.dataset == "smic"
    assert [clip.clip_id for clip in found.clips] == ["smic/01/s01_ne_01", "smic/01/s01_sur_01", "smic/01/s01_sur_02"]
    assert [points(clip) for clip in found.clips] == [(0, None, 26), (0, None, 4), (None, None, None)]
    assert [clip.emotion for clip in found.clips] == ["negative", "positive", "surprise"]
    assert [(p.field, p.row) for p in found.problems] == [("emotion", None), ("frames", None)]
    assert found.clips[2].fault is not None


def casme_sq(raw: Path, *rows: tuple[object, ...]) -> Path:
    people, films = [(1, "s15"), (2, "s16")], [("disgust1", "0101"), ("happy1", 501)]
    return book(
        raw / "CAS(ME)^2code_final.xlsx", ("CASFEcode_final", rows), ("naming rule1", people), ("naming rule2", films)
    )


@pytest.mark.parametrize("root", ["rawpic", "selectedpic", "cropped"])
def test_casme_sq_sheet_without_header(tmp_path: Path, root: str) -> None:
    casme_sq(
        tmp_path,
        (1, "disgust1_1", 10, 14, 19, "4", "disgust", "micro-expression", "disgust"),
        (1, "disgust1_2", 30, 44, 0, "4+9", "disgust", "macro-expression", "disgust"),
        (2, "happy1_1", 5, 7, 9, "12", "happyiness", "micro-expression", "happiness"),
        (9, "happy1_1", 5, 7, 9, "12", "happiness", "micro-expression", "happiness"),
        (2, "sad1_1", 5, 7, 9, "12", "sadness", "micro-expression", "sadness"),
    )
    frames(tmp_path / root / "s15" / "15_0101disgustingteeth", range(1, 60), "img{:03d}.jpg")
    frames(tmp_path / root / "s16" / "16_0501happy", range(1, 20), "img{:03d}.jpg")
    found = read_dataset(tmp_path)
    assert [clip.clip_id for clip in found.clips] == ["casme-sq/15/disgust1_1_10", "casme-sq/16/happy1_1_5"]
    assert [points(clip) for clip in found.clips] == [(9, 13, 18), (4, 6, 8)]
    assert found.clips[1].emotion == "happiness", "`happyiness` is a spelling"
    assert [(clip.name, points(clip)) for clip in found.macro] == [("disgust1_2_30", (29, 43, None))]
    assert [p.field for p in found.problems] == ["offset", "subject", "clip"]
    assert found.warnings == ("macro-expressions annotated too, which count in no class: 1",)


def test_casme_sq_video(tmp_path: Path) -> None:
    casme_sq(tmp_path, (1, "disgust1_1", 10, 14, 19, "4", "disgust", "micro-expression", "disgust"))
    (tmp_path / "rawvideo" / "s15").mkdir(parents=True)
    (tmp_path / "rawvideo/s15/15_0101disgustingteeth.avi").touch()
    assert points(read_dataset(tmp_path).clips[0]) == (9, 13, 18)


def test_casme_sq_without_its_naming_rules(tmp_path: Path) -> None:
    book(tmp_path / "CAS(ME)^2code_final.xlsx", ("CASFEcode_final", [(1, "a1_1", 1, 2, 3, 4, "disgust", "micro", "x")]))
    with pytest.raises(MerError, match=r"no sheet 'naming rule1'; take the \.xlsx file with its three sheets"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
def test_casme3_several_expressions_in_a_folder(tmp_path: Path, suffix: str) -> None:
    rows = [
        ("spNO.1", "b", 175, 180, 189, "4", "III", "disgust"),
        ("spNO.1", "b", 210, 210, 220, "4", "III", "Others"),
        ("spNO.1", "B", 230, 235, 0, "4", "III", "others"),
        ("spNO.149", "d", 10, 8, 14, "12", "I", "happy"),
        ("spNO.216", "d", 10, 9, 12, "12", "I", "sad"),
    ]
    sheet = tmp_path / f"cas(me)3_part_A_ME_label_JpgIndex_v2{suffix}"
    if suffix == ".csv":
        sheet.write_text("\n".join(",".join(map(str, row)) for row in [CASME3_HEADER, *rows]))
    else:
        book(sheet, ("label", [CASME3_HEADER, *rows]))
    gap = [*range(170, 200), *range(205, 240)]
    frames(tmp_path / "part_A/spNO.1/b/color", gap, "{}.jpg")
    frames(tmp_path / "part_A/spNO.1/b/depth", gap, "{}.png")
    for person in (149, 216):
        frames(tmp_path / f"part_A/spNO.{person}/d/color", range(20), "{}.jpg")
    found = read_dataset(tmp_path)
    assert [clip.name for clip in found.clips] == ["b_175", "b_210", "b_230", "d_10", "d_10"]
    assert [clip.subject for clip in found.clips] == ["001", "001", "001", "149", "216"]
    expected = [(5, 10, 19), (35, None, 45), (55, 60, None), (10, None, 14), (10, None, 12)]
    assert [points(clip) for clip in found.clips] == expected, "indices count files, numbers have a gap"
    assert [clip.emotion for clip in found.clips] == ["disgust", "others", "others", "happiness", "sadness"]
    assert [p.field for p in found.problems] == ["apex", "clip", "offset", "apex", "apex"]


def test_flow_images(tmp_path: Path) -> None:
    lines = ["dataset,subject,clip,emotion,image", "casme2,sub01,EP02_01f,positive,images/a.png"]
    lines += ["smic,s01,s01_ne_01,negative,images/b.png", "samm,6,006_1_2,negative,images/c.png"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    frames(tmp_path / "images", [0], "a.png")
    frames(tmp_path / "images", [0], "b.png")
    found = read_dataset(tmp_path)
    assert found.dataset == "megc2019_flow"
    assert [clip.clip_id for clip in found.clips] == ["casme2/01/EP02_01f", "smic/01/s01_ne_01", "samm/006/006_1_2"]
    assert {clip.kind for clip in found.clips} == {"flow"}
    assert found.clips[0].source == tmp_path / "images/a.png"
    assert found.subjects == ["casme2/01", "samm/006", "smic/01"]
    assert told(found) == [("samm/006/006_1_2", "frames", str(tmp_path / "images/c.png"))]


@pytest.mark.shared
def test_the_published_flow_images() -> None:
    raw = Path(__file__).parents[3] / "shared" / "data" / "megc2019_flow"
    if not raw.is_dir():
        pytest.skip(f"{raw} is absent")
    found = read_dataset(raw)
    assert (len(found.clips), len(found.subjects), found.problems) == (309, 40, ())


def test_own_data(tmp_path: Path) -> None:
    raw = tmp_path / "My Clips"
    frames(raw / "anna" / "smile", range(5, 20), "{:04d}.png")
    frames(raw / "ben", range(3), "{}.png")
    (raw / "carl.mp4").touch()
    lines = ["Clip,Subject,Emotion,Onset,Apex,Offset,AUs,FPS", "anna/smile,anna,Zest,6,9,12,6+12,120", "ben,ben,,,,,,"]
    (raw / "clips.csv").write_text("\n".join([*lines, "carl.mp4,3.0,happy,4,7,9,,fast", "dora,dora,,,,,,"]))
    found = read_dataset(raw)
    assert found.dataset == "my-clips"
    assert [clip.clip_id for clip in found.clips] == [
        "my-clips/anna/anna-smile", "my-clips/ben/ben", "my-clips/3/carl.mp4", "my-clips/dora/dora",
    ]  # fmt: skip
    assert [points(clip) for clip in found.clips] == [(1, 4, 7), (None,) * 3, (4, 7, 9), (None,) * 3]
    assert [clip.emotion for clip in found.clips] == ["zest", None, "happiness", None]
    assert [clip.fps for clip in found.clips] == [120.0, None, None, None]
    assert told(found) == [("carl.mp4", "fps", "fast"), ("my-clips/dora/dora", "frames", str(raw / "dora"))]
    assert found.warnings == ("clips with the emotion happy, which is read as happiness: 1",)


def test_own_data_named_without_the_ending_of_a_video(tmp_path: Path) -> None:
    for name in ("anna.MP4", "ben.avi", "ben.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "clips.csv").write_text("clip,subject\nanna,1\nben,2\n")
    found = read_dataset(tmp_path)
    assert [clip.source.name for clip in found.clips] == ["anna.MP4", "ben"]
    assert [clip.clip_id.partition("/")[2] for clip in found.clips] == ["1/anna", "2/ben"]
    assert "may be ben.avi or ben.mp4: add the ending" in [problem.reason for problem in found.problems]


def test_own_videos_that_no_row_names_are_said(tmp_path: Path) -> None:
    frames(tmp_path / "anna" / "smile", range(3))
    for name in ("anna/smile/no.mp4", "anna/talk.mp4", "b.mov", ".hidden.mp4", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "clips.csv").write_text("clip,subject\nanna/smile,1\n")
    found = read_dataset(tmp_path)
    assert found.warnings == ("2 videos are in no row of the table and left out: b.mov, anna/talk.mp4",)


def test_own_data_with_several_expressions_of_a_film(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").touch()
    rows = ["clip,subject,onset,apex,offset,clip name,type", "talk.mp4,anna,4,7,9,talk_4,micro",
            "talk.mp4,anna,20,40,80,talk_20,Macro-expression", "talk.mp4,anna,90,92,99,,posed"]  # fmt: skip
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    found = read_dataset(tmp_path)
    assert [(clip.name, points(clip)) for clip in found.clips] == [("talk_4", (4, 7, 9)), ("talk.mp4", (90, 92, 99))]
    assert [(clip.name, points(clip)) for clip in found.macro] == [("talk_20", (20, 40, 80))]
    assert found.problems == ()


def test_own_data_with_clips_alone(tmp_path: Path) -> None:
    frames(tmp_path / "a", range(3))
    frames(tmp_path / "b", range(3))
    (tmp_path / "clips.csv").write_text("clip\na\nb\n")
    found = read_dataset(tmp_path)
    assert {clip.subject for clip in found.clips} == {"unknown"}, "nobody can stand on both sides of a fold"
    assert found.problems == ()
    assert found.warnings[0].startswith("no column subject")


def test_frames_that_are_absent_altogether_are_told_once(tmp_path: Path) -> None:
    rows = [("01", name, None, 1, 5, 9, None, "4", "disgust") for name in ("a", "b", "c")]
    book(tmp_path / CASME2_SHEET, ("Sheet1", [CASME2_HEADER, *rows, ("01", "d", None, 1, 50, 9, None, "4", "disgust")]))
    found = read_dataset(tmp_path)
    assert len(found.clips) == 4
    assert all(clip.fault for clip in found.clips)
    assert told(found) == [("casme2/01/d", "apex", "50")], "the sheet itself is still checked"
    assert found.warnings[0].startswith("none of the 4 clips has its frames; expected CASME2-RAW/sub01")


def test_some_frames_that_are_absent_are_told_by_clip(tmp_path: Path) -> None:
    casme2(tmp_path, ("01", "a", 1, 5, 9, "4", "disgust"), ("01", "b", 1, 5, 9, "4", "disgust"))
    for file in (tmp_path / "CASME2-RAW/sub01/b").iterdir():
        file.unlink()
    (tmp_path / "CASME2-RAW/sub01/b").rmdir()
    found = read_dataset(tmp_path)
    assert [(clip.name, clip.fault is None) for clip in found.clips] == [("a", True), ("b", False)]
    assert told(found) == [("casme2/01/b", "frames", str(tmp_path / "CASME2-RAW/sub01/b"))]
