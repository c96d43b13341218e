"""How well and how fast long videos are spotted: planted truth, false alarms on filmed faces, memory over an hour.

python -m benchmarks.spotting --seeds 40 41 --shared ../shared/data --minutes 5 20 60 --out benchmarks/reports
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch

from mer_pipeline.choices import TRUTH
from mer_pipeline.datasets.long_videos import LongVideo, read_long
from mer_pipeline.device import hardware
from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.spotting.score import SpotScore, match, pooled
from mer_pipeline.spotting.video import spot_video
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.video import FOR_MEASURING, VideoWriter, open_footage

# What disturbs: noise, a blink every four seconds, sway and growth of the head, turns to a side or up and down.
DISTURBED: dict[str, Any] = {
    "noise": 2.0, "blink_share": 1.0, "drift_px": 6.0, "drift_deg": 3.0, "drift_scale": 0.02, "turn_deg": 8.0,
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "clean": {"noise": 0.0},
    "disturbed": DISTURBED,
    "noisy": DISTURBED | {"noise": 4.0},
    "speech and hands": DISTURBED | {"speech_share": 0.5, "hand_share": 0.5},
    "tones and ages": DISTURBED | {"tones": 1.0, "ages": 1.0},
    "held": DISTURBED | {"hold_s": 6.0},
    "a call": DISTURBED | {"compression": 32, "lost": 0.03},
    "lost frames": DISTURBED | {"lost": 0.03},
    "compressed": DISTURBED | {"compression": 27},
}
RATES: dict[str, tuple[int, ...]] = {
    "clean": (200, 100, 30), "disturbed": (200, 100, 60, 30), "noisy": (100, 30), "speech and hands": (60, 30),
    "tones and ages": (30,), "held": (30,), "a call": (30,), "lost frames": (30,),
    "compressed": (30,),
}  # fmt: skip
_SECONDS_AN_EXPRESSION = 4.0
_SMALL_WH = (320, 240)
_INTERRUPTED_AFTER_S = 20.0
_RESAMPLES = 2000


Film = tuple[dict[str, list[tuple[int, int]]], Mapping[str, Sequence[tuple[int, int]]]]


@dataclass
class Judged:
    """Videos of one rate and one way.

    Attributes:
        films: The spans found and planted in each, by kind.
        errors_ms: (hits, 3) predicted minus planted onset, apex and offset of the micro-expressions that were hit.
    """

    name: str
    minutes: float
    films: list[Film]
    frames_a_second: float
    errors_ms: npt.NDArray[np.float64]

    @property
    def scores(self) -> dict[str, SpotScore]:
        """Of all films together."""
        return pooled(self.films)


def planted(root: Path, fps: int, way: str, arguments: argparse.Namespace, mesh: FaceMesh) -> Judged:
    """Spot synthetic videos and judge them; sets that lie there from a run before are used again."""
    seconds = arguments.seconds
    expressions = round(seconds / _SECONDS_AN_EXPRESSION)
    films: list[Film] = []
    errors: list[list[int]] = []
    frames, took = 0, 0.0
    for seed in arguments.seeds:
        folder = root / f"{fps}-{way.replace(' ', '-')}-{seed}-{arguments.videos}-{seconds:g}"
        if not (folder / TRUTH).exists():
            options = Options(fps=fps, seconds=seconds, **WAYS[way])
            synthesise(folder, layout="long", subjects=arguments.videos, clips=expressions, seed=seed, options=options)
        for known in read_long(folder).videos:
            started = time.perf_counter()
            found = spot_video(known.video, find_faces=mesh)
            took += time.perf_counter() - started
            frames += found.frames
            films.append((_by_kind(found.intervals), known.spans))
            errors += _errors(folder, known, found.intervals)
    minutes = len(films) * seconds / 60
    return Judged(f"{fps} fps, {way}", minutes, films, frames / took, np.array(errors).reshape(-1, 3) * 1000 / fps)


def f1_interval(groups: list[list[Film]], kind: str) -> tuple[float, float]:
    """2.5 and 97.5 % of F1 where the groups of films are drawn again with replacement."""
    scores = [pooled(group)[kind] for group in groups]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(_RESAMPLES):
        drawn.append(sum((scores[at] for at in rng.integers(0, len(scores), len(scores))), SpotScore()).f1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def _by_kind(intervals: list[Any]) -> dict[str, list[tuple[int, int]]]:
    return {k: [(i.onset_frame, i.offset_frame) for i in intervals if i.kind == k] for k in ("micro", "macro")}


def _errors(root: Path, known: LongVideo, found: list[Any]) -> Iterator[list[int]]:
    import pandas as pd

    table = pd.read_parquet(root / "truth.parquet")
    rows = table[(table["video"] == known.video.name) & (table["kind"] == "micro")].sort_values("onset_frame")
    true = rows[["onset_frame", "apex_frame", "offset_frame"]].to_numpy().tolist()
    micro = [each for each in found if each.kind == "micro"]
    for p, t in match([(i.onset_frame, i.offset_frame) for i in micro], [(row[0], row[2]) for row in true]):
        frames = micro[p].onset_frame, micro[p].apex_frame, micro[p].offset_frame
        yield [a - b for a, b in zip(frames, true[t], strict=True)]


def lengthened(source: Path, target: Path, minutes: float) -> int:
    """Repeat a video's packets without decoding them until it is so long; the number of frames."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        rate, packets = Fraction(stream.average_rate or 30), [p for p in container.demux(stream) if p.size]
        stamps = [(packet.pts or 0, packet.dts or 0, packet.duration or 1) for packet in packets]
        base = Fraction(stream.time_base or 1 / rate)
        tick = int(1 / rate / base)
        copies = max(1, round(minutes * 60 * rate / len(packets)))
        with av.open(str(target), "w", format="mp4") as out:
            copy = out.add_stream_from_template(stream)
            for again in range(copies):
                shift = again * len(packets) * tick
                for packet, (pts, dts, duration) in zip(packets, stamps, strict=True):
                    packet.pts, packet.dts, packet.duration = pts + shift, dts + shift, duration
                    packet.time_base, packet.stream = base, copy
                    out.mux(packet)
    return copies * len(packets)


def small_minute(root: Path) -> Path:
    """A synthetic minute at 30 frames a second of 320x240, whose end fits its beginning."""
    options = Options(fps=30, seconds=60, noise=1.0, blink_share=1.0)
    synthesise(root / "minute", layout="long", subjects=1, clips=15, seed=41, options=options)
    footage = open_footage(root / "minute" / "s01.mp4")
    with VideoWriter(root / "small.mp4", 30, FOR_MEASURING) as writer:
        for _, image in footage.read(range(len(footage))):
            writer.write(np.asarray(cv2.resize(image, _SMALL_WH, interpolation=cv2.INTER_AREA), np.uint8))
    return root / "small.mp4"


def measured(video: Path) -> dict[str, Any]:
    """Spot a video in a fresh process; seconds, what was found, and the peak of its memory in MiB."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(video, queue))
    process.start()
    result: dict[str, Any] = queue.get()
    process.join()
    return result


def _measure(video: Path, queue: Any) -> None:
    started = time.perf_counter()
    found = spot_video(video)
    kinds = [interval.kind for interval in found.intervals]
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    queue.put(
        {
            "frames": found.frames, "seconds": time.perf_counter() - started, "peak_mib": peak,
            "micro": kinds.count("micro"), "macro": kinds.count("macro"),
        }
    )  # fmt: skip


def interrupted(video: Path) -> str:
    """Press Ctrl-C in the middle of `mer spot`; what it said, its exit code, and how soon."""
    command = [sys.executable, "-c", "from mer_pipeline.cli import main; main()", "spot", str(video), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(_INTERRUPTED_AFTER_S)
    process.send_signal(signal.SIGINT)
    pressed = time.perf_counter()
    out, err = process.communicate(timeout=60)
    took = time.perf_counter() - pressed
    return f"stderr {err.strip()!r}, stdout {out.strip()!r}, exit code {process.returncode}, {took:.1f} s after Ctrl-C"


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--videos", type=int, default=2, help="synthetic videos of each rate, way and seed")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[40], help="of what is planted; 40 as in every report")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--sets", type=Path, help="where the synthetic videos are kept for the next run")
    parser.add_argument("--shared", type=Path, help="the folder with the filmed clips")
    parser.add_argument("--minutes", type=float, nargs="*", default=[], help="lengths to measure memory at")
    parser.add_argument("--out", type=Path, help="the folder where the report goes")
    arguments = parser.parse_args()
    sections = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with FaceMesh() as mesh:
            sets = [
                planted(arguments.sets or root, fps, way, arguments, mesh)
                for way in arguments.ways
                for fps in RATES[way]
            ]
            sections.append(score_lines(sets))
            if arguments.shared:
                sections.append(real_lines(arguments.shared / "clips", mesh))
        if arguments.minutes:
            sections.append(memory_lines(root, arguments.minutes))
    text = report(arguments, sections)
    print(text)
    if arguments.out:
        (arguments.out / f"spotting-{datetime.date.today():%Y-%m-%d}.md").write_text(text)


NOTES = """
## What limits it

- What is missed at 30 frames a second with `--videos 2 --seconds 40 --seeds 40`, disturbed, looked up one by one: brow
  and nose (AU 4+9) of 1.1 pixels under a blink, whose lids hide the cells around the eyes; and one of half a second
  (AU 9, 1.2 pixels) that was measured a frame too long, which makes it a macro-expression: a miss and a false alarm in
  one.
- Speech: what is called a micro-expression beside speech is a syllable that the rhythm does not take in.
- **Compression, not lost frames, spoils a call**: 3 % lost frames alone cost nothing, rate factor 27 alone a quarter of
  F1, rate factor 32 (what calls have, on noisy pictures) leaves next to nothing of what was planted. Films with less
  than one bit a second for each pixel are doubted (more must stand out), and below 0.6 they say so, so that little is
  found rather than much that is not there.
- Held expressions (up to 6 s): those that are missed are found, but end too soon or too late to count as hits.
- At 30 frames a second a micro-expression of a fifth of a second is six frames; planted ones last 0.2 to 0.5 s at every
  rate. One of 1/25 s would be a single frame, which cannot be distinguished from noise.
- Compression counts as motion: the key frames of strongly compressed video change the skin by up to half a pixel.
- The filmed faces are annotated frame by frame in `studies/annotations`; `python -m studies.filmed_faces` compares.
- Peak memory is mostly the libraries (MediaPipe, torch); it grows by some 80 bytes a frame, for the packet table.
- Synthetic faces come from one portrait and have no idle motion of their own. On CAS(ME)^2 the published F1 for
  micro-expressions is 0.20 to 0.25; no figure for real sets is claimed here, `mer spot --evaluate` gives it where
  they are at hand.
"""


def score_lines(sets: list[Judged]) -> list[str]:
    """Tables of hits and of timing."""
    lines = [
        "## Planted truth",
        "",
        "| videos | minutes | kind | TP | FP | FN | precision | recall | F1 | 95 % over films |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in sets:
        for kind in ("micro", "macro"):
            lines.append(score_line(each.name, each.minutes, kind, [[film] for film in each.films]))
    for way in WAYS:
        of_way = [each for each in sets if each.name.endswith(f", {way}")]
        # Films of one number are planted alike at every rate, so they are drawn together.
        alike = [list(films) for films in zip(*(each.films for each in of_way), strict=True)]
        minutes = sum(each.minutes for each in of_way)
        lines += [score_line(f"all, {way}", minutes, kind, alike) for kind in ("micro", "macro") if of_way]
    lines += [
        "",
        "Micro-expressions that were hit, how far from the planted frames in ms: median (90th percentile).",
        "",
        "| videos | onset | apex | offset | frames a second |",
        "|---|---|---|---|---|",
    ]
    for each in sets:
        away = np.abs(each.errors_ms) if len(each.errors_ms) else np.full((1, 3), np.nan)
        cells = " | ".join(f"{np.median(one):.0f} ({np.quantile(one, 0.9):.0f})" for one in away.T)
        lines.append(f"| {each.name} | {cells} | {each.frames_a_second:.0f} |")
    return lines


def score_line(name: str, minutes: float, kind: str, groups: list[list[Film]]) -> str:
    """A row of the first table."""
    s = pooled(film for group in groups for film in group)[kind]
    low, high = f1_interval(groups, kind)
    return (
        f"| {name} | {minutes:.2f} | {kind} | {s.hits} | {s.false_alarms} | {s.misses} | "
        f"{s.precision:.3f} | {s.recall:.3f} | **{s.f1:.3f}** | {low:.3f} to {high:.3f} |"
    )


def real_lines(clips: Path, mesh: FaceMesh) -> list[str]:
    """What is spotted on filmed faces, in which nothing was planted."""
    lines = ["## Filmed faces", "", "| clip | seconds | fps | micro | a minute | macro | a minute | warnings |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for clip in sorted(path for path in clips.iterdir() if path.suffix in {".mp4", ".mov"}):
        try:
            found = spot_video(clip, find_faces=mesh)
        except MerError as error:
            lines.append(f"| {clip.name} | | | | | | | {error.what} |")
            continue
        minutes = found.frames / found.fps / 60
        kinds = [interval.kind for interval in found.intervals]
        counts = " | ".join(f"{kinds.count(k)} | {kinds.count(k) / minutes:.1f}" for k in ("micro", "macro"))
        lines.append(f"| {clip.name} | {60 * minutes:.1f} | {found.fps:.1f} | {counts} | {'; '.join(found.warnings)} |")
    return lines


def memory_lines(root: Path, minutes: list[float]) -> list[str]:
    """Peak memory over the length of a video, and an interruption of the longest."""
    lines = [
        "## Memory and interruption (320x240, 30 frames a second)",
        "",
        "| minutes | frames | seconds | frames a second | peak memory | micro | macro |",
        "|---|---|---|---|---|---|---|",
    ]
    minute = small_minute(root)
    for length in sorted(minutes):
        video = root / f"{length:g}-minutes.mp4"
        lengthened(minute, video, length)
        result = measured(video)
        lines.append(
            f"| {length:g} | {result['frames']} | {result['seconds']:.0f} | "
            f"{result['frames'] / result['seconds']:.0f} | {result['peak_mib']:.0f} MiB | {result['micro']} | "
            f"{result['macro']} |"
        )
    return [*lines, "", f"Ctrl-C in the longest: {interrupted(video)}."]


def report(arguments: argparse.Namespace, sections: list[list[str]]) -> str:
    """The measurements as a page of Markdown."""
    lengths = "".join(f" {length:g}" for length in arguments.minutes)
    command = f"python -m benchmarks.spotting --videos {arguments.videos} --seconds {arguments.seconds:g}"
    command += " --seeds " + " ".join(map(str, arguments.seeds))
    command += "" if arguments.ways == list(WAYS) else f" --ways {shlex.join(arguments.ways)}"
    command += f" --shared {arguments.shared.name}" if arguments.shared else ""
    command += f" --minutes{lengths}" if lengths else ""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    head = [
        "# Spotting in long videos",
        "",
        f"{datetime.date.today():%Y-%m-%d}, `{command}`, on top of commit {commit}, "
        f"{json.dumps(hardware(torch.device('cpu')))}.",
        "",
        "Disturbed: " + ", ".join(f"{name} {value:g}" for name, value in DISTURBED.items()) + ".",
    ]
    return "\n".join([*head, *(line for section in sections for line in ["", *section]), NOTES])


if __name__ == "__main__":
    main()
