"""What coders mark is kept, read back as a dataset and by ELAN's reader, and nobody else's table is written over."""

import json
import re
import socket
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_pipeline.apps.annotate import candidates
from mer_pipeline.apps.annotate.book import Book, Conflict
from mer_pipeline.apps.annotate.candidates import Spotter
from mer_pipeline.apps.annotate.films import Films
from mer_pipeline.apps.annotate.page import make_app
from mer_pipeline.apps.annotate.pictures import FilmFrames
from mer_pipeline.apps.annotate.work import CodedFilm, Entry
from mer_pipeline.cache import Store
from mer_pipeline.datasets import read_dataset
from mer_pipeline.datasets.coders import read_codings
from mer_pipeline.errors import MerError
from mer_pipeline.spotting.result import Event, Interval, Spotting, Timeline
from mer_pipeline.video import FOR_MEASURING, VideoWriter

from . import asgi

MARKS = (
    Entry("micro", "accepted", 7, 11, 16, "disgust", "4+l12b", "=sure"),
    Entry("macro", "accepted", 20, 40, 71, "happiness", "6+12"),
    Entry("micro", "rejected", 30, 34, 38, "surprise", "1+2"),
    Entry("micro", "accepted", 80, 84, 90, "my own", "4+"),
    Entry("micro", "open", 92, 94, 97),
)


def film(path: Path, frames: int = 100, fps: int = 30) -> Path:
    """A film whose halves show the digits of the frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, Fraction(fps), FOR_MEASURING) as writer:
        for at in range(frames):
            tens, ones = at // 10 % 10, at % 10
            writer.write(
                np.repeat(np.array([[[20 * tens]], [[20 * ones]]], np.uint8), 24, 0).repeat(64, 1).repeat(3, 2)
            )
    return path


def shown(picture) -> int:
    """Which frame of such a film a picture is of."""
    return round(picture[2:22].mean() / 20) * 10 + round(picture[26:46].mean() / 20)


@pytest.fixture(scope="module")
def one_film(tmp_path_factory):
    return film(tmp_path_factory.mktemp("film") / "talk.mp4")


@pytest.fixture
def folder(one_film, tmp_path):
    """Two people's films of one name."""
    for person in ("p1", "p2"):
        (tmp_path / "lab" / person).mkdir(parents=True)
        (tmp_path / "lab" / person / "talk.mp4").symlink_to(one_film)
    return tmp_path / "lab"


def test_what_is_marked_is_a_dataset_and_an_eaf_file(folder):
    films = Films(folder)
    book = Book(films)
    for name in films.names:
        book.save("Anna", films.film(name), CodedFilm(writer="a", entries=MARKS))
    found = read_dataset(folder)
    assert (found.dataset, found.subjects) == ("lab", ["p1", "p2"])
    micro, doubtful = (clip for clip in found.clips if clip.subject == "p1")
    assert (micro.onset_frame, micro.apex_frame, micro.offset_frame, micro.emotion) == (7, 11, 16, "disgust")
    assert (str(micro.aus), micro.fps, micro.source) == ("4+L12B", 30.0, folder / "p1" / "talk.mp4")
    assert [(clip.onset_frame, clip.emotion) for clip in found.macro] == [(20, "happiness")] * 2
    # What is no Action Unit stays as it was typed, for the reader to report with its row.
    assert (doubtful.aus, doubtful.emotion) == (None, "my own")
    assert {problem.value for problem in found.problems} == {"4+"}
    eaf = folder / "annotations" / "Anna" / "p1" / "talk.eaf"
    relative = re.search('RELATIVE_MEDIA_URL="(.*?)"', eaf.read_text())[1]
    assert (eaf.parent / relative).resolve() == (folder / "p1" / "talk.mp4").resolve()
    (coding,) = read_codings(eaf)
    assert [(mark.kind, mark.span, mark.apex_frame, mark.aus) for mark in coding.marks] == [
        ("micro", (7, 16), 11, "4+L12B"), ("macro", (20, 71), 40, "6+12"), ("micro", (80, 90), 84, "4+"),
    ]  # fmt: skip
    assert (coding.subject, coding.frames) == ("p1", 100)
    text = (folder / "clips.csv").read_text()
    assert "'=sure" in text, "no spreadsheet program computes a note"
    assert {path.stat().st_mode & 0o777 for path in (folder / "annotations").rglob("*") if path.is_file()} == {0o600}


def test_frames_of_a_folder_go_by_the_numbers_in_their_names(tmp_path):
    frames = tmp_path / "lab" / "p1" / "smile"
    frames.mkdir(parents=True)
    for number in range(101, 131):
        cv2.imwrite(str(frames / f"img{number}.png"), np.full((32, 48, 3), number, np.uint8))
    with pytest.raises(MerError, match="does not say its rate; start mer annotate with --fps"):
        Films(tmp_path / "lab").film("p1/smile")
    films = Films(tmp_path / "lab", fps=100)
    Book(films).save("Anna", films.film("p1/smile"), CodedFilm(entries=(Entry("micro", "accepted", 2, 5, 9),)))
    (clip,) = read_dataset(tmp_path / "lab").clips
    assert (clip.onset_frame, clip.apex_frame, clip.offset_frame, clip.fps) == (2, 5, 9, 100)
    assert ",103,106,110," in (tmp_path / "lab" / "clips.csv").read_text()


def test_the_table_of_the_folder_is_one_coders(folder):
    films = Films(folder)
    book = Book(films)
    talk = films.film("p1/talk.mp4")
    book.save("Anna", talk, CodedFilm(entries=MARKS[:1]))
    book.save("Ben", talk, CodedFilm(entries=MARKS[1:2]))
    assert (book.owner(), book.coders()) == ("Anna", ["Anna", "Ben"])
    assert "Ben" in (folder / "annotations" / "Ben" / "clips.csv").read_text()
    book.make_dataset("Ben")
    assert (book.owner(), "Anna" in (folder / "clips.csv").read_text()) == ("Ben", False)


def test_a_table_that_was_edited_by_hand_is_kept(folder):
    films = Films(folder)
    book, talk = Book(films), films.film("p1/talk.mp4")
    first = book.save("Anna", talk, CodedFilm(entries=MARKS[:1]))
    again = book.save("Anna", talk, replace(first, entries=MARKS[:2]))
    assert not (folder / "clips.csv.edited").exists()
    edited = (folder / "clips.csv").read_text().replace("disgust", "contempt")
    (folder / "clips.csv").write_text(edited)
    book.save("Anna", talk, replace(again, entries=MARKS[:1]))
    assert (folder / "clips.csv.edited").read_text() == edited
    assert "disgust" in (folder / "clips.csv").read_text()


def test_two_pages_do_not_write_over_each_other(folder):
    films = Films(folder)
    book, talk = Book(films), films.film("p1/talk.mp4")
    first = book.save("Anna", talk, CodedFilm(writer="a", entries=MARKS[:1]))
    with pytest.raises(Conflict, match=r"p1/talk.mp4: was changed in another page"):
        book.save("Anna", talk, CodedFilm(writer="b", entries=MARKS[1:2]))
    # The answer to a change may be lost: its page sends the next one all the same.
    again = book.save("Anna", talk, CodedFilm(writer="a", entries=MARKS[:2]))
    assert (first.revision, again.revision) == (1, 2)
    assert book.work("Anna", "p1/talk.mp4") == again


def test_what_a_killed_server_had_not_written_is_written_at_the_next_start(folder):
    films = Films(folder)
    Book(films).save("Anna", films.film("p1/talk.mp4"), CodedFilm(entries=MARKS[:1]))
    whole = (folder / "clips.csv").read_text()
    eaf = folder / "annotations" / "Anna" / "p1" / "talk.eaf"
    eaf.unlink()
    (folder / "clips.csv").unlink()
    Book(films)
    assert (folder / "clips.csv").read_text() == whole
    assert read_codings(eaf)[0].marks[0].span == (7, 16)


def test_candidates_join_what_was_marked_before():
    def spotted(onset, apex, offset):
        return Interval.at((onset, apex, offset), 30.0, "micro", 1.0, 1.0, ("blink",))

    work = CodedFilm(entries=(Entry("micro", "open", 1, 2, 3, spotted=(1, 2, 3)), *MARKS[:2]))
    moved = Entry("micro", "accepted", 50, 52, 60, spotted=(49, 52, 60))
    found = CodedFilm(entries=(*work.entries, moved)).with_candidates([spotted(49, 52, 60), spotted(5, 5, 5)])
    # One that is no longer spotted goes while it is open; a moved one is the same; an apex lies after its onset.
    assert [each.frames for each in found.entries] == [(5, 6, 6), (7, 11, 16), (20, 40, 71), (50, 52, 60)]
    assert (found.entries[0].flags, found.counts()) == ("blink", {"open": 1, "accepted": 3, "rejected": 0})
    assert CodedFilm.from_json(json.loads(json.dumps(found.as_json()))) == found


WRONG = [
    pytest.param({"onset_frame": 11}, "expected onset < apex <= offset", id="onset at the apex"),
    pytest.param({"offset_frame": 10}, "expected onset < apex <= offset", id="offset before the apex"),
    pytest.param({"kind": "blink"}, "must be one of 'macro', 'micro'", id="no kind"),
    pytest.param({"status": "maybe"}, "must be one of", id="no status"),
    pytest.param({"emotion": "=1+1"}, "an emotion begins with a letter", id="a formula"),
    pytest.param({"note": "a\nb"}, "one line of text", id="two lines"),
    pytest.param({"onset_frame": "7"}, "must be of type int", id="text for a frame"),
    pytest.param({"spotted": [1, 2]}, "must have 3 parts", id="two frames"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_a_page_must_not_send(change, message):
    values = CodedFilm(entries=MARKS[:1]).as_json()
    values["entries"][0].update(change)
    with pytest.raises(ValueError, match=re.escape(message)):
        CodedFilm.from_json(values)


class Server:
    """The application without a network: a request gives status, headers and body."""

    def __init__(self, folder, spotter=None):
        self.films, self.pictures = Films(folder), FilmFrames()
        book, spotter = Book(self.films), spotter or Spotter(self.films, None)
        self.app = make_app(self.films, book, spotter, self.pictures, "secret")

    def __call__(self, path, content=None, host="127.0.0.1", kind="application/json", method=None):
        method = method or ("GET" if content is None else "PUT")
        given = [("content-type", kind)]
        status, headers, body, _ = asgi.ask(self.app, path, headers=given, method=method, end=content or b"", host=host)
        return status, headers, json.loads(body) if headers.get("content-type") == "application/json" else body

    def put(self, number, work, coder="Anna"):
        return self(f"/secret/films/{number}?coder={coder}", json.dumps(work.as_json()).encode())


@pytest.fixture
def server(folder):
    made = Server(folder)
    yield made
    made.pictures.close()


def test_a_picture_is_of_the_exact_frame(server):
    for frame in (99, 0, 17, 50, 16, 15, 98, 48):
        status, headers, content = server(f"/secret/films/0/frames/{frame}.jpg")
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert (status, headers["content-type"], picture.shape) == (200, "image/jpeg", (48, 64, 3))
        assert shown(picture) == frame
    assert server("/secret/films/0/frames/100.jpg")[2] == {"error": "p1/talk.mp4: frame 100 is outside 0..99"}


def test_a_change_is_kept_and_given_back(server, folder):
    status, _, answer = server.put(0, CodedFilm(writer="a", subject="Lea", entries=MARKS))
    assert (status, answer["revision"], answer["owner"], list(answer["wrong"])) == (200, 1, "Anna", ["4+"])
    _, _, found = server("/secret/films/0?coder=Anna")
    assert (found["frames"], found["fps"], found["person"]) == (100, 30.0, "p1")
    assert CodedFilm.from_json(found["work"]) == CodedFilm(1, "a", "Lea", MARKS)
    _, _, listed = server("/secret/films?coder=Anna")
    first = {"name": "p1/talk.mp4", "open": 1, "accepted": 3, "rejected": 1}
    assert {**listed["films"][0], "candidates": None} == {**first, "candidates": None}
    assert (listed["coders"], listed["owner"]) == (["Anna"], "Anna")
    assert {clip.subject for clip in read_dataset(folder).clips} == {"Lea"}


def test_two_coders_agree(server):
    assert server("/secret/agreement?first=Anna&second=Ben")[2]["error"].startswith("Anna, Ben: no film that both")
    server.put(0, CodedFilm(entries=MARKS[:2]))
    moved = Entry("micro", "accepted", 10, 11, 16)
    server.put(0, CodedFilm(entries=(moved, MARKS[1], MARKS[4])), "Ben")
    _, _, found = server("/secret/agreement?first=Anna&second=Ben")
    assert found["open"] == 1
    assert found["all"] == found["films"]["p1/talk.mp4"]
    assert found["all"]["scores"]["all"]["f1"] == 1
    assert found["all"]["errors"]["onset"] == {"intervals": 2, "mean_ms": 50.0, "absolute_ms": 50.0}
    assert 0.9 < found["all"]["kappa"]["any"] < 1
    _, _, taken = server("/secret/dataset?coder=Ben", b"", method="PUT")
    assert taken == {"owner": "Ben"}


def test_action_units_are_read_as_they_are_typed(server):
    words = ["4: Brow lowerer", "L12B: Lip corner puller"]
    assert server("/secret/aus?text=4%2Bl12b")[2] == {"words": words}
    assert "is not Action Unit notation" in server("/secret/aus?text=4%2Bsmile")[2]["error"]


REFUSED = [
    pytest.param({"path": "/films/0?coder=Anna"}, 404, id="without the secret"),
    pytest.param({"path": "/wrong/films/0?coder=Anna"}, 404, id="a wrong secret"),
    pytest.param({"path": "/secret/facts", "host": "elsewhere.example"}, 400, id="a foreign name"),
    pytest.param({"path": "/secret/films/0?coder=Anna", "content": b"{}", "kind": "text/plain"}, 415, id="a form"),
    pytest.param({"path": "/secret/films/0?coder=Anna", "content": b"{}"}, 422, id="no marks"),
    pytest.param({"path": "/secret/films/0?coder=Anna", "content": b"[" * 9000}, 422, id="no JSON"),
    pytest.param({"path": "/secret/films/0?coder=Anna", "content": bytes(9 << 20)}, 413, id="too large"),
    pytest.param({"path": "/secret/films/0?coder=..%2F..%2Fx"}, 422, id="a path for a coder"),
    pytest.param({"path": "/secret/films/9?coder=Anna"}, 422, id="no such film"),
    pytest.param({"path": "/secret/..%2Fpage.py"}, 404, id="no such file"),
    pytest.param({"path": "/secret/page.py"}, 404, id="a file of the program"),
]


@pytest.mark.parametrize(("asked", "status"), REFUSED)
def test_what_is_refused(server, folder, asked, status):
    assert server(**asked)[0] == status
    assert not (folder / "annotations" / "Anna").exists()


def test_a_mark_outside_the_film_is_refused(server):
    status, _, answer = server.put(0, CodedFilm(entries=(Entry("micro", "accepted", 90, 95, 100),)))
    assert (status, answer["error"]) == (422, "p1/talk.mp4: a mark ends after the last frame, 99")


def test_a_film_that_cannot_be_read_is_one_line_and_the_others_go_on(folder):
    (folder / "p1" / "broken.mp4").write_text("no video")
    server = Server(folder)
    status, _, answer = server("/secret/films/0?coder=Anna")
    assert status == 422
    assert answer["error"].startswith("p1/broken.mp4: not a readable video")
    assert server.put(1, CodedFilm(entries=MARKS[:1]))[0] == 200


class NoModels:
    """A detector that cannot be opened."""

    identity = ("none",)

    def open(self):
        raise MerError("no models", fix="run mer setup")


def test_what_was_spotted_is_there_at_the_next_start(folder, one_film):
    """And a film in which nothing can be spotted is one line, and does not hold up the others."""
    film(folder / "p1" / "another.mp4", frames=20)
    films, detector = Films(folder), NoModels()
    found = Spotting(
        "", 30.0, 100, intervals=[Interval.at((10, 14, 20), 30.0, "micro", 1.0, 2.0, ("blink",))],
        events=[Event("blink", 12, 15)], warnings=["30 fps"],
        timeline=Timeline(np.arange(2.0), np.array([0.5, np.nan])),
    )  # fmt: skip
    candidates._write(
        Store(folder / "annotations" / ".spotted"), candidates._key(films.film("p1/talk.mp4"), detector), found
    )
    spotter = Spotter(films, detector)
    spotter.start()
    for _ in range(500):
        if {spotter.of(name).state for name in films.names} <= {"done", "failed"}:
            break
        time.sleep(0.01)
    server = Server(folder, spotter)
    failed = server("/secret/films/0?coder=Anna")[2]["candidates"]
    assert (failed["state"], failed["error"]) == ("failed", "p1/another.mp4: no models; run mer setup")
    shown = server("/secret/films/1?coder=Anna")[2]
    assert (shown["energy"], shown["events"], shown["warnings"]) == ([0.5, None], [["blink", 12, 15]], ["30 fps"])
    (entry,) = shown["work"]["entries"]
    assert (entry["status"], entry["spotted"], entry["flags"]) == ("open", [10, 14, 20], "blink")


def test_the_page_loads_nothing_from_elsewhere(server):
    for name in ("", "page.css", "page.js", "marks.js"):
        status, headers, content = server(f"/secret/{name}")
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert set(re.findall(r"https?://[^\s\"']+", content.decode())) <= {"http://www.w3.org/2000/svg"}


def _luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_contrast(server, dark):
    """At least 4.5 to 1, as WCAG 2.1 asks for."""
    style = server("/secret/page.css")[2].decode()
    inside = "".join(re.findall(r"@media \(prefers-color-scheme: dark\) \{ :root \{(.*?)\}", style, re.DOTALL))
    outside = re.sub(r"@media \(prefers-color-scheme: dark\) \{.*?\} \}", "", style, flags=re.DOTALL)
    known = dict(re.findall(r"--([\w-]+): (#\w+)", outside))
    known |= dict(re.findall(r"--([\w-]+): (#\w+)", inside)) if dark else {}
    full = {n: c if len(c) == 7 else "#" + "".join(2 * letter for letter in c[1:]) for n, c in known.items()}
    pairs = [("on-accent", "accent"), ("soft", "back")]
    pairs += [(name, "paper") for name in ("ink", "soft", "bad", "accepted", "rejected")]
    for text, ground in pairs:
        light, less = sorted((_luminance(full[text]), _luminance(full[ground])), reverse=True)
        assert (light + 0.05) / (less + 0.05) >= 4.5, (text, ground)


BAD = [
    pytest.param(lambda lab: lab / "absent", [], "absent: no such folder", id="no folder"),
    pytest.param(lambda lab: lab / "empty", [], "no film in this folder; expected videos (.mp4,", id="no film"),
    pytest.param(lambda lab: lab, ["--coder", "../x"], "'../x' is no name for a coder", id="a path for a coder"),
]


@pytest.mark.parametrize(("place", "options", "message"), BAD)
def test_bad_input_is_one_line(mer, folder, place, options, message):
    (folder / "empty").mkdir()
    called = mer("annotate", place(folder), "--no-candidates", "--port", 0, *options)
    assert (called.code, len(called.error_lines)) == (1, 1)
    assert message in called.err


OTHERS = [
    pytest.param("clips.csv", "clip,emotion\na.mp4,fear\n", id="a table of the user's own"),
    pytest.param("clips.xlsx", "no matter what", id="a spreadsheet"),
]


@pytest.mark.parametrize(("name", "content"), OTHERS)
def test_a_table_of_another_kind_is_not_written_over(mer, folder, name, content):
    (folder / name).write_text(content)
    called = mer("annotate", folder, "--no-candidates", "--port", 0)
    assert (called.code, len(called.error_lines)) == (1, 1)
    assert f"{name}: was not written by mer annotate, and would be written over; move it away" in called.err
    assert (folder / name).read_text() == content


def test_a_folder_that_may_not_be_written_is_one_line(mer, folder):
    (folder / "annotations").write_text("in its place")
    called = mer("annotate", folder, "--no-candidates", "--port", 0)
    assert (called.code, len(called.error_lines)) == (1, 1)
    assert "annotations: cannot be written (a file has this name); check permissions and free space" in called.err


def test_a_taken_port_is_one_line(mer, folder):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        called = mer("annotate", folder, "--no-candidates", "--port", port)
    assert (called.code, len(called.error_lines)) == (1, 1)
    assert f"127.0.0.1:{port}: cannot listen (Address already in use); choose another --port" in called.err
