"""Ways to damage files, drawn from a seed."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**70), 1e308, -0.5, 1e-300, float("nan"), float("inf"), float("-inf"),
    "", "x", "224", "NaN", "../../etc/passwd", "\x00", "\ud800", "[/red]", "x" * 100_000, [], [[]], [None], ["x"],
    {}, {"x": 1}, {"": None}, [1, "2", None], [0] * 1000,
)  # fmt: skip


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes with one to four things wrong; always other bytes than before."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        _mutate(found, rng)
    if bytes(found) == content:
        found.append(rng.randrange(256))
    return bytes(found)


def _mutate(found: bytearray, rng: random.Random) -> None:
    # Headers decide more than what follows: half of all damage is at the head.
    size = len(found)
    at = rng.randrange(max(1, min(size, 512) if rng.random() < 0.5 else size))
    length = rng.choice((1, 2, 4, 16, 256, 4096))
    kind = rng.randrange(8)
    if kind == 0 and size:
        found[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        found[at : at + length] = rng.randbytes(length)
    elif kind == 2:
        del found[at:]
    elif kind == 3:
        del found[at : at + length]
    elif kind == 4:
        found[at:at] = rng.randbytes(length)
    elif kind == 5:
        found[at:at] = found[at : at + length] * rng.randint(1, 8)
    elif kind == 6:
        found[at : at + length] = bytes([rng.choice((0, 255))]) * length
    else:
        found[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"9999", b"-1e9"))


def with_wrong_value(text: str, rng: random.Random) -> str:
    """A JSON document with a wrong value, an absent key, or another type somewhere in it."""
    values = json.loads(text)
    values.pop("checksum", None)  # as a file of an older version, or one that was edited with care
    place, holder = values, [values]
    key: Any = None
    while isinstance(place, (dict, list)) and place and (key is None or rng.random() < 0.75):
        holder.append(place)
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        place = place[key]
    if key is None or rng.random() < 0.03:
        return json.dumps(rng.choice(WRONG))
    if rng.random() < 0.15:
        del holder[-1][key]
    else:
        holder[-1][key] = rng.choice(WRONG)
    return json.dumps(values)


def with_wrong_part(content: bytes, rng: random.Random) -> bytes:
    """A zip archive, such as a workbook, one of whose parts is damaged."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        wrong = rng.choice(names)
        for name in names:
            part = old.read(name)
            new.writestr(name, mutated(part, rng) if name == wrong else part)
    return buffer.getvalue()


def damage(path: Path, others: list[Path], rng: random.Random) -> None:
    """Do to a file what disks, people and programs do."""
    kind = rng.choice(("bytes", "bytes", "bytes", "empty", "gone", "other", "folder", "circle", "nowhere", "pipe"))
    content = path.read_bytes()
    path.unlink()
    if kind == "bytes":
        path.write_bytes(mutated(content, rng))
    elif kind == "empty":
        path.touch()
    elif kind == "other":
        shutil.copy(rng.choice(others), path)
    elif kind == "folder":
        path.mkdir()
        (path / "inside").touch()
    elif kind == "circle":
        path.symlink_to(path.name)
    elif kind == "nowhere":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
