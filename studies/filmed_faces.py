"""What is spotted in two real films, beside what a person saw in them frame by frame.

    python -m studies.filmed_faces ../shared/data/clips --report studies/reports/filmed-faces.md

The annotations are in `studies/annotations/filmed_faces.csv`; the films are not part of the project. Each film is
spotted again in copies that differ by one grey level in one pixel of fifty, since tracking magnifies rounding.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from mer_pipeline.spotting.result import Interval, Spotting
from mer_pipeline.spotting.video import spot_video
from mer_pipeline.video import FOR_MEASURING, VideoWriter, open_footage

TABLE = Path(__file__).parent / "annotations" / "filmed_faces.csv"
_EVENTS = {"hand": "hidden", "eyes closed": "blink"}
_COPIES = 3


def rows(seen: pd.DataFrame, found: Spotting) -> list[str]:
    """A table: what a person saw, and what was found there."""
    lines = ["| seen | frames | found | frames | flags |", "|---|---|---|---|---|"]
    used: list[Interval] = []
    for row in seen.to_dict("records"):
        first, last, peak = row["first_frame"], row["last_frame"], row["peak_frame"]
        frames = f"{first} to {last}" if pd.isna(peak) else f"{first}, {peak:.0f}, {last}"
        note = "" if pd.isna(row["note"]) else f": {row['note']}"
        answer = "nothing | | "
        if row["kind"] in ("micro", "macro"):
            near = [each for each in found.intervals if each.onset_frame <= last and each.offset_frame >= first]
            if near:
                best = min(near, key=lambda each: abs(each.onset_frame - first))
                used.append(best)
                answer = f"{best.kind} | {_frames(best)} | {', '.join(best.flags)}"
        else:
            kind = _EVENTS.get(row["kind"], row["kind"])
            met = [each for each in found.events if each.kind == kind and each.meets(first, last)]
            if met:
                answer = f"{kind} | {'; '.join(f'{each.first_frame} to {each.last_frame}' for each in met)} | "
        lines.append(f"| {row['kind']}{note} | {frames} | {answer} |")
    others = (each for each in found.intervals if each not in used)
    return lines + [f"| nothing | | {each.kind} | {_frames(each)} | {', '.join(each.flags)} |" for each in others]


def _frames(each: Interval) -> str:
    return f"{each.onset_frame}, {each.apex_frame}, {each.offset_frame}"


def copies(film: Path, folder: Path) -> list[str]:
    """What is found in copies that differ by what no eye sees."""
    said = []
    for seed in range(_COPIES):
        rng, footage = np.random.default_rng(seed), open_footage(film)
        with VideoWriter(folder / f"{seed}.mp4", footage.fps or 30.0, FOR_MEASURING) as writer:
            for _, image in footage.read(range(len(footage))):
                changed = rng.random(image.shape[:2]) < 0.02
                image[changed] = np.clip(image[changed].astype(int) + rng.choice((-1, 1)), 0, 255).astype(np.uint8)
                writer.write(image)
        found = spot_video(folder / f"{seed}.mp4").intervals
        micro = sum(each.kind == "micro" for each in found)
        said.append(f"{micro} micro, macro at {'; '.join(_frames(each) for each in found if each.kind == 'macro')}")
    return said


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    seen = pd.read_csv(TABLE)
    parts = [f"# Two filmed faces, {datetime.date.today():%Y-%m-%d}\n\n`python -m studies.filmed_faces CLIPS`\n"]
    parts.append("Thresholds for blinks, hands and held expressions were set while these films were looked at.\n")
    for name in ("pexels_face.mp4", "face_noface.mov"):
        found = spot_video(args.clips / name)
        micro = sum(each.kind == "micro" for each in found.intervals)
        minutes = found.frames / found.fps / 60
        parts += [f"## {name}\n", *rows(seen[seen["clip"] == name], found)]
        parts.append(f"\n{micro} micro-expressions ({micro / minutes:.1f} a minute); none is known in it. Copies:\n")
        with tempfile.TemporaryDirectory() as folder:
            parts += [f"- {said}" for said in copies(args.clips / name, Path(folder))]
        parts.append("")
    text = "\n".join(parts)
    print(text)
    if args.report is not None:
        args.report.write_text(text)


if __name__ == "__main__":
    main()
