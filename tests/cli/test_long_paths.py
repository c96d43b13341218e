"""A path that is longer than any path may be is one line."""

import pytest

LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", LONG],
        ["preprocess", LONG, "--out", "cache"],
        ["spot", LONG],
        ["report", LONG],
        ["compare", LONG, LONG],
        ["synth", LONG],
        ["export", LONG],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_path_of_300_characters_is_one_line(mer, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    called = mer(*arguments)
    assert called.code == 1
    (line,) = called.error_lines
    assert line.startswith(f"error: {LONG}")
    assert line.endswith(": longer than a path may be; check the path")
