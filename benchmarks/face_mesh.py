"""Face Mesh through LiteRT against MediaPipe 0.10.21, on the same frames in one run: points, speed and start.

MediaPipe 0.10.21 needs an environment of its own (Python 3.12 at most): `python3.12 -m venv old; old/bin/pip install
mediapipe==0.10.21`. Each way runs in a process of its own, in turn, and is given every frame on a square canvas.

    python benchmarks/face_mesh.py VIDEO... --before old/bin/python --out benchmarks/reports/face_mesh.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mer_pipeline.device import hardware
from mer_pipeline.video import open_footage

# What both processes do with what finds the faces: points of every frame, and processor time.
LOOP = r"""
import re, sys, time
import numpy as np
frames, out, tracking = np.load(sys.argv[1], mmap_mode="r"), sys.argv[2], sys.argv[3] == "tracking"
started, processor = time.perf_counter(), time.process_time()
{open}
find(frames[0])
first_s, first_cpu_s = time.perf_counter() - started, time.process_time() - processor
processor = time.process_time()
found = [find(frame) for frame in frames]
cpu_ms = 1000 * (time.process_time() - processor) / len(frames)
peak_mib = int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]) / 1024  # with the frames
faces = np.array([(index, *np.ravel(face)) for index, each in enumerate(found) for face in each])
np.savez(out, faces=faces, cpu_ms=cpu_ms, first_s=first_s, first_cpu_s=first_cpu_s, peak_mib=peak_mib)
"""
NOW = """
from mer_pipeline.faces.face_mesh import FaceMesh
mesh = FaceMesh(tracking=tracking)
find = lambda frame: [face.points_xy for face in mesh(frame)]
"""
BEFORE = """
import cv2, mediapipe
mesh = mediapipe.solutions.face_mesh.FaceMesh(
    static_image_mode=not tracking, max_num_faces=4, refine_landmarks=True, min_detection_confidence=0.5)
def find(frame):
    height, width = frame.shape[:2]
    for pad in (0, round(0.35 * max(height, width))):
        side = max(height, width) + 2 * pad
        border = cv2.BORDER_REPLICATE if pad else cv2.BORDER_CONSTANT
        framed = cv2.copyMakeBorder(np.asarray(frame), pad, side - height - pad, pad, side - width - pad, border)
        faces = mesh.process(framed).multi_face_landmarks or ()
        if faces:
            break
    points = [np.array([(p.x, p.y) for p in face.landmark]) * side - pad for face in faces]
    return sorted(points, key=lambda each: -np.ptp(each, axis=0).prod())
"""


def run(python: str, program: str, frames: Path, mode: str) -> dict[str, Any]:
    """One way in a fresh process."""
    out = frames.with_suffix(".found.npz")
    code = textwrap.dedent(LOOP).replace("{open}", program)
    subprocess.run([python, "-c", code, str(frames), str(out), mode], check=True, stderr=subprocess.DEVNULL)
    with np.load(out) as found:
        return {name: found[name] if name == "faces" else float(found[name]) for name in found.files}


def apart(one: Any, other: Any, frames: int) -> tuple[int, float, float]:
    """In how many frames the number of faces differs; mean and largest distance of points of the others, in px."""
    counts = [np.bincount(each[:, 0].astype(int), minlength=frames) if len(each) else np.zeros(frames) for each in
              (one, other)]  # fmt: skip
    same = counts[0] == counts[1]
    pairs = [each[same[each[:, 0].astype(int)], 1:].reshape(-1, 478, 2) if len(each) else np.zeros((0, 478, 2))
             for each in (one, other)]  # fmt: skip
    distances = np.linalg.norm(pairs[0] - pairs[1], axis=-1)
    return int((~same).sum()), float(distances.mean()) if distances.size else 0.0, float(distances.max(initial=0))


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--before", required=True, help="the Python of an environment with mediapipe 0.10.21")
    parser.add_argument("--out", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    lines = [
        "# Face Mesh through LiteRT against MediaPipe 0.10.21",
        "",
        f"{datetime.date.today():%Y-%m-%d}, `python benchmarks/face_mesh.py VIDEO... --before PYTHON`, "
        f"{json.dumps(hardware(torch.device('cpu')))}.",
        f"Other work on the machine while this ran: a load of {os.getloadavg()[1]:.1f}, which lengthens all times.",
        "",
        "| video | frames | mode | 0.10.21, ms of processor a frame | LiteRT | ratio | start and first frame, s of "
        "processor | memory with the frames, MiB | frames with other faces | mean px | worst px |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for video in arguments.videos:
            footage, file = open_footage(video), Path(folder) / f"{video.stem}.npy"
            np.save(file, np.stack([image for _, image in footage.read(range(len(footage)))]))
            for mode in ("static", "tracking"):
                before = run(arguments.before, BEFORE, file, mode)
                now = run(sys.executable, NOW, file, mode)
                others, mean_px, worst_px = apart(before["faces"], now["faces"], len(footage))
                lines.append(
                    f"| {video.name} | {len(footage)} | {mode} | {before['cpu_ms']:.2f} | {now['cpu_ms']:.2f} | "
                    f"{now['cpu_ms'] / before['cpu_ms']:.2f} | {before['first_cpu_s']:.2f} -> "
                    f"{now['first_cpu_s']:.2f} | {before['peak_mib']:.0f} -> {now['peak_mib']:.0f} | "
                    f"{others} | {mean_px:.4f} | {worst_px:.3f} |"
                )
            file.unlink()
    lines += ["", "Tracking feeds what it found back into itself and magnifies rounding: it differs by more than "
              "single frames do, as MediaPipe does from itself where single grey levels change.", ""]  # fmt: skip
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
