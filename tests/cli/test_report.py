import json
import shutil


def test_a_page_is_written_into_the_run(mer, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    called = mer("report", tmp_path / "run")
    assert called.code == 0, called.err
    page = tmp_path / "run" / "report.html"
    assert f"report: {page}" in called.out
    assert page.stat().st_mode & 0o777 == 0o600
    assert 'class="heat"' in page.read_text()  # the cache that the run names is still there


def test_the_file_can_be_named_and_faces_are_announced(mer, run, cache, tmp_path):
    called = mer("report", run, "--out", tmp_path / "a.html", "--with-faces", "--cache", cache, "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out) == {"report": str(tmp_path / "a.html"), "faces": True}
    assert "data:image" in (tmp_path / "a.html").read_text()
    assert "shows faces" in mer("report", run, "--out", tmp_path / "b.html", "--with-faces").out


def test_wrong_calls(mer, run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.json").write_text("{}")
    cases = {
        ("report", tmp_path / "empty"): "not a run folder; give the folder that mer train wrote",
        ("report", tmp_path / "nowhere"): "no such folder; give the folder that mer train wrote",
        ("report", tmp_path / "begun"): "this run is not finished; finish it with the same mer train command",
        ("report", run, "--out", tmp_path / "a.pdf"): "a report is an HTML file; give a name that ends in .html",
        ("report", run, "--cache", tmp_path / "empty"): "no preprocessed dataset in this folder",
    }
    for arguments, message in cases.items():
        called = mer(*arguments)
        assert called.code == 1
        assert len(called.error_lines) == 1
        assert message in called.err
    assert mer("report").code == 2
