"""Processor time of answers that need no data, user and system together; the aim is under 0.7 s.

    python -m benchmarks.startup

Modules are compiled beforehand, as an installer does. Fails where the aim is missed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile

LIMIT_S = 0.7
CALLS = (["--version"], ["--help"], ["models"], ["models", "--json"], ["train", "--epochz", "3"], ["inspct"],
         ["train", "--dataset", "c", "--model", "facesleuth-tny"])  # fmt: skip
_PROGRAM = "import sys; sys.argv[0] = 'mer'; from mer_pipeline.cli import main; main()"


def seconds(arguments: list[str], compiled: str) -> float:
    """Of one call, with the folder of compiled modules."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the least of three calls each, after one that compiles."""
    slow = 0
    with tempfile.TemporaryDirectory() as compiled:
        for arguments in CALLS:
            _first, *others = (seconds(arguments, compiled) for _ in range(4))
            print(f"{min(others):5.2f} s  mer {' '.join(arguments)}")
            slow += min(others) > LIMIT_S
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
