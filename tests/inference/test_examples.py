"""The scripts that users copy run, and say what `mer` says."""

import csv
import importlib.util
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
    assert (tmp_path / "out" / "expression.png").is_file()
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
