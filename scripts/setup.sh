#!/usr/bin/env bash
# Makes a virtual environment with everything that `make demo` and `make test` need.
# Usage: [PYTHON=python3.13] setup.sh VENV
set -euo pipefail
venv=$1
fail() { echo "error: $*" >&2; exit 1; }

# The interpreter that PYTHON names, else the first of these that runs and is 3.10 to 3.14: PyTorch has wheels for no other.
supported='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'
python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10}; do
    if command -v "$candidate" >/dev/null && "$candidate" -c "$supported" 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is no Python of 3.10 to 3.14"

# An environment of another Python than asked for, or one that an interrupted run left behind, is made anew.
version='import sys; print(sys.version_info[:2])'
if [ -e "$venv" ]; then
    if ! "$venv/bin/python" -c "$supported" 2>/dev/null; then rm -rf "$venv"
    elif [ -n "${PYTHON:-}" ] && [ "$("$venv/bin/python" -c "$version")" != "$("$python" -c "$version")" ]; then rm -rf "$venv"; fi
fi

if [ -n "$python" ]; then
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || fail "$python cannot make virtual environments; install its venv package (Debian: apt install python3-venv)"
    # uv installs the whole set in about a minute, where pip takes ten.
    "$venv/bin/python" -m pip install --quiet "uv>=0.5,<1"
    uv="$venv/bin/uv"
else
    uv=$(command -v uv || true)
    if [ -z "$uv" ] && command -v python3 >/dev/null; then
        # No supported Python, but any python3 can fetch uv, and uv brings Python 3.12.
        helper=$(mktemp -d)
        trap 'rm -rf "$helper"' EXIT
        python3 -m venv "$helper" && "$helper/bin/python" -m pip install --quiet "uv>=0.5,<1" && uv="$helper/bin/uv"
    fi
    [ -n "$uv" ] || fail "Python 3.10 to 3.14 is needed; install one of them, or uv"
    echo "no Python 3.10 to 3.14 here; getting 3.12 through uv"
    # With pip, which `mer setup` asks for the models.
    [ -x "$venv/bin/python" ] || "$uv" venv --quiet --seed --python 3.12 "$venv" || fail "uv could not get Python 3.12; install Python 3.10 to 3.14"
fi

echo "installing into $venv (about 7 GB with PyTorch's CUDA libraries; one to five minutes)"
# Compiled once, not by the first process, nor by every one where Python may write no bytecode.
"$uv" pip install --quiet --python "$venv/bin/python" --constraints constraints.txt --compile-bytecode --editable ".[dev]"
