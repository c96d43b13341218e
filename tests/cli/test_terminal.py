"""What reaches the terminal: texts as they are, one line for what the system refuses, and no traceback."""

import builtins
import io
import os
import signal
import subprocess
import sys

import pytest

from mer_pipeline.cli import common, main
from mer_pipeline.errors import MerError, os_errors, printable

MER = [sys.executable, "-c", "from mer_pipeline.cli import main; main()"]


@pytest.fixture(autouse=True)
def _new_consoles():
    """Consoles remember the stream that they were made with."""
    for console in (common._out, common._err):
        console.cache_clear()
    yield
    for console in (common._out, common._err):
        console.cache_clear()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("[/red]", "[/red]"), ("[bold]x", "[bold]x"), (":bomb:", ":bomb:"), ("a\x1b[31mb", "a\\x1b[31mb"),
     ("a\nb", "a\\nb"), ("\u202egpj", "\\u202egpj"), ("\udce4", "\\udce4"), ("微笑\u3000é", "微笑\u3000é")],
    ids=ascii,
)  # fmt: skip
def test_no_text_is_markup(capsys, text, shown):
    common.say(text)
    common.say((text, "bold"), "!")
    common.say_warning(text)
    common.say_note(text)
    common.say_error(MerError("x", where=text.replace("\n", "\\n")))
    common.say_table(text, ("a",), [(text,)])
    with common.progress_bar(False) as progress:
        progress("train", 1, 1, text)
    printed = capsys.readouterr()
    assert printed.out.count(shown) == 4
    assert printed.err.count(shown) >= 3
    assert "\x1b[31m" not in printed.out + printed.err
    assert printable(text) == shown


def test_a_terminal_that_cannot_show_a_name(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["mer", "inspect", "微笑"])
    with pytest.raises(SystemExit):
        main()
    common.say("微笑 \udce4")
    assert out.buffer.getvalue() == b"\\u5fae\\u7b11 \\udce4\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "/tmp/x"), "/tmp/x: cannot be used (No space left on device)"),
        (PermissionError(13, "Permission denied", "x"), "x: cannot be used (Permission denied)"),
        (MemoryError(), "not enough memory"),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_one_line(mer, monkeypatch, error, line):
    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr("mer_pipeline.runs.run.Run.__init__", refuse)
    called = mer("report", ".")
    assert called.code == 1
    (shown,) = called.error_lines
    assert shown.startswith(f"error: {line}; ")


def test_a_library_function_raises_one_kind_of_error():
    with pytest.raises(MerError, match="longer than a path may be"), os_errors():
        os.stat("x" * 300)  # noqa: PTH116


@pytest.mark.parametrize("error", [KeyboardInterrupt, ImportError, SystemError])
def test_an_interruption_while_a_library_is_imported(mer, monkeypatch, error):
    """A library may make another error of it."""
    real = builtins.__import__

    def interrupted(name, *arguments):
        if name.startswith("mer_pipeline.reports"):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise error from None
        return real(name, *arguments)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(builtins, "__import__", interrupted)
    called = mer("report", ".")
    assert called.code in (1, 130)
    assert "Traceback" not in called.err
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_below_the_output_is_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*MER, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr
