"""The recipes of docs/extending.md are code that works with the rooms as they are."""

import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import torch

from mer_pipeline.datasets.corrections import Corrections

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")


def recipe(title):
    """The names that a recipe's new file defines."""
    (code,) = re.findall(rf'```python title="{re.escape(title)}"\n(.*?)```', PAGE, re.DOTALL)
    namespace = {"__name__": title}
    exec(compile(code, title, "exec"), namespace)
    return SimpleNamespace(**namespace)


def test_the_page_has_five_recipes():
    assert re.findall(r"^## A (?:face )?(\w+) \(", PAGE, re.MULTILINE) == [
        "dataset", "network", "command", "detector", "protocol",
    ]  # fmt: skip


def test_a_dataset(tmp_path):
    reader = recipe("mer_pipeline/datasets/mylab.py").READER
    pd.DataFrame(
        {
            **{"Participant": ["s01"], "Clip": ["c01"], "Emotion": ["happiness"]},
            **{"Onset": [1], "Apex": [2], "Offset": [3], "AU": ["12"]},
        }
    ).to_excel(tmp_path / "mylab-annotations.xlsx", index=False)
    frames = tmp_path / "frames" / "s01" / "c01"
    frames.mkdir(parents=True)
    for number in (1, 2, 3):
        cv2.imwrite(str(frames / f"{number:04d}.png"), np.zeros((8, 8, 3), np.uint8))
    assert reader.recognise(tmp_path)
    found = reader.read(tmp_path, Corrections())
    assert [(clip.clip_id, clip.emotion, clip.fault) for clip in found.clips] == [("mylab/s01/c01", "happiness", None)]


def test_a_network():
    network = recipe("mer_pipeline/networks/mynet.py").MyNet(5, 32)
    output = network.run({"onset": torch.zeros(2, 3, 32, 32), "apex": torch.ones(2, 3, 32, 32)})
    assert output.logits.shape == (2, 5)


def test_a_command(raw, capsys):
    count = recipe("mer_pipeline/cli/count.py").count
    count(raw)
    assert capsys.readouterr().out == "15 clips of casme2\n"
    count(raw, as_json=True)
    assert '"clips": 15' in capsys.readouterr().out


def test_a_face_detector():
    (face,) = recipe("mer_pipeline/faces/middle.py").middle(np.zeros((100, 200, 3), np.uint8))
    assert face.points_xy.tolist() == [[50.0, 25.0], [150.0, 75.0]]
