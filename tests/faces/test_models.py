"""The models of Face Mesh: where they come from, and files that will not do."""

import importlib.metadata
import json
import os
import re
import subprocess
import zipfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector, choose_detector
from mer_pipeline.faces.face_mesh import FaceMesh, install
from mer_pipeline.faces.face_mesh.models import DETECTOR, MESH, RECORD, models_folder, read_models, read_task, sha256
from mer_pipeline.faces.face_mesh.rewrite import _Graph
from mer_pipeline.faces.mediapipe import MediapipeFaces
from tests.faces.frames import make_frames

FIRST, SECOND = install._FILES


@pytest.fixture(scope="module")
def models():
    return read_models()


def wheel(folder, contents, name="mediapipe-0.10.21-any.whl"):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return folder / name


def task(folder, detector, mesh):
    return wheel(folder, {DETECTOR: detector, MESH: mesh}, "own.task")


def model_of(sizes, models):
    """A model that takes a picture and has outputs of so many values, each of its own pixels."""
    graph = _Graph(models.detector)
    (picture,) = (graph.value(tensor) for tensor in graph.part.inputs)
    flat = picture.reshaped(128 * 128 * 3)
    outputs = [flat.taken(np.arange(size, dtype=np.int32)).reshaped(1, size) for size in sizes]
    graph.part.operators, graph.model.signatureDefs = graph.added, []
    graph.part.outputs = np.array([output.at for output in outputs], np.int32)
    return graph.packed()


def other_input(models, kind):
    """A detector that takes bytes, as quantised ones do, or nothing."""
    graph = _Graph(models.detector)
    (picture,) = (graph.value(tensor) for tensor in graph.part.inputs)
    if kind == "nothing":
        graph.part.inputs = np.array([], np.int32)
    else:
        graph.part.tensors[picture.at].type = schema.TensorType.UINT8
        picture = picture.cast("UINT8", "FLOAT32")
    flat = picture.reshaped(128 * 128 * 3)
    outputs = [flat.taken(np.arange(size, dtype=np.int32)).reshaped(1, size) for size in (896 * 16, 896)]
    graph.part.operators, graph.model.signatureDefs = graph.added, []
    graph.part.outputs = np.array([output.at for output in outputs], np.int32)
    return graph.packed()


def failing_model(models):
    """A detector that takes values from beyond its picture."""
    graph = _Graph(models.detector)
    (picture,) = (graph.value(tensor) for tensor in graph.part.inputs)
    flat = picture.reshaped(128 * 128 * 3)
    boxes, logits = (flat.taken(np.full(size, 10**6, np.int32)).reshaped(1, size) for size in (896 * 16, 896))
    graph.part.operators, graph.model.signatureDefs = graph.added, []
    graph.part.outputs = np.array([boxes.at, logits.at], np.int32)
    return graph.packed()


def encrypted(file):
    content = bytearray(file.read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        for found in re.finditer(re.escape(header), bytes(content)):
            content[found.start() + flags] |= 1
    file.write_bytes(content)
    return file


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def bomb(folder, *names):
    """A small archive that unpacks to more than models may have."""
    with zipfile.ZipFile(folder / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, bytes(33 << 20))
    return folder / "bomb"


def strange_name(file):
    """One whose name is said to be in UTF-8 and is not."""
    content = file.read_bytes()
    at = content.index(b"PK\1\2")
    file.write_bytes(content[: at + 9] + b"\x08" + content[at + 10 : at + 46] + b"\xff" + content[at + 47 :])
    return file


BAD_TASKS = [
    pytest.param(lambda at, m: encrypted(task(at, b"a", b"b")), "own.task: not a zip archive", id="encrypted"),
    pytest.param(lambda at, m: at / "absent.task", "absent.task: cannot be read", id="absent"),
    pytest.param(lambda at, m: at, "not a file; give a face_landmarker.task", id="a folder"),
    pytest.param(lambda at, m: pipe(at), "pipe: not a file", id="a pipe"),
    pytest.param(lambda at, m: bomb(at, DETECTOR, MESH), "larger than 64 MiB when unpacked", id="bomb"),
    pytest.param(lambda at, m: strange_name(task(at, b"a", b"b")), "own.task: not a zip archive", id="strange name"),
    pytest.param(lambda at, m: at / "no.zip", "no.zip: not a zip archive", id="no zip"),
    pytest.param(lambda at, m: wheel(at, {"x": b""}), f"no item named '{DETECTOR}'", id="a zip of something else"),
    pytest.param(lambda at, m: task(at, m.detector, b"x" * 99), "landmark model is not a model", id="no model"),
    pytest.param(lambda at, m: task(at, m.detector, model_of([1404, 1], m)), "finds 468 points, not 478", id="468"),
    pytest.param(
        lambda at, m: task(at, m.detector, model_of([1434, 160, 1], m)), "has 2 outputs of landmarks", id="two outputs"
    ),
    pytest.param(lambda at, m: task(at, m.detector, model_of([1434], m)), "and 0 of flags", id="no flag"),
    pytest.param(lambda at, m: task(at, m.mesh, m.mesh), "face detector has outputs of", id="no detector"),
    pytest.param(lambda at, m: task(at, failing_model(m), m.mesh), "face detector fails at work", id="fails at work"),
    pytest.param(lambda at, m: task(at, other_input(m, "bytes"), m.mesh), "it is a quantised one", id="quantised"),
    pytest.param(lambda at, m: task(at, other_input(m, "nothing"), m.mesh), "takes [], not one square", id="no input"),
]


@pytest.mark.parametrize(("make", "message"), BAD_TASKS)
@pytest.mark.parametrize("name", ["face-mesh", "mediapipe-tasks"])
def test_a_task_that_will_not_do_is_refused_at_once(make, message, name, models, tmp_path):
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with pytest.raises(MerError) as error:
        choose_detector(name, face_model=make(tmp_path, models))
    assert message in str(error.value)


def test_a_task_of_the_users_own_takes_the_place_of_the_models(models, tmp_path):
    own = task(tmp_path, models.detector, models.mesh)
    chosen, usual = choose_detector(face_model=own), choose_detector()
    frame = make_frames()["one face"]
    with chosen.open() as faces, usual.open() as expected:
        assert np.array_equal(faces(frame)[0].points_xy, expected(frame)[0].points_xy)
    assert chosen.identity == ("face-mesh", sha256(own.read_bytes())[:12], *usual.identity[-2:])
    assert read_task(own).detector == models.detector


def test_what_fails_in_mediapipe_is_one_line(models, monkeypatch):
    def fail(*_):
        raise RuntimeError("CalculatorGraph::Run() failed")

    with closing(MediapipeFaces(models)) as faces, closing(faces._landmarker):
        monkeypatch.setattr(faces, "_landmarker", SimpleNamespace(detect=fail, close=fail))
        with pytest.raises(MerError, match="MediaPipe fails at work with its models; use the models of: mer setup"):
            faces(make_frames()["one face"])


def test_a_model_of_numbers_that_are_none_is_one_line(models, monkeypatch):
    with FaceMesh(models=models) as mesh:
        monkeypatch.setattr(mesh._networks._detector._run, "get_tensor", lambda at: np.array([np.nan], np.float32))
        with pytest.raises(MerError, match="face detector gives values that are no numbers"):
            mesh(make_frames()["one face"])


def test_the_identity_names_models_and_programs():
    name, *digests, litert, opencv = Detector().identity
    assert (name, digests) == ("face-mesh", [digest[:12] for digest in install._FILES.values()])
    assert litert == f"litert {importlib.metadata.version('ai-edge-litert')}"
    assert opencv.startswith("opencv 4.")


BAD_WHEELS = [
    pytest.param(lambda at: at / "absent.whl", "absent.whl: cannot be read", id="absent"),
    pytest.param(lambda at: at / "cut.whl", "cut.whl: damaged, or not a wheel", id="damaged"),
    pytest.param(pipe, "pipe: not a file", id="a pipe"),
    pytest.param(lambda at: bomb(at, FIRST, SECOND), "larger than 64 MiB when unpacked", id="bomb"),
    pytest.param(lambda at: wheel(at, {"x": b""}), "has no models of Face Mesh", id="another version"),
    pytest.param(lambda at: wheel(at, {FIRST: b"x", SECOND: b"y"}), "its sha256 differs", id="other content"),
]


@pytest.mark.parametrize(("make", "message"), BAD_WHEELS)
def test_a_wheel_that_will_not_do_is_refused(make, message, tmp_path):
    whole = wheel(tmp_path, {FIRST: b"x" * 500, SECOND: b"y"}).read_bytes()
    (tmp_path / "cut.whl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MerError) as error:
        install.install(make(tmp_path), tmp_path / "models")
    assert message in str(error.value)
    assert "mer setup --from FILE.whl" in str(error.value)
    assert not (tmp_path / "models").exists()


@pytest.fixture
def none_installed(monkeypatch):
    monkeypatch.setattr(install.importlib.metadata, "distributions", lambda name: [])


def test_without_pip_there_is_another_way(none_installed, monkeypatch, tmp_path):
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MerError, match=r"pip is not here .*ensurepip.*mer setup --from FILE.whl"):
        install.install(folder=tmp_path)


def test_what_pip_cannot_do_is_passed_on(none_installed, monkeypatch, tmp_path):
    said = "WARNING: retrying\nERROR: Could not find a version\nERROR: No matching distribution found for it\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, stdout="", stderr=said))
    with pytest.raises(MerError, match=r"pip could not get mediapipe==0.10.21 \(No matching distribution found"):
        install.install(folder=tmp_path)


def installed_package(folder, models, monkeypatch, mesh=b"the landmark model", version="0.10.21"):
    """A package that has both files, whose second one rewrites to that of the models."""
    for name, content in ((FIRST, models.detector), (SECOND, mesh)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    found = SimpleNamespace(version=version, locate_file=lambda name: folder / name)
    monkeypatch.setattr(install.importlib.metadata, "distributions", lambda name: [found])
    monkeypatch.setattr(install, "_FILES", {FIRST: sha256(models.detector), SECOND: sha256(mesh)})
    monkeypatch.setattr("mer_pipeline.faces.face_mesh.rewrite.rewrite", lambda content: models.mesh)


def test_models_of_an_installed_package_are_taken_once(models, monkeypatch, tmp_path):
    installed_package(tmp_path / "site", models, monkeypatch)
    folder = tmp_path / "models"
    first, second = install.install(folder=folder), install.install(folder=folder)
    assert (first.made, second.made) == (True, False)
    assert first.source == second.source == "the installed mediapipe 0.10.21"
    assert read_models(folder).mesh == models.mesh
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / MESH).write_bytes(b"cut")
    with pytest.raises(MerError, match=r"is not what mer setup wrote; run: mer setup"):
        read_models(folder)
    assert install.install(folder=folder).made
    assert read_models(folder).mesh == models.mesh


def test_another_version_of_the_package_is_left_alone(models, monkeypatch, tmp_path):
    installed_package(tmp_path / "site", models, monkeypatch, version="0.10.9")
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MerError, match="pip is not here to get it"):
        install.install(folder=tmp_path / "models")


def test_a_folder_that_cannot_be_written_is_named(models, monkeypatch, tmp_path):
    installed_package(tmp_path / "site", models, monkeypatch)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MerError, match=r"file.*cannot be written.*name another folder in MER_MODELS"):
        install.install(folder=tmp_path / "file" / "models")


@pytest.mark.parametrize("name", [DETECTOR, MESH, RECORD])
def test_a_pipe_in_the_place_of_a_model_holds_nothing_up(models, tmp_path, monkeypatch, name):
    installed_package(tmp_path / "site", models, monkeypatch)
    install.install(folder=tmp_path / "models")
    (tmp_path / "models" / name).unlink()
    os.mkfifo(tmp_path / "models" / name)
    with pytest.raises(MerError, match="run: mer setup"):
        read_models(tmp_path / "models")
    assert install.install(folder=tmp_path / "models").made


@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param(None, "the models that find faces are not there; run: mer setup", id="absent"),
        pytest.param("{", "damaged or unreadable; run: mer setup", id="damaged"),
        pytest.param(
            json.dumps({"sha256": {DETECTOR: "1", MESH: "2"}, "identity": 5}),
            "damaged or unreadable; run: mer setup",
            id="identity",
        ),
        pytest.param(json.dumps({"sha256": {}}), "damaged or unreadable; run: mer setup", id="incomplete"),
        pytest.param(
            json.dumps({"sha256": {DETECTOR: "1", MESH: "2"}, "identity": ["a", "b"]}),
            "damaged or unreadable; run: mer setup",
            id="no source",
        ),
    ],
)
def test_absent_models_say_how_to_get_them(record, message, monkeypatch, tmp_path):
    monkeypatch.setenv("MER_MODELS", str(tmp_path))
    if record is not None:
        (tmp_path / RECORD).write_text(record)
    for use in (FaceMesh, choose_detector, lambda: Detector().identity):
        with pytest.raises(MerError) as error:
            use()
        assert message in str(error.value)


def test_the_models_are_in_the_users_data_folder_or_where_a_variable_says(tmp_path):
    assert models_folder({"MER_MODELS": str(tmp_path)}) == tmp_path
    assert models_folder({"MER_MODELS": "~/models"}) == Path.home() / "models"
    assert models_folder({}).parts[-2:] == ("mer", "models")
