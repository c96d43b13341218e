"""The rate of the generator is that of the fields it makes."""

from benchmarks import generator
from benchmarks.generator import WAYS, main


def test_every_field_is_counted(monkeypatch, capsys):
    made = []
    monkeypatch.setitem(WAYS, "drawn", (lambda seed, clips: made.append(clips), 40, 2000))
    monkeypatch.setattr(generator, "_timed", lambda work: (work(), 2.0)[1])
    taken = generator._make(("drawn", 0, 3))
    assert (taken, made) == (2.0, [10, 40, 40, 40])


def test_the_report_has_a_row_for_each_way(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(generator, "measured", lambda way, count, batches: generator.Rate(way, count, 1234.4, 50))
    assert main(["--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "| drawn | 1 | 1,234 | 50 |" in text
    assert "| computed | 1 | 1,234 | 50 |" in text
    assert [page.read_text() + "\n" for page in tmp_path.iterdir()] == [text]
