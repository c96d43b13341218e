"""No output of a command replaces what it reads, or another output."""

import pytest
import typer

from mer_pipeline.cli.common import check_outputs

SAME = [
    pytest.param({"--csv": "film.mp4"}, "film.mp4 would be replaced: it is read as an input", id="input"),
    pytest.param({"--csv": "link.mp4"}, "link.mp4 would be replaced: it is read as an input", id="link"),
    pytest.param({"--csv": "a.csv", "--boris": "in/../a.csv"}, "a.csv would be replaced: --csv is", id="outputs"),
]


@pytest.mark.parametrize(("outputs", "message"), SAME)
def test_an_output_that_is_another_file_is_refused(tmp_path, outputs, message):
    (tmp_path / "film.mp4").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    with pytest.raises(typer.BadParameter, match=message):
        check_outputs({name: tmp_path / path for name, path in outputs.items()}, [tmp_path / "film.mp4"])


def test_files_of_their_own_are_not_refused(tmp_path):
    (tmp_path / "a.csv").touch()
    outputs = {"--csv": tmp_path / "a.csv", "--boris": tmp_path / "b.csv", "--frames": None}
    check_outputs(outputs, [tmp_path, tmp_path / "absent.mp4"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
