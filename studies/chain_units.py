"""Action Units through the whole chain: rendered films, face detection, alignment, TV-L1, the reader that ships.

    python -m studies.chain_units --seed 8 --report studies/reports/chain-units-DATE.md

Every unit that `mer synth` plants, a blink among them, is planted about equally often, in the combinations of its
sheets. The films are rendered at 200 frames a second; slower cameras keep the frames that they would have taken, so
that their apex lies up to half a frame from the true one. Onset and apex are given, as a sheet gives them. The reader
saw neither these films nor the portrait they are made from.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mer_pipeline.cache.atomic import csv_bytes
from mer_pipeline.datasets import read_dataset
from mer_pipeline.inference.external import ExternalTest, evaluate
from mer_pipeline.stages.parameters import Parameters
from mer_pipeline.stages.preprocess import preprocess
from mer_pipeline.synth import emotions
from mer_pipeline.synth.action_units import planted_units
from mer_pipeline.synth.emotions import Combination
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.plan import draw_clip
from mer_pipeline.synth.portrait import load_portraits
from mer_pipeline.synth.scene import make_camera, render
from mer_pipeline.synth.subjects import draw_traits, make_subject

FILMED_FPS, RATES, AIM = 200, (200, 100, 60), 0.8
FILMED = Options(drift_px=1.0, drift_deg=0.5, drift_scale=0.005)
BLINK = Combination("45", 1, 7)
# An emotion of each group, so that no clip is left out of a test; the other units' groups are not what is judged.
EMOTIONS = {"happiness": "happiness", "surprise": "surprise"}

Row = tuple[object, ...]


def combinations() -> dict[int, list[tuple[str, Combination]]]:
    """What each unit is planted in: emotion and combination, from every vocabulary of the sheets."""
    every = {
        each.aus: (EMOTIONS.get(name, "disgust"), each)
        for vocabulary in (emotions.CASME2, emotions.MMEW, emotions.SAMM)
        for name, rows in vocabulary.items()
        for each in rows
    }
    found = {45: [("disgust", BLINK)]}
    for name, each in every.values():
        for number, _ in planted_units(each.aus):
            found.setdefault(number, []).append((name, each))
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Filming:
    """One person to film: the seed of everything, who, how many clips, and where the sets lie."""

    seed: int
    number: int
    clips: int
    folder: Path

    def clip(self, number: int) -> str:
        """A clip's folder, below its set's."""
        return f"s{self.number:02d}/c{number:03d}"


def film(job: Filming) -> list[tuple[int, Row]]:
    """Render one person's clips, write the frames that each camera takes, and give their rows of `clips.csv`."""
    rng = np.random.default_rng((job.seed, job.number))
    subject = make_subject(load_portraits(None), draw_traits(rng, FILMED), rng)
    camera = make_camera(FILMED, FILMED_FPS, (job.seed, job.number, 1))
    units, rows = list(combinations().values()), []
    for clip in range(job.clips):
        choices = units[(job.number * job.clips + clip) % len(units)]
        emotion, chosen = choices[int(rng.integers(len(choices)))]
        plan = draw_clip(emotion, {emotion: (chosen,)}, FILMED, (job.seed, job.number, clip))
        frames = list(render(subject, plan, camera, (*plan.seed, 1)))
        for rate in RATES:
            step = FILMED_FPS / rate
            folder = job.folder / str(rate) / job.clip(clip)
            folder.mkdir(parents=True)
            for index in range(int((len(frames) - 1) / step) + 1):
                cv2.imwrite(str(folder / f"{index:04d}.jpg"), frames[int(index * step)][..., ::-1])
            marks = [round(frame / step) for frame in (plan.onset_frame, plan.apex_frame, plan.offset_frame)]
            rows.append((rate, (job.clip(clip), job.number, emotion, *marks, chosen.aus, rate)))
    return rows


def film_sets(folder: Path, seed: int, subjects: int, clips: int) -> None:
    """One set of frame folders with `clips.csv` for every rate."""
    with ProcessPoolExecutor(2) as pool:
        jobs = [Filming(seed, number, clips, folder) for number in range(subjects)]
        rows = [row for found in pool.map(film, jobs) for row in found]
    header = ("clip", "subject", "emotion", "onset", "apex", "offset", "aus", "fps")
    for rate in RATES:
        (folder / str(rate) / "clips.csv").write_bytes(csv_bytes(header, [row for of, row in rows if of == rate]))


def through_the_chain(folder: Path, rate: int) -> ExternalTest:
    """What `mer preprocess --motion tvl1` and `mer evaluate` say of a set."""
    cache = folder / f"{rate}-cache"
    preprocess(read_dataset(folder / str(rate)), cache, Parameters(motion="tvl1"))
    return evaluate(cache)


def report(found: Mapping[int, ExternalTest], command: str) -> str:
    """A page of Markdown."""
    clips = next(iter(found.values())).scores.overall.clips
    lines = [
        "# Action Units through the whole chain", "",
        f"{datetime.date.today()}, `{command}`: {clips} rendered clips at each rate, detection, alignment, TV-L1, the "
        f"reader that ships. The aim is a mean F1 of {AIM}.", "",
        "| frames a second | units | mean F1 | mean area under the curve |", "|---|---|---|---|",
        *(f"| {rate} | {len(one.aus)} | {np.mean([unit.f1 for unit in one.aus.values()]):.3f} | "
          f"{np.mean([unit.auc for unit in one.aus.values()]):.3f} |" for rate, one in found.items()), "",
        f"| AU | clips | {' | '.join(f'F1 at {rate}' for rate in found)} | F1 if always named |",
        "|---|---|" + "---|" * (len(found) + 1),
    ]  # fmt: skip
    for number, first in next(iter(found.values())).aus.items():
        cells = [f"{one.aus[number].f1:.2f}" for one in found.values()]
        lines.append(f"| {number} | {first.clips} | {' | '.join(cells)} | {first.constant_f1:.2f} |")
    return "\n".join([*lines, ""])


def main(given: Sequence[str] | None = None) -> None:
    """Film, preprocess, evaluate; print the page or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--clips", type=int, default=17, help="of each subject")
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder:
        film_sets(Path(folder), arguments.seed, arguments.subjects, arguments.clips)
        found = {rate: through_the_chain(Path(folder), rate) for rate in RATES}
    command = f"python -m studies.chain_units --seed {arguments.seed} --subjects {arguments.subjects}"
    page = report(found, f"{command} --clips {arguments.clips}")
    print(page)
    if arguments.report:
        arguments.report.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
