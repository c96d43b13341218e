"""How fast annotated clips are preprocessed, against the usual way, on the same clips in one run.

The usual way of public code: decode every frame of a clip and run dlib's HOG face detector on each, in one process.
Here: only onset and apex are decoded, the face is found in these, the head drift between the two is removed, crops are
cut and everything is cached, in one process too. Both run on frame folders in the layout of CASME II (640x480 JPEG).

    python benchmarks/preprocess.py --clips 80 --out benchmarks/reports/preprocess-DATE.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mer_pipeline.datasets import Annotations, Clip, read_dataset
from mer_pipeline.device import hardware
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.stages.parameters import Parameters
from mer_pipeline.stages.preprocess import preprocess
from mer_pipeline.synth import synthesise
from mer_pipeline.video import open_footage

CLIPS_A_SUBJECT = 10


def usual_way(annotations: Annotations, _: Path) -> dict[str, Any]:
    """Decode all frames and look for a face in each with dlib's HOG detector."""
    import dlib

    detector = dlib.get_frontal_face_detector()
    frames = 0
    for clip in annotations.clips:
        footage = open_footage(clip.source)
        for _index, image in footage.read(range(len(footage))):
            detector(image, 0)
            frames += 1
    return {"frames": frames}


def mer(annotations: Annotations, cache: Path) -> dict[str, Any]:
    """`mer preprocess` into an empty cache."""
    summary = preprocess(annotations, cache, jobs=1)  # one process, as the others
    return {"frames": summary.decoded_frames, "failed": len(summary.failures), "timings": summary.timings}


def with_flow(annotations: Annotations, cache: Path) -> dict[str, Any]:
    """What optical flow by DIS adds to a cache that has everything else."""
    summary = preprocess(annotations, cache, Parameters(motion="dis"), jobs=1)
    return {"frames": summary.decoded_frames, "timings": summary.timings}


def mesh_alone(annotations: Annotations, _: Path) -> dict[str, Any]:
    """Decode all frames and run Face Mesh on each: the floor for every program that uses it on all frames."""
    frames = 0
    with FaceMesh() as mesh:
        for clip in annotations.clips:
            footage = open_footage(clip.source)
            for _index, image in footage.read(range(len(footage))):
                mesh(image)
                frames += 1
    return {"frames": frames}


def bare(annotations: Annotations, cache: Path) -> dict[str, Any]:
    """`mer preprocess` of the same clips without any annotation: every frame is analysed to find onset and apex."""
    lost = {"onset_frame": None, "apex_frame": None, "offset_frame": None}
    clips = tuple(replace(clip, **lost) for clip in annotations.clips)  # type: ignore[arg-type]
    return {**mer(Annotations(annotations.dataset, clips), cache), "frames": sum(map(_length, clips))}


def _length(clip: Clip) -> int:
    return len(open_footage(clip.source))


def measured(work: Callable[..., dict[str, Any]], annotations: Annotations, cache: Path) -> dict[str, Any]:
    """Run something in a fresh process; seconds, and the peak of its memory in MiB."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(work, annotations, cache, queue))
    process.start()
    result: dict[str, Any] = queue.get()
    process.join()
    return result


def _measure(work: Callable[..., dict[str, Any]], annotations: Annotations, cache: Path, queue: Any) -> None:
    started = time.perf_counter()
    facts = work(annotations, cache)
    seconds = time.perf_counter() - started
    queue.put({**facts, "seconds": seconds, "peak_mib": _peak_mib()})


def _peak_mib() -> float:
    """The most memory that this process ever held; Linux keeps it for each process image, getrusage's outlives exec."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clips", type=int, default=40, help="a multiple of 10")
    parser.add_argument("--out", type=Path, help="where the report goes")
    arguments = parser.parse_args()
    if arguments.out is not None and (arguments.out.is_dir() or not arguments.out.parent.is_dir()):
        parser.error(f"--out {arguments.out}: name a file in a folder that is there")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        synthesise(root / "raw", subjects=arguments.clips // CLIPS_A_SUBJECT, clips=CLIPS_A_SUBJECT)
        annotations = read_dataset(root / "raw")
        few = Annotations(annotations.dataset, annotations.clips[: max(1, len(annotations.clips) // 4)])
        results = {
            "usual way": measured(usual_way, annotations, root),
            "mer preprocess": measured(mer, annotations, root / "cache"),
            "mer preprocess --motion dis, on the cache of the row above": measured(
                with_flow, annotations, root / "cache"
            ),
            "mer preprocess, a quarter of the clips": measured(mer, few, root / "few"),
            "Face Mesh alone on every frame": measured(mesh_alone, annotations, root),
            "mer preprocess without annotations": measured(bare, annotations, root / "bare"),
        }
    text = report(results, len(annotations.clips), len(few.clips))
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


def report(results: dict[str, dict[str, Any]], clips: int, few: int) -> str:
    """The measurements as a page of Markdown."""
    usual, ours = results["usual way"], results["mer preprocess"]
    lines = [
        "# Preprocessing annotated clips",
        "",
        f"{datetime.date.today():%Y-%m-%d}, `python benchmarks/preprocess.py --clips {clips}`, "
        f"{json.dumps(hardware(torch.device('cpu')))}.",
        "",
        "| way | clips | frames decoded | seconds | clips a second | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        n = few if "quarter" in name else clips
        lines.append(
            f"| {name} | {n} | {result['frames']} | {result['seconds']:.1f} | {n / result['seconds']:.2f} | "
            f"{result['peak_mib']:.0f} MiB |"
        )
    grown = ours["peak_mib"] - results["mer preprocess, a quarter of the clips"]["peak_mib"]
    mesh, spotted = results["Face Mesh alone on every frame"], results["mer preprocess without annotations"]
    lines += [
        "",
        f"Ratio: **{usual['seconds'] / ours['seconds']:.1f}** times the usual way, loading the models included.",
        f"Bare video, every frame analysed: {spotted['frames'] / spotted['seconds']:.0f} frames a second, "
        f"**{mesh['seconds'] / spotted['seconds']:.2f}** of the rate of decoding and Face Mesh alone.",
        "Seconds by stage, annotated: "
        + _timings(ours)
        + "; bare (the search for key frames decodes as it goes): "
        + _timings(spotted)
        + ".",
        f"Peak memory grows by {grown:.0f} MiB from {few} to {clips} clips.",
        "",
    ]
    return "\n".join(lines)


def _timings(result: dict[str, Any]) -> str:
    return ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in result["timings"].items())


if __name__ == "__main__":
    main()
