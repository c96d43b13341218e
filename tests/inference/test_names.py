"""What is said of the model that judges, and of what it learnt from."""

import json

from mer_pipeline.datasets import read_dataset
from mer_pipeline.inference.load import load_model
from mer_pipeline.reports.page import write_report
from mer_pipeline.runs.run import Run


def test_the_mark_synthetic_travels_from_the_set_to_the_prediction(raw, run):
    assert read_dataset(raw).synthetic
    assert Run(run).facts.data.datasets == ["casme2 (synthetic)"]
    model = load_model(run, "cpu")
    assert model.card.datasets == ["casme2 (synthetic)"]
    assert model.notes[0] == "a demonstration model, trained on synthetic clips alone: its emotions mean nothing"
    assert "casme2 (synthetic)" in model.name
    assert f"UF1 {Run(run).metrics.honest['uf1']:.3f}" in model.name


def test_the_page_says_synthetic_in_its_title(run, tmp_path):
    page = write_report(run, tmp_path / "page.html").read_text()
    assert "on casme2 (synthetic)</title>" in page


def test_a_real_set_has_no_mark(raw, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in raw.iterdir():
        if path.name != "truth.parquet":
            (copy / path.name).symlink_to(path)
    assert not read_dataset(copy).synthetic


def test_the_shipped_model_says_what_it_scored():
    model = load_model(None)
    assert "UF1" in model.name
    assert json.loads(json.dumps(model.notes)) == []
