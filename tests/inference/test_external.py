import json

import pytest

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.inference.external import evaluate
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import synthesise


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A cache of drawn flow images: 3 people, 20 clips each."""
    folder = tmp_path_factory.mktemp("drawn")
    raw = synthesise(folder / "raw", layout="flow", subjects=3, clips=20, seed=77)
    preprocess(read_dataset(raw), folder / "cache", Parameters())
    return folder / "cache"


def test_the_shipped_model_is_tested_on_a_cache_with_action_units(drawn):
    found = evaluate(drawn)
    values = json.loads(json.dumps(found.as_json()))
    assert (values["model"], values["clips"], values["subjects"]) == ("shipped", 60, 3)
    assert values["uf1"] > 0.5  # a third by chance
    assert values["by_dataset"]["drawn"] == {name: values[name] for name in ("clips", "uf1", "uar")}
    assert sum(map(sum, values["confusion"])) == 60
    low, high = values["intervals"]["uf1"]
    assert low <= values["uf1"] <= high
    units = values["aus"]["4"]
    assert units["auc"] > 0.7
    assert units["constant_f1"] == pytest.approx(2 * units["clips"] / (60 + units["clips"]))


def test_a_run_is_tested_and_what_it_was_trained_on_is_said(cache, run):
    found = evaluate(cache, run)
    assert found.classes == tuple(json.loads((run / "final" / "card.json").read_text())["classes"])
    assert "the model was trained on clips of casme2 (synthetic): this is no external test" in found.notes


def test_a_run_of_other_pictures_cannot_be_tested(drawn, run):
    with pytest.raises(MerError, match="no clips for a network that takes onset and apex"):
        evaluate(drawn, run)


@pytest.mark.parametrize(
    ("model", "device", "line"),
    [("run.onnx", "auto", "an ONNX file cannot be tested"), (None, "cuda", "runs on the CPU, not on cuda")],
    ids=["onnx", "device"],
)
def test_what_cannot_be_done_is_one_line(drawn, model, device, line):
    with pytest.raises(MerError, match=line):
        evaluate(drawn, model, device=device)


def test_a_wrong_name_of_the_page_is_said_before_the_work(mer, tmp_path):
    called = mer("evaluate", "--dataset", tmp_path, "--html", tmp_path / "page.txt")
    assert "a report is an HTML file" in called.err


def test_the_command_prints_writes_a_page_and_says_what_is_wrong(mer, drawn, tmp_path):
    page = tmp_path / "test.html"
    called = mer("evaluate", "--dataset", drawn, "--html", page, "-q")
    assert called.code == 0
    assert "95 % interval over 3 subjects" in called.out
    assert "<h1>shipped on drawn</h1>" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert mer("evaluate", "--dataset", tmp_path / "absent").code == 1
