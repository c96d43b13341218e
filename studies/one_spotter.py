"""Whether `spot`, `predict` and a camera find the same expressions in the same film, to the frame.

    python -m studies.one_spotter --films 200 --report studies/reports/one-spotter.md

Films are drawn at random: 24 to 240 frames a second, noise, blinks, sway and turns. They agree by construction, since
one spotter is behind all three; this would show a way around it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from mer_pipeline.device import hardware
from mer_pipeline.inference import Predictor
from mer_pipeline.spotting.live import LiveSpotter
from mer_pipeline.spotting.video import spot_video
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.video import open_footage

RATES = (24, 30, 60, 120, 240)
_FRAMES = 160  # of a film, at the least
Found = list[tuple[int, int, int, str]]


def films(root: Path, count: int, seed: int) -> list[Path]:
    """Write random films."""
    written = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        fps = float(rng.choice(RATES))
        options = Options(
            fps=fps, seconds=max(3.0, _FRAMES / fps), noise=float(rng.uniform(0, 3)), blink_share=1.0,
            drift_px=float(rng.uniform(0, 6)), turn_deg=float(rng.choice((0, 8))),
        )  # fmt: skip
        synthesise(root / str(number), layout="long", subjects=1, clips=1, seed=seed + number, options=options)
        written.append(root / str(number) / "s01.mp4")
    return written


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
    spotter = LiveSpotter(footage.fps or 0.0, lambda image: next(iter(predictor.find_faces(image)), None))
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
    agree, expressions, differ = 0, 0, []
    with tempfile.TemporaryDirectory() as folder, Predictor() as predictor:
        for film in films(Path(folder), args.films, args.seed):
            answers = three_answers(film, predictor)
            expressions += len(answers[0])
            if answers[0] == answers[1] == answers[2]:
                agree += 1
            else:
                differ.append(f"- film {film.parent.name}: {answers}")
    machine = json.dumps(hardware(torch.device("cpu")))
    text = (
        f"# One spotter, {datetime.date.today():%Y-%m-%d}\n\n"
        f"`python -m studies.one_spotter --films {args.films} --seed {args.seed}`, {machine}.\n\n"
        f"`spot`, `predict` and a camera's way agree to the frame, and on the kind, in {agree} of {args.films} films "
        f"({expressions} expressions).\n\n" + "\n".join(differ)
    ).rstrip() + "\n"
    print(text)
    if args.report is not None:
        args.report.write_text(text)


if __name__ == "__main__":
    main()
