import json

import numpy as np
import pandas as pd
import pytest
import torch

from mer_pipeline import networks
from mer_pipeline.cache.chain import Chain
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.inference import Predictor
from mer_pipeline.inference import export as module
from mer_pipeline.inference.export import export
from mer_pipeline.inference.onnx_backend import OnnxNetwork
from mer_pipeline.runs.card import Card
from mer_pipeline.runs.weights import save_network


@pytest.fixture(scope="module")
def exported(run, cache, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return path, export(run, path, cache)


def test_the_file_gives_the_results_of_the_run(run, exported, clip):
    path, written = exported
    assert written.difference < 1e-4
    assert written.compared.startswith("15 clips of")
    for aus in ("predicted", "4+R14"):
        found = []
        for model in (run, path):
            with Predictor(model, "cpu", aus=aus) as predictor:
                found.append(predictor(clip, fps=200).expressions[0])
        ours, theirs = found
        assert list(theirs.probabilities) == list(ours.probabilities)
        assert list(theirs.probabilities.values()) == pytest.approx(list(ours.probabilities.values()), abs=1.5e-4)
        assert list(theirs.aus.values()) == pytest.approx(list(ours.aus.values()), abs=1.5e-4)


def test_the_file_describes_itself(run, exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported[0]), providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["card"])
    assert card == json.loads((run / "final" / "card.json").read_text())
    assert [each.name for each in session.get_inputs()] == ["onset", "apex", "aus", "aus_known"]
    assert [each.name for each in session.get_outputs()] == ["logits", "au_logits"]
    assert exported[0].stat().st_mode & 0o777 == 0o600


SMALL = {"channels": [8, 8, 16, 16], "stem": [8, 8]}
OTHERS = [
    ("facesleuth", 96, "", {**SMALL, "embed_dim": 8}),
    ("facesleuth-flow", 28, "tvl1", SMALL),
    ("fdp", 64, "", {"frames": 5, "depths": [1, 1, 1, 1], "widths": [12, 12, 24, 24], "image_widths": [8, 8, 16, 16]}),
    ("mmnet", 64, "", SMALL),
    ("resnet18", 64, "", {}),
    ("resnet3d", 56, "dis", {"frames": 4, "width": 8}),
    ("ststnet", 28, "tvl1", {}),
    ("off-apexnet", 28, "tvl1", {"hidden": [32, 32]}),
    ("sssnet", 28, "tvl1", {"filters": [8, 16], "hidden": 32}),
    ("rcn-a", 28, "tvl1", {"width": 16}),
    ("htnet", 28, "tvl1", {"width": 12, "depths": [1, 1, 1]}),
    ("mmnet-flow", 28, "tvl1", {}),
]


@pytest.fixture(scope="module")
def planted(raw):
    return pd.read_parquet(raw / "truth.parquet").iloc[0]


@pytest.fixture(scope="module")
def clip(raw, planted):
    return raw / "CASME2-RAW" / f"sub{planted['subject']}" / planted["clip"]


def fresh(folder, name, size, flow, options):
    """A run with fresh weights; its crops are larger than what the network looks at."""
    network = networks.build(name, classes=3, size=size, **options)
    card = Card(
        name, name, {**networks.option_defaults(name), **options}, size, [0.5] * 3, [0.2] * 3, ["a", "b", "c"], "x",
        None, 0, 1, 9, 3, ["s"], {}, chain=Chain(max(size, 96), Detector().identity, motion=flow or "none"),
    )  # fmt: skip
    save_network(folder / "final", network.state_dict(), card)
    return folder


@pytest.mark.parametrize(("name", "size", "flow", "options"), OTHERS, ids=[each[0] for each in OTHERS])
def test_every_kind_of_network_predicts_as_a_run_and_as_a_file(tmp_path, clip, planted, name, size, flow, options):
    run, file = fresh(tmp_path / "run", name, size, flow, options), tmp_path / "m.onnx"
    assert export(run, file).difference < 1e-4
    opened = OnnxNetwork(file)
    batch = {name: torch.rand(3, *shape[1:]) for name, shape in opened.shapes.items() if name != "aus_known"}
    batch |= {"aus_known": torch.tensor([True, False, True])} if "aus_known" in opened.inputs else {}
    assert opened(**batch).logits.shape == (3, 3), "any number of clips at once"
    found, built = [], networks.build(name, classes=3, size=size, **options)
    described = (built.view, built.inputs, built.size, built.frames)
    for model in (run, file):
        with Predictor(model, "cpu") as predictor:
            network = predictor.model.network
            assert (network.view, network.inputs, network.size, network.frames) == described
            result = predictor(clip, onset_frame=planted["onset_frame"], apex_frame=planted["apex_frame"])
        assert result.warnings == []
        found.append(list(result.expressions[0].probabilities.values()))
    assert found[0] == pytest.approx(found[1], abs=1.5e-4)


def test_every_network_is_tested_here():
    assert {name for name, *_ in OTHERS} == set(networks.names())


def test_published_flow_is_refused_and_unknown_flow_is_told(tmp_path, clip):
    with pytest.raises(
        MerError, match="was trained on published flow images, which are scaled one by one; video is not"
    ):
        Predictor(fresh(tmp_path / "published", "ststnet", 28, "published", {}))
    with Predictor(fresh(tmp_path / "unknown", "ststnet", 28, "", {}), "cpu") as predictor:
        result = predictor(clip, fps=200)
    assert result.warnings == ["the network's card does not say how its flow was computed: TV-L1 is taken"]
    assert result.expressions[0].aus_source == "none"
    with pytest.raises(MerError, match="ststnet takes no Action Units; leave --aus out"):
        Predictor(tmp_path / "unknown", "cpu", aus="4")


def test_a_network_that_comes_out_differently_is_refused(run, tmp_path, monkeypatch):
    true = module._probabilities
    noise = iter(np.linspace(0, 1, 1000))
    monkeypatch.setattr(module, "_probabilities", lambda *given: [part + next(noise) for part in true(*given)])
    with pytest.raises(MerError, match="gives other probabilities than torch"):
        export(run, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_a_cache_of_another_size_is_refused(run, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(module.TrainedModel, "crop_size", 32)
    with pytest.raises(MerError, match="holds no crops of 32 pixels; run mer preprocess with --size 32"):
        export(run, tmp_path / "m.onnx", cache)


def test_pools_are_the_same_and_put_back(run):
    network = networks.build("facesleuth", classes=3, size=96, channels=[8, 8, 16, 16], stem=[8, 8], embed_dim=8).eval()
    pictures = torch.rand(2, 3, 96, 96), torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        before = network(*pictures)
        with module._fixed_pools(network):
            assert not any(isinstance(part, torch.nn.AdaptiveAvgPool2d) for part in network.modules())
            within = network(*pictures)
    assert torch.allclose(before.au_logits, within.au_logits, atol=1e-6)
    assert any(isinstance(part, torch.nn.AdaptiveAvgPool2d) for part in network.modules())


def plain_onnx(path):
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


BAD = [
    (lambda path: None, "no such model; write one with mer export"),
    (lambda path: path.write_bytes(b"no model"), "not a readable ONNX file"),
    (plain_onnx, "the ONNX file has no card"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=["absent", "text", "no card"])
def test_a_bad_file_is_refused(tmp_path, make, message):
    make(tmp_path / "m.onnx")
    with pytest.raises(MerError, match=message):
        Predictor(tmp_path / "m.onnx")


def test_another_device_is_refused(exported):
    with pytest.raises(MerError, match="ONNX files run on the CPU, not on cuda"):
        Predictor(exported[0], "cuda")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_an_absent_extra_is_one_line(run, tmp_path, monkeypatch, package):
    import builtins

    original = builtins.__import__

    def absent(name, *rest, **more):
        if name == package:
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MerError, match=rf'{package} is not installed; run: pip install "mer-pipeline\[export\]"'):
        export(run, tmp_path / "m.onnx")
