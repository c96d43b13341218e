"""The examples that users copy run, say what `mer` says, and use the library's door alone."""

import ast
import csv
import importlib.util
import json
import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest

from mer_pipeline.inference import Predictor
from mer_pipeline.inference.export import export

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sources():
    """Name -> Python text of every example."""
    found = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    for path in EXAMPLES.glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        found[path.name] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return found


def test_the_examples_use_the_door_alone():
    assert set(sources()) == {"library.py", "predict_folder.py", "onnx_alone.py", "compare_two_runs.ipynb"}
    for name, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("mer_pipeline"), name
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names if alias.name.startswith("mer_pipeline")]
                assert imported in ([], ["mer_pipeline"]), name


def test_library(raw, tmp_path, capsys, monkeypatch):
    script = example("library")
    # The set is there already: what writes it is tested elsewhere.
    asked = []
    monkeypatch.setattr(script.mer, "synthesise", lambda out, **given: (asked.append((out, given)), raw)[1])
    script.main(tmp_path, epochs=1)
    assert asked == [(tmp_path / "raw", {"subjects": 3, "clips": 5})]
    printed = capsys.readouterr().out
    assert printed.startswith("15 clips, {")
    assert "optimistic: epoch chosen on the test fold" in printed


def test_the_notebook_compares_two_runs_and_shows_pictures(raw, cache, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat, nbclient and ipykernel (extra dev)")
    nbclient = pytest.importorskip("nbclient", reason="needs nbformat, nbclient and ipykernel (extra dev)")
    # Set and cache are there already, as on a second run: what writes them is tested elsewhere.
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "raw").symlink_to(raw, target_is_directory=True)
    shutil.copytree(cache, tmp_path / "out" / "cache")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent), prepend=":")
    notebook = nbformat.read(EXAMPLES / "compare_two_runs.ipynb", as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source += '\nFOLDER, EPOCHS = Path("out"), 1'
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert "15 of 15 clips" in printed
    assert "95 % interval over subjects" in printed
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 3
    assert (tmp_path / "out" / "run-soa" / "report.html").is_file()


def test_predict_folder(raw, run, tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "a").symlink_to(next((raw / "CASME2-RAW" / "sub01").iterdir()), target_is_directory=True)
    (videos / "b.mp4").write_text("no video")
    example("predict_folder").main(videos, run, tmp_path / "out")
    with (tmp_path / "out" / "expressions.csv").open() as file:
        good, bad = csv.DictReader(file)
    assert good["emotion"]
    assert "not a readable video" in bad["error"]
    assert (tmp_path / "out" / "expression-a.png").is_file()
    assert "not a readable video" in capsys.readouterr().out


def test_onnx_alone(raw, run, tmp_path, capsys):
    row = pd.read_parquet(raw / "truth.parquet").iloc[0]
    clip = raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"]
    sights = []
    with Predictor(run, "cpu") as predictor:
        found = predictor(clip, fps=200, on_expression=sights.append).expressions[0]
        size = predictor.card.size
    export(run, tmp_path / "m.onnx")
    for name in ("onset", "apex"):
        crop = cv2.resize(getattr(sights[0], name), (size, size), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    example("onnx_alone").main(*(str(tmp_path / name) for name in ("m.onnx", "onset.png", "apex.png")))
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    # Not the very crops of the prediction, hence not the same digits.
    assert {name: float(p) for name, p in told.items()} == pytest.approx(found.probabilities, abs=0.1)
