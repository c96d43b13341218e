"""How fast `mer predict` goes through a long video, against Face Mesh alone on the same frames in one run.

The video is synthetic: planted expressions with still faces between them, at 640x360 and enlarged to 1920x1080. Both
ways decode every frame. Face Mesh runs as people use it on video (it tracks the face from frame to frame) and, beside
it, as a detector on each frame. `mer predict` spots every expression and judges the micro-expressions with a network of
fresh weights, which costs what trained ones cost. Loading models is left out of the rates; the time to the
first result is that of the whole command on a clip of half a second.

    python benchmarks/predict.py --seconds 20 --out benchmarks/reports/predict.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from mer_pipeline.apps.camera import PlayedFile, watch
from mer_pipeline.cache.chain import Chain
from mer_pipeline.device import hardware
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.inference import Predictor
from mer_pipeline.networks import build, option_defaults
from mer_pipeline.runs.card import Card
from mer_pipeline.runs.weights import save_network
from mer_pipeline.synth import synthesise
from mer_pipeline.training import load_recipe
from mer_pipeline.video import VideoWriter, open_footage

FPS = 60
SIZES_WH = ((640, 360), (1920, 1080))
MODEL, CROP_PX = "facesleuth-tiny", 96
LIVE_FPS, LIVE_S = 30, 12


def make_videos(folder: Path, seconds: int) -> None:
    """One video a size, one of four times the length, a short one, and one for the live mode."""
    raw = synthesise(folder / "raw", subjects=1, clips=5)
    clips = [open_footage(path) for path in sorted((raw / "CASME2-RAW" / "sub01").iterdir())]
    # Every third frame of 200 a second; the frames are 640x480.
    films = [[image[60:420] for _, image in clip.read(range(0, len(clip), 3))] for clip in clips]
    still = [films[0][0]] * FPS
    cycle = [image for film in films for image in (*film, *still)]
    for width, height in SIZES_WH:
        _write(folder / f"{width}.mp4", cycle, FPS, seconds * FPS, (width, height))
    _write(folder / "longer.mp4", cycle, FPS, 4 * seconds * FPS, SIZES_WH[0])
    _write(folder / "short.mp4", films[0], FPS, len(films[0]), SIZES_WH[0])
    _write(folder / "live.mp4", cycle[::2], LIVE_FPS, LIVE_S * LIVE_FPS, SIZES_WH[0])


def _write(path: Path, cycle: list[Any], fps: int, frames: int, size_wh: tuple[int, int]) -> None:
    with VideoWriter(path, fps) as writer:
        for index in range(frames):
            image = cycle[index % len(cycle)]
            if size_wh != image.shape[1::-1]:
                image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)
            writer.write(image, index / fps)


def make_model(folder: Path) -> None:
    """A run with fresh weights."""
    recipe = load_recipe(MODEL, {})
    known = option_defaults(recipe.network)
    network = build(recipe.network, classes=5, size=CROP_PX, **recipe.options)
    card = Card(
        MODEL, recipe.network, {**known, **recipe.options}, CROP_PX, [0.5] * 3, [0.2] * 3, list("abcde"), "none", None,
        0, 0, 0, 0, [], {}, chain=Chain(CROP_PX),
    )  # fmt: skip
    save_network(folder / "run" / "final", network.state_dict(), card)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(started: tuple[float, float]) -> dict[str, float]:
    """Seconds by the clock, and of all threads on the processor, which other work on the machine does not lengthen."""
    return {"seconds": time.perf_counter() - started[0], "cpu_s": time.process_time() - started[1]}


def mesh_tracking(video: Path, run: Path) -> dict[str, Any]:
    """Face Mesh as on video: the face is tracked and only looked for when lost."""
    del run
    footage = open_footage(video)
    with FaceMesh(1, tracking=True) as mesh:
        mesh(footage.frame(0))
        started = _now()
        for _index, image in footage.read(range(len(footage))):
            mesh(image)
        return {"frames": len(footage), **_since(started)}


def mesh_detecting(video: Path, run: Path) -> dict[str, Any]:
    """Face Mesh on each frame by itself, as the stages use it."""
    del run
    footage = open_footage(video)
    with FaceMesh() as mesh:
        mesh(footage.frame(0))
        started = _now()
        for _index, image in footage.read(range(len(footage))):
            mesh(image)
        return {"frames": len(footage), **_since(started)}


def whole(video: Path, run: Path) -> dict[str, Any]:
    """`mer predict`: spot every expression, judge the micro-expressions."""
    with Predictor(run, "cpu") as predictor:
        predictor.find_faces(open_footage(video).frame(0))
        started = _now()
        result = predictor(video)
        return {"frames": result.frames, **_since(started)}


def live(video: Path, run: Path) -> dict[str, Any]:
    """`mer predict --camera` on a file that is played at its own pace."""
    states = []
    with Predictor(run, "cpu") as predictor:
        predictor.find_faces(open_footage(video).frame(0))
        result = watch(PlayedFile(video), predictor, lambda state: states.append((state.frame_ms, state.reported_s)))
    median_ms, slow_ms = states[-1][0]
    reported_s = sorted({waited for _, waited in states if waited is not None})
    dropped = LIVE_S * LIVE_FPS - result.frames
    return {"median_ms": median_ms, "slow_ms": slow_ms, "reported_s": reported_s, "dropped": dropped}


def first_result_s(video: Path, run: Path) -> float:
    """Seconds of the whole command on a short clip, imports and models included."""
    program = "from mer_pipeline.cli import main; main()"
    command = [sys.executable, "-c", program, "predict", str(video), "--model", str(run), "--device", "cpu", "-q"]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def measured(work: Callable[[Path, Path], dict[str, Any]], video: Path, run: Path) -> dict[str, Any]:
    """Run something in a fresh process; also the peak of its memory in MiB."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(work, video, run, queue))
    process.start()
    result: dict[str, Any] = queue.get()
    process.join()
    return result


def _measure(work: Callable[[Path, Path], dict[str, Any]], video: Path, run: Path, queue: Any) -> None:
    facts = work(video, run)
    # Linux keeps the peak for each process image; getrusage's outlives exec.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    queue.put({**facts, "peak_mib": int(peak[1]) / 1024 if peak else 0.0})


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=20, help="length of the videos")
    parser.add_argument("--out", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    if arguments.out is not None and (arguments.out.is_dir() or not arguments.out.parent.is_dir()):
        parser.error(f"--out {arguments.out}: name a file in a folder that is there")
    # As the command line has it; the processes that measure inherit it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_videos(root, arguments.seconds)
        make_model(root)
        run, rows = root / "run", {}
        for width, height in SIZES_WH:
            for name, work in (("Face Mesh, tracking", mesh_tracking), ("Face Mesh, on each frame", mesh_detecting),
                               ("mer predict", whole)):  # fmt: skip
                rows[f"{width}x{height}", name] = measured(work, root / f"{width}.mp4", run)
        rows["640x360", "mer predict, four times as long"] = measured(whole, root / "longer.mp4", run)
        played = measured(live, root / "live.mp4", run)
        first = first_result_s(root / "short.mp4", run)
    text = report(rows, played, first, arguments.seconds)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


def report(rows: dict[tuple[str, str], dict[str, Any]], played: dict[str, Any], first_s: float, seconds: int) -> str:
    """The measurements as a page of Markdown."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        "# Prediction on long video",
        "",
        f"{datetime.date.today():%Y-%m-%d}, `{_threads()}python benchmarks/predict.py --seconds {seconds}`, "
        f"commit {commit}, {json.dumps(hardware(torch.device('cpu')))}.",
        "",
        f"{FPS} frames a second, H.264; decoding included, loading of models left out. Ratio: to Face Mesh, tracking; "
        f"above 1 is faster. Other work on the machine while this ran: a load of {os.getloadavg()[1]:.1f}.",
        "",
        "| size | way | frames | frames a second | ratio | processor, ms a frame | ratio | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (size, name), row in rows.items():
        usual = rows[size, "Face Mesh, tracking"]
        rate, other = row["frames"] / row["seconds"], usual["frames"] / usual["seconds"]
        cost, usual_cost = 1000 * row["cpu_s"] / row["frames"], 1000 * usual["cpu_s"] / usual["frames"]
        lines.append(
            f"| {size} | {name} | {row['frames']} | {rate:.0f} | {rate / other:.2f} | {cost:.1f} | "
            f"{usual_cost / cost:.2f} | {row['peak_mib']:.0f} MiB |"
        )
    waits = played["reported_s"]
    wait = f"{waits[0]:.1f} to {waits[-1]:.1f} s" if waits else "none was found"
    lines += [
        "",
        f"Time to the first result, the whole command on a clip of half a second: {first_s:.1f} s.",
        f"Live mode, a file of {LIVE_S} s played at {LIVE_FPS} frames a second, 640x360: a frame is done "
        f"{played['median_ms']:.0f} ms after it is taken (95 %: {played['slow_ms']:.0f} ms), {played['dropped']} "
        f"frames are left out; an expression is reported {wait} after its end, because a spotter must see what follows "
        "before it can say that the face came back to rest.",
        "",
    ]
    return "\n".join(lines)


def _threads() -> str:
    threads = os.environ.get("OMP_NUM_THREADS")
    return f"OMP_NUM_THREADS={threads} " if threads else ""


if __name__ == "__main__":
    main()
