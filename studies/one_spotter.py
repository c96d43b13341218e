"""Whether `spot`, `predict` and a camera find the same expressions in the same film, to the frame.

    python -m studies.one_spotter --films 200 --report studies/reports/one-spotter.md

Films are drawn at random, cut from synthetic ones of 24 to 240 frames a second with blinks, speech, hands and turns:
their length and place, noise, size, compression, and frames that are left out. All three agree by construction, since
one spotter is behind them; this would show a way around it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from mer_pipeline.device import hardware
from mer_pipeline.inference import Predictor
from mer_pipeline.spotting.live import LiveSpotter
from mer_pipeline.spotting.video import doubt_of, spot_video
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.video import H264, VideoWriter, open_footage

RATES = (24, 30, 60, 120, 240)
_FRAMES = (60, 200)  # of a film, least and most
_SEED_OF_CUTS = 1
Found = list[tuple[int, int, int, str]]


def sources(root: Path, seed: int) -> list[Path]:
    """Render a film of each rate."""
    written = []
    for number, fps in enumerate(RATES):
        options = Options(
            fps=fps, seconds=max(5.0, 400 / fps), noise=1.0, blink_share=1.0, drift_px=6.0, turn_deg=8.0,
            speech_share=0.3, hand_share=0.3,
        )  # fmt: skip
        synthesise(root / str(fps), layout="long", subjects=1, clips=2, seed=seed + number, options=options)
        written.append(root / str(fps) / "s01.mp4")
    return written


def cut(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Write a random part of a film, worse than it was."""
    footage = open_footage(source)
    fps, frames = footage.fps or 30.0, int(rng.integers(_FRAMES[0], _FRAMES[1] + 1))
    first = int(rng.integers(0, len(footage) - frames + 1))
    noise, lost = float(rng.uniform(0, 3)), float(rng.choice((0.0, 0.0, 0.03)))
    width, quality = int(rng.choice((640, 480, 320))), int(rng.choice((18, 23, 28, 33)))
    with VideoWriter(target, fps, H264(crf=quality)) as writer:
        for index, image in footage.read(range(first, first + frames)):
            if index > first and rng.random() < lost:
                continue
            worse = np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)
            height = 2 * round(worse.shape[0] * width / worse.shape[1] / 2)
            small = np.asarray(cv2.resize(worse, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            writer.write(small, (index - first) / fps)


def films(root: Path, count: int, seed: int) -> Iterator[Path]:
    """Write random films."""
    made = sources(root, seed)
    for number in range(count):
        rng = np.random.default_rng((seed, _SEED_OF_CUTS, number))
        target = root / f"{number:03d}.mp4"
        cut(made[int(rng.integers(len(made)))], target, rng)
        yield target


def three_answers(film: Path, predictor: Predictor) -> tuple[Found, Found, Found]:
    """Onset, apex, offset and kind of every expression: by `spot`, by `predict`, and as from a camera."""
    spotted = [
        (each.onset_frame, each.apex_frame, each.offset_frame, each.kind)
        for each in spot_video(film, find_faces=predictor.find_faces).intervals
    ]
    result = predictor(film, every=True)
    predicted = [(e.onset_frame, e.apex_frame, e.offset_frame or 0, str(e.kind)) for e in result.expressions]
    predicted += [(e.onset_frame, e.apex_frame, e.offset_frame, str(e.kind)) for e in result.unclassified]
    footage = open_footage(film)
    spotter = LiveSpotter(
        footage.fps or 0.0, lambda image: next(iter(predictor.find_faces(image)), None), doubt=doubt_of(footage)
    )
    lived = [each for index, image in footage.read(range(len(footage))) for each in spotter.push(index, image)]
    lived += spotter.finish()
    live = sorted((each.onset_frame, each.apex_frame, each.offset_frame, str(each.kind)) for each in lived)
    return sorted(spotted), sorted(predicted), live


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--seed", type=int, default=60)
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    agree, expressions, with_any, differ = 0, 0, 0, []
    with tempfile.TemporaryDirectory() as folder, Predictor() as predictor:
        for film in films(Path(folder), args.films, args.seed):
            answers = three_answers(film, predictor)
            expressions += len(answers[0])
            with_any += bool(answers[0])
            if answers[0] == answers[1] == answers[2]:
                agree += 1
            else:
                differ.append(f"- film {film.stem}: {answers}")
    machine = json.dumps(hardware(torch.device("cpu")))
    text = (
        f"# One spotter, {datetime.date.today():%Y-%m-%d}\n\n"
        f"`python -m studies.one_spotter --films {args.films} --seed {args.seed}`, {machine}.\n\n"
        f"`spot`, `predict` and a camera's way agree to the frame, and on the kind, in {agree} of {args.films} films "
        f"({expressions} expressions in {with_any} of them).\n\n" + "\n".join(differ)
    ).rstrip() + "\n"
    print(text)
    if args.report is not None:
        args.report.write_text(text)


if __name__ == "__main__":
    main()
