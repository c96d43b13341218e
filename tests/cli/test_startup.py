"""What the command line imports before it answers; `benchmarks/startup.py` has the processor time."""

import os
import subprocess
import sys

import pytest

HEAVY = {
    "av", "cv2", "matplotlib", "mediapipe", "numpy", "onnxruntime", "pandas", "PIL", "scipy", "skimage", "sklearn",
    "timm", "torch", "torchvision",
}  # fmt: skip
PROGRAM = """
import sys
sys.argv[0] = "mer"
try:
    from mer_pipeline.cli import main
    main()
finally:
    print("IMPORTED", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (["--help"], 0, "models      List the models of the zoo"),
        (["--version"], 0, "mer 0."),
        (["help"], 0, "models      List the models of the zoo"),
        (["help", "models"], 0, "List the models of the zoo"),
        (["help", "modles"], 2, "No such command 'modles'"),
        (["models"], 0, "facesleuth-flow"),
        (["models", "--json"], 0, '"multiply_accumulates"'),
        (["inspct"], 2, "No such command 'inspct'"),
        (["train", "--epochz", "3"], 2, "No such option"),
        (["inspect", "--wrong"], 2, "No such option"),
        (["predict", "--help"], 0, "--onset"),
        (["train", "--dataset", ".", "--model", "facesleuth-tny"], 1, "did you mean facesleuth-tiny?"),
        (["train", "--dataset", ".", "--set", "epoch=3"], 1, "did you mean epochs?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_answer_that_needs_no_data_imports_nothing_heavy(arguments: list[str], code: int, answer: str) -> None:
    called = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
    assert called.returncode == code, called.stderr
    error, _, imported = called.stderr.rpartition("IMPORTED")
    assert answer in called.stdout + error
    assert not HEAVY & set(imported.split())


@pytest.mark.parametrize(
    ("arguments", "code", "answer"), [(["--version"], 0, "mer 0."), (["inspct"], 2, "No such command 'inspct'")]
)
def test_the_package_is_run_as_the_command_is(arguments: list[str], code: int, answer: str) -> None:
    called = subprocess.run([sys.executable, "-m", "mer_pipeline", *arguments], capture_output=True, text=True)
    assert (called.returncode, answer in called.stdout + called.stderr) == (code, True), called.stderr


@pytest.mark.parametrize(
    ("words", "offered"), [("mer comp", "compare"), ("mer predict --ons", "--onset")], ids=["command", "option"]
)
def test_a_shell_completes_commands_and_their_options(words: str, offered: str) -> None:
    shell = {"_MER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    called = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, **shell}
    )
    assert called.stdout.split() == [offered], called.stderr


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
from mer_pipeline.cli import main
for line in sys.stdin:
    sys.argv[:] = ["mer", *line.split()]
    try:
        main()
    except SystemExit as end:
        print(end.code)
"""
ABSENT = """train --dataset absent
ablate --dataset absent
evaluate --dataset absent
report absent
export absent
predict clip.avi --model absent
"""


def test_a_path_that_leads_nowhere_is_refused_before_torch_is_imported(tmp_path) -> None:
    called = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], input=ABSENT, capture_output=True, text=True, cwd=tmp_path
    )
    errors = called.stderr.splitlines()
    assert called.stdout.split() == ["1"] * 6, called.stderr
    assert [line for line in errors if not line.startswith("error: absent: no such ")] == []
    assert len(errors) == 6
