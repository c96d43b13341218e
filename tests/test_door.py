"""The library's door: every name is there, typed and described, and none costs anything before it is used."""

import ast
import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import mer_pipeline as mer

ROOT = Path(__file__).parents[1]
NAMES = [name for name in mer.__all__ if not name.startswith("_")]
# What a line of the first day needs; the door may hold more.
PROMISED = {
    *("read_dataset", "preprocess", "load_clips", "load_recipe", "train", "compare", "Run", "Predictor", "spot"),
    *("write_report", "synthesise", "Parameters", "Plan", "MerError", "Options"),
}
HEAVY = ("torch", "cv2", "pandas", "numpy", "mediapipe", "timm", "sklearn", "matplotlib", "av")


def subprocess_says(code: str) -> typing.Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def test_the_door_has_what_is_promised():
    assert set(NAMES) >= PROMISED
    assert set(mer.__all__) <= set(dir(mer))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_resolves_is_described_and_typed(name):
    found = getattr(mer, name)
    assert inspect.getdoc(found), f"{name} has no docstring"
    # Only these three kinds: a module that shadowed a name would be found here.
    assert inspect.isclass(found) or inspect.isfunction(found)
    signature = inspect.signature(found) if inspect.isfunction(found) else inspect.signature(found.__init__)
    for parameter in signature.parameters.values():
        if parameter.name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            assert parameter.annotation is not parameter.empty, f"{name}({parameter.name}) has no type"


def test_types_and_rooms_name_the_same():
    tree = ast.parse((ROOT / "mer_pipeline" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.asname or alias.name for node in block.body for alias in node.names}
    assert typed == set(mer._ROOMS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_type_checker_and_the_interpreter_see_the_same_object(name):
    tree = ast.parse((ROOT / "mer_pipeline" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    where = {alias.asname or alias.name: (node.module, alias.name) for node in block.body for alias in node.names}
    module, there = where[name]
    assert getattr(__import__(module, fromlist=[there]), there) is getattr(mer, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'mer_pipeline' has no attribute 'tarin'"):
        mer.tarin  # noqa: B018


def test_importing_the_door_loads_nothing_heavy_and_takes_no_time():
    code = (
        "import json, sys, time; before = time.process_time(); import mer_pipeline; "
        "spent = time.process_time() - before; print(json.dumps([spent, sorted(sys.modules)]))"
    )
    seconds, modules = subprocess_says(code)
    assert seconds < 0.2
    assert [name for name in HEAVY if name in modules] == []
    assert [name for name in modules if name.startswith("mer_pipeline")] == ["mer_pipeline", "mer_pipeline.version"]


def test_a_light_name_loads_no_torch():
    code = (
        "import json, sys, mer_pipeline as mer; mer.read_dataset, mer.MerError, mer.Options; "
        "print(json.dumps('torch' in sys.modules))"
    )
    assert subprocess_says(code) is False


def test_the_version_is_stated_once():
    project = (ROOT / "pyproject.toml").read_text()
    assert '\ndynamic = ["version"]\n' in project
    assert '\npath = "mer_pipeline/version.py"\n' in project


def test_type_checkers_of_other_projects_take_the_types():
    # The wheel holds the whole package folder.
    assert (ROOT / "mer_pipeline" / "py.typed").is_file()


def test_paths_may_be_strings(raw, cache, run, tmp_path):
    """Each function once with `str` for every path; what they do is tested where they stand."""
    annotations = mer.read_dataset(str(raw))
    assert len(annotations.clips) == 15
    summary = mer.preprocess(annotations, str(cache), mer.Parameters(size=64))
    assert {counts["computed"] for counts in summary.stages.values()} == {0}
    clips = mer.load_clips(str(cache))
    short = mer.load_recipe("facesleuth-tiny", {"epochs": 1})
    trained = mer.train(clips, short, str(tmp_path / "run"), mer.Plan(protocol="kfold:2"), device="cpu")
    assert trained.metrics.scores.uf1 == json.loads((tmp_path / "run" / "metrics.json").read_text())["uf1"]
    assert mer.compare([str(run), mer.Run(run)]).comparisons
    assert mer.write_report(mer.Run(run), tmp_path / "run.html").is_file()
    with mer.Predictor(mer.Run(run), "cpu") as predictor:
        assert predictor.card.clips == len(clips.clip_ids)
    assert mer.write_report(str(run), str(tmp_path / "page.html"), cache=str(cache)).is_file()
    mer.write_contact_sheet(str(cache), clips.clip_ids[0], str(tmp_path / "clip.png"))
    clip = str(annotations.clips[0].source)
    with mer.Predictor(str(run), "cpu") as predictor:
        result = predictor(clip, fps=200)
    mer.write_csv(str(tmp_path / "found.csv"), [result])
    assert (tmp_path / "clip.png").is_file()
    assert (tmp_path / "found.csv").is_file()
    assert mer.spot(clip, fps=200).frames == result.frames
    with pytest.raises(mer.MerError, match="no such folder"):
        mer.read_dataset(str(tmp_path / "absent"))


def test_more_paths_may_be_strings(run, tmp_path):
    pytest.importorskip("onnxruntime")
    mer.export(str(run), str(tmp_path / "m.onnx"))
    assert mer.synthesise(str(tmp_path / "raw"), subjects=1, clips=1).is_dir()
    assert mer.PredictionFiles(None, str(tmp_path / "a.png"), 1).written == []
