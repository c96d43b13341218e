"""What users' sheets and folders look like when something is wrong: one clear line each."""

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
import xlwt

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.stages.preprocess import preprocess

from .raw import CASME2_HEADER, CASME2_SHEET, book, casme2, frames, points, told

ROW = ("01", "a", 2, 5, 9, "4+7", "disgust")
CSV_HEADER = "Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Action Units,Estimated Emotion"


def edited(raw: Path, edit: Callable[[openpyxl.worksheet.worksheet.Worksheet], None]) -> None:
    made = openpyxl.load_workbook(raw / CASME2_SHEET)
    edit(made["Sheet1"])
    made.save(raw / CASME2_SHEET)


def locked_xlsx(raw: Path) -> None:
    (raw / CASME2_SHEET).write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le") * 40)


def locked_xls(raw: Path) -> None:
    (raw / CASME2_SHEET).unlink()
    begin = struct.pack("<HHHHHH", 0x0809, 8, 0x0500, 5, 0, 0)  # a BIFF 5 workbook
    (raw / "CASME2-coding-20190701.xls").write_bytes(begin + struct.pack("<HHH", 0x002F, 2, 5))  # FILEPASS


def damaged_xlsx(raw: Path) -> None:
    content = (raw / CASME2_SHEET).read_bytes()
    (raw / CASME2_SHEET).write_bytes(content[: len(content) // 2])


def damaged_xls(raw: Path) -> None:
    (raw / CASME2_SHEET).unlink()
    made = xlwt.Workbook()
    made.add_sheet("s").write(0, 0, "Subject")
    made.save(str(raw / "CASME2-coding.xls"))
    content = bytearray((raw / "CASME2-coding.xls").read_bytes())
    content[512:700] = b"\xff" * 188
    (raw / "CASME2-coding.xls").write_bytes(bytes(content))


def empty_file(raw: Path) -> None:
    (raw / CASME2_SHEET).write_bytes(b"")


def wrong_columns(raw: Path) -> None:
    book(raw / CASME2_SHEET, ("Sheet1", [("Subject", "Filename", "Onset")]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (locked_xlsx, "CASME2-coding-20190701.xlsx: locked by a password; save it without one"),
        (locked_xls, "CASME2-coding-20190701.xls: locked by a password; save it without one"),
        (damaged_xlsx, "not a readable .xlsx file; open and save it again, or export .csv"),
        (damaged_xls, "not a readable .xls file; open and save it again, or export .csv"),
        (empty_file, "not a readable .xlsx file"),
        (wrong_columns, "no header row with the column OffsetFrame; is this the right sheet?"),
    ],
)
def test_sheets_that_cannot_be_read(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    casme2(tmp_path, ROW)
    spoil(tmp_path)
    with pytest.raises(MerError) as caught:
        read_dataset(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def merged(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet["A3"] = None
        sheet.merge_cells("A2:A3")

    edited(raw, edit)


def two_headers(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet.insert_rows(1)
        for column in "ABHI":
            sheet[f"{column}1"], sheet[f"{column}2"] = sheet[f"{column}2"].value, None
        sheet["D1"] = "Frames"
        sheet.merge_cells("D1:F1")

    edited(raw, edit)


def header_again(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet.insert_rows(3)
        for index, cell in enumerate(CASME2_HEADER, 1):
            sheet.cell(3, index, cell)

    edited(raw, edit)


def formula(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet["E2"] = "=D2+3"

    edited(raw, edit)


def not_whole(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet["E2"] = 5.5

    edited(raw, edit)


def full_width(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet["D2"], sheet["E2"], sheet["H2"] = "２", " ５", "４，７"

    edited(raw, edit)


def as_csv(raw: Path, text: str, encoding: str) -> None:
    (raw / CASME2_SHEET).unlink()
    (raw / "CASME2-coding.csv").write_bytes(text.encode(encoding))


def csv_rows(separator: str = ",", remark: str = "") -> str:
    lines = [CSV_HEADER + ",remark", f"01,a,2,5,9,4+7,disgust,{remark}", f"01,b,2,5,9,4+7,disgust,{remark}"]
    return "\r\n".join(lines).replace(",", separator)


def subject_absent(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        sheet["A4"], sheet["B4"] = None, "in all 2 clips"

    edited(raw, edit)


def twice(raw: Path) -> None:
    def edit(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
        for column in "ABDEFHI":
            sheet[f"{column}4"] = sheet[f"{column}3"].value

    edited(raw, edit)


def mixed_padding(raw: Path) -> None:
    folder = raw / "CASME2-RAW/sub01/a"
    for number in (1, 5, 9):
        (folder / f"img{number}.jpg").rename(folder / f"img{number:03d}.jpg")


@pytest.mark.parametrize(
    ("spoil", "problems"),
    [
        pytest.param(merged, [("", "subject", "merged cells; each of them was given the value")], id="merged cells"),
        pytest.param(two_headers, [], id="two header rows are read as one"),
        pytest.param(header_again, [("", "header", "a header again; left out")], id="a header again"),
        pytest.param(formula, [("casme2/01/a", "apex", "a formula whose value is not stored")], id="formula"),
        pytest.param(not_whole, [("casme2/01/a", "apex", "not a whole number; read as absent")], id="not whole"),
        pytest.param(full_width, [], id="full-width commas and digits"),
        pytest.param(lambda raw: as_csv(raw, csv_rows(remark="备注，无"), "gbk"), [], id="GBK"),
        pytest.param(lambda raw: as_csv(raw, csv_rows(), "utf-8-sig"), [], id="UTF-8 with a mark"),
        pytest.param(lambda raw: as_csv(raw, csv_rows("\t"), "utf-16"), [], id="Excel's Unicode text"),
        pytest.param(lambda raw: as_csv(raw, csv_rows(";"), "utf-8"), [], id="semicolons"),
        pytest.param(lambda raw: as_csv(raw, csv_rows("，"), "gbk"), [], id="full-width separators"),
        pytest.param(subject_absent, [("", "subject", "a row without subject; left out")], id="a sum at the end"),
        pytest.param(twice, [("casme2/01/b", "clip", "this clip stands in an earlier row too")], id="duplicate clip"),
        pytest.param(mixed_padding, [], id="mixed padding"),
    ],
)
def test_sheets_and_folders_that_are_read_anyway(
    tmp_path: Path, spoil: Callable[[Path], None], problems: list[tuple[str, str, str]]
) -> None:
    casme2(tmp_path, ROW, ("01", "b", *ROW[2:]))
    spoil(tmp_path)
    found = read_dataset(tmp_path)
    assert [(p.clip, p.field) for p in found.problems] == [problem[:2] for problem in problems]
    for problem, (_, _, reason) in zip(found.problems, problems, strict=True):
        assert problem.reason.startswith(reason)
        assert problem.row is not None
        assert CASME2_SHEET in problem.sheet
    assert [clip.clip_id for clip in found.clips] == ["casme2/01/a", "casme2/01/b"]
    apex = None if any(problem[1] == "apex" for problem in problems) else 4
    assert [points(clip) for clip in found.clips] == [(1, apex, 8), (1, 4, 8)]
    assert [sorted(clip.aus.numbers) for clip in found.clips if clip.aus] == [[4, 7], [4, 7]]


def loop(folder: Path) -> str:
    folder.symlink_to(folder)
    return "a symbolic link that leads round in a circle"


def two_names(folder: Path) -> str:
    frames(folder, range(1, 20))
    (folder / "img007.jpg").touch()
    return "have the same number"


def no_frames(folder: Path) -> str:
    folder.mkdir()
    (folder / "notes.txt").touch()
    return "no frames in this folder"


def dangling(folder: Path) -> str:
    folder.symlink_to("nowhere")
    return "a symbolic link that leads nowhere"


@pytest.mark.parametrize("spoil", [loop, two_names, no_frames, dangling])
def test_folders_of_one_clip(tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    casme2(tmp_path, ROW, ("01", "b", *ROW[2:]))
    folder = tmp_path / "CASME2-RAW/sub01/b"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    message = spoil(folder)
    found = read_dataset(tmp_path)
    assert told(found) == [("casme2/01/b", "frames", str(folder))]
    assert message in found.problems[0].reason
    assert message in str(found.clips[1].fault)


def test_other_files_between_frames(tmp_path: Path) -> None:
    casme2(tmp_path, ROW)
    for name in ("Thumbs.db", ".img3.jpg.part", ".hidden7.jpg", "cover.jpg", "img4.txt"):
        (tmp_path / "CASME2-RAW/sub01/a" / name).touch()
    found = read_dataset(tmp_path)
    assert (points(found.clips[0]), found.problems) == ((1, 4, 8), ())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda raw: None, "no such folder; give the raw folder"),
        (lambda raw: raw.touch(), "a file, not a folder"),
        (lambda raw: raw.symlink_to(raw), "a symbolic link that leads nowhere or round in a circle"),
        (lambda raw: raw.mkdir(), "the folder is empty; check the download"),
        (
            lambda raw: frames(raw / "CASME2-RAW/sub01/EP02_01f", [1]),
            "nearest is CASME II, whose layout is CASME2-coding-20190701.xlsx beside "
            "CASME2-RAW/sub01/EP02_01f/img46.jpg; missing here: the sheet CASME2-coding-20190701.xlsx",
        ),
        (
            lambda raw: frames(raw / "part_A/spNO.1/b/color", [1]),
            "nearest is CAS(ME)^3 part A",
        ),
        (lambda raw: frames(raw / "x", [1]), "near to none; known are CASME II, SAMM, MMEW"),
        (
            lambda raw: [book(raw / "MMEW.xlsx", ("a", [])), book(raw / CASME2_SHEET, ("a", []))],
            "may be casme2 by the sheet CASME2-coding-20190701.xlsx or mmew by the sheet MMEW.xlsx; "
            "say which with --dataset casme2",
        ),
    ],
    ids=["absent", "file", "loop", "empty", "no sheet", "no sheet 2", "strange", "two sets"],
)
def test_folders_that_are_no_dataset(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "raw")
    with pytest.raises(MerError) as caught:
        read_dataset(tmp_path / "raw")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dataset_by_name(tmp_path: Path) -> None:
    casme2(tmp_path, ROW)
    assert read_dataset(tmp_path, "casme2").dataset == "casme2"
    with pytest.raises(MerError, match="unknown dataset 'casme9'; known are casme2, samm, mmew, smic, casme-sq"):
        read_dataset(tmp_path, "casme9")
    with pytest.raises(MerError, match="no coding sheet; put SAMM_Micro_FACS_Codes_v2"):
        read_dataset(tmp_path, "samm")


def test_ten_planted_faults_are_exactly_what_is_found(tmp_path: Path) -> None:
    good = [("02", f"EP{n:02d}", 2, 5, 9, "4+7", "disgust") for n in range(30)]
    bad = [
        ("01", "a", 2, 1, 9, "4", "disgust"),  # apex before onset
        ("01", "b", 2, 15, 9, "4", "disgust"),  # apex after offset
        ("01", "c", 2, "/", 9, "4", "disgust"),  # no apex
        ("01", "d", 2, "five", 9, "4", "disgust"),  # not a number
        ("01", "e", 9, 10, 2, "4", "disgust"),  # onset after offset
        ("01", "f", 2, 5, 21, "4", "disgust"),  # outside the frames
        ("01", "g", 2, 5, 9, "4+smile", "disgust"),  # no Action Unit
        ("01", "h", 2, 5, 9, "4", "digsust"),  # no emotion
        ("02", "EP07", 2, 5, 9, "4", "disgust"),  # twice
        ("01", "j", 2, 5, 9, "4", "disgust"),  # no frames
    ]
    casme2(tmp_path, *good, *bad)
    folder = tmp_path / "CASME2-RAW/sub01/j"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    found = read_dataset(tmp_path)
    assert sorted(p.row or 0 for p in found.problems) == list(range(32, 42)), "one problem a planted fault"
    fields = {p.row: p.field for p in found.problems}
    assert [fields[row] for row in range(32, 42)] == [
        "apex", "apex", "apex", "apex", "onset", "offset", "aus", "emotion", "clip", "frames",
    ]  # fmt: skip
    assert len(found.clips) == 39
    assert sum(clip.fault is None for clip in found.clips) == 36


def test_old_xls(tmp_path: Path) -> None:
    made = xlwt.Workbook()
    sheet = made.add_sheet("MICRO_ONLY")
    header = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion")
    for column, cell in enumerate(header):
        sheet.write(2, column, cell)
    for column, cell in enumerate(("006", "006_1_2", 3, 5, 9, "A12B", "Happiness")):
        sheet.write(3, column, cell)
    sheet.write_merge(0, 0, 0, 5, "SAMM")
    made.save(str(tmp_path / "SAMM_Micro_FACS_Codes_v2.xls"))
    frames(tmp_path / "SAMM/006/006_1_2", range(1, 12), "006_{:03d}.jpg")
    found = read_dataset(tmp_path)
    assert (points(found.clips[0]), found.problems) == ((2, 4, 8), ())


def with_part(path: Path, part: str, change: Callable[[bytes], bytes]) -> None:
    """A workbook one of whose parts is changed."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, change(content) if name == part else content)


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        pytest.param(SHEET, lambda _: bytes(200 << 20), "larger than 64 MiB when unpacked", id="zip bomb"),
        pytest.param(SHEET, lambda xml: xml[: len(xml) // 2], "not a readable .xlsx file", id="XML cut short"),
        pytest.param(
            SHEET, lambda xml: xml.replace(b'r="A2"', b'r="ZZZZ99"'), "not a readable .xlsx", id="no such cell"
        ),
        pytest.param("xl/workbook.xml", lambda xml: b"<x/>", "no header row|not a readable", id="no sheet"),
        pytest.param("[Content_Types].xml", lambda xml: b"", "not a readable .xlsx file", id="no types"),
        pytest.param(
            SHEET, lambda xml: xml.replace(b'r="I2"', b'r="XFD2"'), "a sheet of more than", id="a cell far to the right"
        ),
    ],
)
def test_a_hostile_workbook_is_one_line(tmp_path, part, change, message):
    raw = casme2(tmp_path, ROW)
    with_part(raw / CASME2_SHEET, part, change)
    with pytest.raises(MerError, match=message):
        read_dataset(raw, "casme2")


def test_merged_cells_of_a_whole_sheet_are_spread_no_farther_than_its_cells(tmp_path):
    raw = casme2(tmp_path, ROW)
    merged = b'</sheetData><mergeCells><mergeCell ref="J1:XFD1048576"/><mergeCell ref="A2:A1048576"/></mergeCells>'
    with_part(raw / CASME2_SHEET, SHEET, lambda xml: xml.replace(b"</sheetData>", merged))
    assert len(read_dataset(raw, "casme2").clips) == 1


def test_a_blank_cell_in_the_last_row_costs_nothing(tmp_path):
    raw = casme2(tmp_path, ROW)
    far = b'<row r="1048576"><c r="XFD1048576"/></row></sheetData>'
    with_part(raw / CASME2_SHEET, SHEET, lambda xml: xml.replace(b"</sheetData>", far))
    assert len(read_dataset(raw, "casme2").clips) == 1


@pytest.mark.parametrize("clip", ["../private", "/etc/passwd", "a/../../private", "..\\private", ".."])
def test_a_clip_outside_the_folder_is_left_out(tmp_path, clip):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "1.png").touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "clips.csv").write_text(f"clip,subject\n{clip},a\n")
    found = read_dataset(tmp_path / "own", "own")
    assert found.clips == ()
    assert [problem.reason for problem in found.problems] == ["lies outside the folder; left out"]
    with pytest.raises(MerError, match=r"no row names a clip .*lies outside the folder"):
        preprocess(found, tmp_path / "cache")


def test_a_sheet_that_is_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "own").mkdir()
    os.mkfifo(tmp_path / "own" / "clips.csv")
    with pytest.raises(MerError, match="not a file"):
        read_dataset(tmp_path / "own", "own")
