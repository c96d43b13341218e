"""What prediction loses without annotated onset and apex: the same networks, the same clips, spotted frames.

A run of `mer demo` holds a network for each subject that it never saw. Every clip of that subject is predicted twice,
with the planted onset and apex and with none; both are scored together over all subjects.

    python -m studies.unannotated RUN RAW [--out benchmarks/reports]
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mer_pipeline.datasets import read_dataset
from mer_pipeline.device import hardware
from mer_pipeline.evaluation.metrics import scores
from mer_pipeline.inference import Predictor
from mer_pipeline.runs.provenance import versions


def measured(run: Path, raw: Path) -> dict[str, Any]:
    """Scores with planted and with spotted key frames, and how far the spotted ones are off."""
    truth = pd.read_parquet(raw / "truth.parquet")
    sources = {clip.clip_id: clip.source for clip in read_dataset(raw).clips}
    emotions: dict[str, list[str]] = {"truth": [], "planted": [], "spotted": []}
    apart: list[int] = []
    verdicts: dict[str, int] = {}
    for (dataset, subject), clips in truth.groupby(["dataset", "subject"]):
        with Predictor(run / "folds" / f"{dataset}-{subject}", "cpu") as predictor:
            classes = predictor.card.classes
            for row in clips.to_dict("records"):
                clip, frames = sources[row["clip_id"]], (int(row["onset_frame"]), int(row["apex_frame"]))
                (given,) = predictor(clip, onset_frame=frames[0], apex_frame=frames[1], fps=row["fps"]).expressions
                (found,) = predictor(clip, fps=row["fps"]).expressions
                emotions["truth"].append(row["emotion"])
                emotions["planted"].append(given.emotion)
                emotions["spotted"].append(found.emotion)
                apart.append(abs(found.apex_frame - frames[1]))
                verdicts[found.verdict] = verdicts.get(found.verdict, 0) + 1
    found_scores = {name: scores(emotions["truth"], emotions[name], classes).overall for name in ("planted", "spotted")}
    return {"clips": len(apart), **found_scores, "apex_apart": sorted(apart), "verdicts": verdicts}


def main() -> None:
    """Measure and print; with --out also write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = measured(arguments.run, arguments.raw)
    planted, spotted = found["planted"], found["spotted"]
    within = sum(frames <= 2 for frames in found["apex_apart"])
    text = "\n".join(
        [
            "# Prediction without annotation",
            "",
            f"{datetime.date.today()}, `mer demo`, then `python -m studies.unannotated runs/demo "
            f"runs/demo-data/raw`, {json.dumps(hardware(torch.device('cpu')))}, "
            f"commit {versions().get('commit', 'none')}.",
            "",
            f"{found['clips']} synthetic clips, each predicted by the network that never saw its subject.",
            "",
            "| onset and apex | UF1 | UAR | accuracy |",
            "|---|---|---|---|",
            f"| planted | {planted['uf1']:.3f} | {planted['uar']:.3f} | {planted['accuracy']:.3f} |",
            f"| spotted | {spotted['uf1']:.3f} | {spotted['uar']:.3f} | {spotted['accuracy']:.3f} |",
            "",
            f"Spotting loses {planted['uf1'] - spotted['uf1']:.3f} UF1 (0.05 is the limit). The spotted apex is within "
            f"2 frames of the planted one in {within} of {found['clips']} clips. Verdicts: {found['verdicts']}.",
        ]
    )
    print(text)
    if arguments.out:
        (arguments.out / f"unannotated-{datetime.date.today()}.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
