"""The benchmark of a GPU, on the CPU with tiny sizes: it measures what its report says."""

import pytest
import torch

from benchmarks import gpu, loso
from benchmarks.gpu import Answers, answers


def test_a_device_that_answers_as_the_cpu_does_is_right():
    found = answers("ststnet", torch.device("cpu"), 0)
    assert found.differs == 0
    assert 0 < found.noise < 0.1
    assert found.right


@pytest.mark.parametrize(("differs", "right"), [(0.004, True), (0.05, False)])
def test_more_than_the_noise_of_bf16_is_wrong(differs, right):
    assert Answers("any", differs, noise=0.003).right is right


@pytest.mark.slow  # its parts take seconds each
def test_the_report_has_every_part(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "matrix_rate", lambda device: 1e12)
    monkeypatch.setattr(loso, "usual", lambda *_: 1.0)  # its workers use sockets
    given = ["--device", "cpu", "--zoo", "ststnet", "--model", "facesleuth-tiny", "--size", "32", "--clips", "30",
             "--ways", "ststnet", "--folder", "1", "--out", str(tmp_path)]  # fmt: skip
    assert gpu.main(given) == 0
    (page,) = tmp_path.glob("gpu-*.md")
    text = page.read_text()
    assert text in capsys.readouterr().out
    for part in ("| ststnet | 0.00e+00 |", "facesleuth-tiny, the largest fold (29 clips)", "a DataLoader that reads",
                 "of the matrix rate", "peak memory: ", "as one: ", "clips a second (1 clips)", "--clips"):  # fmt: skip
        assert part in text
