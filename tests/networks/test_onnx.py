"""Every network can be exported; sizes at which averages over cells divide evenly (`mer export` does the others)."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.networks.tiny import EVERY, random_batch, tiny

SIZES = {"facesleuth": 112, "mmnet": 112, "resnet18": 224, "resnet3d": 56}


class Positional(nn.Module):
    def __init__(self, net: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        output = self.net(**dict(zip(self.names, tensors, strict=True)))
        return (output.logits,) if output.au_logits is None else (output.logits, output.au_logits)


def cases() -> list[tuple[str, bool]]:
    return [(name, False) for name in EVERY] + [("facesleuth", True), ("facesleuth-flow", True)]


def sines_of_doubles(file: Path) -> list[str]:
    """The nodes of a file that take the sine or cosine of a double."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    kinds |= {constant.name: constant.data_type for constant in graph.initializer}
    taken = [(node.name, kinds[node.input[0]]) for node in graph.node if node.op_type in ("Sin", "Cos")]
    return [name for name, kind in taken if kind == onnx.TensorProto.DOUBLE]


@pytest.mark.parametrize(("name", "aus"), cases(), ids=str)
def test_exported_network_gives_the_same_logits(name: str, aus: bool, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    pytest.importorskip("onnx", reason="needs the extra `export`")
    net = tiny(name, size=SIZES.get(name, 0))
    batch = random_batch(net, 2)
    net(**batch)  # moves the statistics of batch norm off their start
    net.eval()
    if aus:
        batch |= {"aus": torch.rand(2, 21), "aus_known": torch.tensor([True, False])}
    outputs = ["logits"] if net(**batch).au_logits is None else ["logits", "au_logits"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes become constants, and that is meant
        torch.onnx.export(
            Positional(net, tuple(batch)).eval(),
            tuple(batch.values()),
            str(tmp_path / "net.onnx"),
            input_names=list(batch),
            output_names=outputs,
            dynamic_axes={each: {0: "batch"} for each in [*batch, *outputs]},
            opset_version=17,
            dynamo=False,
        )
    assert not sines_of_doubles(tmp_path / "net.onnx"), "the onnxruntime of Python 3.10 has none"
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    for chosen in ([0, 1], [1], [0, 1, 1]):
        some = {key: value[chosen] for key, value in batch.items()}
        with torch.no_grad():
            expected = Positional(net, tuple(some))(*some.values())
        found = session.run(None, {key: value.numpy() for key, value in some.items()})
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(a), b, atol=1e-4, rtol=0)
